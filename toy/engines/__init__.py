"""Engines: the same loop over steps as compiled code (numba), as NumPy arrays, and over torch optimizers.

Imports `mechanisms.law` and `mechanisms.system`.
"""
