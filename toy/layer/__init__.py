"""A layer of competing features between two normalizations: the smallest system that has what networks have."""
