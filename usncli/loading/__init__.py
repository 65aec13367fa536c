"""Checkpoints, networks, data sets and preprocessing: everything that comes in."""
