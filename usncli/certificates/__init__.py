"""Certificates: what a certification proved, so that others can check it without the search.

`lines` states what a certificate holds, `issue` writes one, `reading` reads it back, `check` proves it anew.
"""
