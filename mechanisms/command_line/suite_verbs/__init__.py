"""The verbs of every layer, one module each, with `add_arguments(parser, layer)` and `run(layer, options)`."""
