"""Pruning protocols and trained sparsifiers, compared with what dies by itself.

Imports `training`, `measure` and `removal`.
"""
