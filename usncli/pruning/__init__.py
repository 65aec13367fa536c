"""Masks that follow a schedule during training, and the removal of masked channels."""
