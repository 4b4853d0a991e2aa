"""Panels and labels that several figures share.

Imports `mechanisms.measures`, `mechanisms.theory` and `figures.style`.
"""
