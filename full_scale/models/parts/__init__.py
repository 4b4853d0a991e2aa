"""The torch side of the networks: their blocks, their initial weights, and how their calls are traced."""
