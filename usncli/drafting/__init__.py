"""Drafting a usn.yaml: what a checkpoint and images tell of the settings, and what a person has to say."""
