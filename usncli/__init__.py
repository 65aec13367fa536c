"""Certified semantic robustness as a release gate."""
