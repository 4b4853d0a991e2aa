"""What several verbs of `mechanisms` share, and what one of them reads from records."""
