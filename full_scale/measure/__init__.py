"""Measurements of a network: activations, forces, criteria, and features silenced one by one.

Imports `mechanisms`, `data` and `models`.
"""
