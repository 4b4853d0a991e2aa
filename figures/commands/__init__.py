"""The verbs of `python -m figures`: one module each, with `command`."""
