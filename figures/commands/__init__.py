"""The verbs of `python -m figures`: one module each, with `add_arguments(parser)` and `run(options)`."""
