"""Bound engines: lower bounds of specification rows over pieces of theta."""
