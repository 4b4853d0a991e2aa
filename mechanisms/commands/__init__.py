"""The verbs of `python -m mechanisms`: one module each, found by itself."""
