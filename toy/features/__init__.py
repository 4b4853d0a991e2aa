"""Gradient models of a single feature, and the conjectures about them that experiments test.

Imports `mechanisms.law`.
"""
