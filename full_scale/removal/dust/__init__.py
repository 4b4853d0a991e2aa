"""Filters whose weights are nearly 0: which they are, what removing them changes, and how far a limit of that goes."""
