"""Explanatory figures, drawn from records; one file a figure in `figures.gallery`."""
