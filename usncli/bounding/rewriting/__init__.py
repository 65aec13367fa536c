"""Exact rewriting of captured networks into what can be bounded."""

from usncli.bounding.rewriting.rewrite import UnsupportedOperation, rewrite, unsupported_operations
from usncli.bounding.rewriting.vocabulary import Vocabulary

__all__ = ["UnsupportedOperation", "Vocabulary", "rewrite", "unsupported_operations"]
