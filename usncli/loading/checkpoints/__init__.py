"""Readers of one kind of checkpoint each; `usncli.loading.checkpoint` chooses among them."""
