"""Tables, plots, pages and machine formats of what the other stages recorded."""
