"""Filters whose weights are nearly 0: which they are, how much their removal changes, and which of them a limit of that allows."""
