"""Benchmarks: each runs both sides in turn in one process and prints medians and their ratio."""
