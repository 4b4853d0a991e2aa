"""Verbs of `python -m full_scale` beyond those of every layer: one file each, found by being here."""
