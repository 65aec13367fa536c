"""Exact rewriting of captured networks into what can be bounded."""

from usncli.certifying.rewriting.rewrite import UnsupportedOperation, rewrite, unsupported_operations

__all__ = ["UnsupportedOperation", "rewrite", "unsupported_operations"]
