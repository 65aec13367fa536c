"""Readers of image data sets: one form of data a module; `usncli.loading.data.open_data` chooses among them."""
