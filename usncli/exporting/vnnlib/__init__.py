"""Our queries in the formats of VNN-COMP, for other verifiers."""

from usncli.exporting.vnnlib.queries import QueriesRecord, QueryOptions, export_queries
from usncli.exporting.vnnlib.text import VnnlibVersion

__all__ = ["QueriesRecord", "QueryOptions", "VnnlibVersion", "export_queries"]
