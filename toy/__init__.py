"""The toy layer: single features, one or two scalar parameters each, under the same law as a network."""
