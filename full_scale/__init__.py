"""The same law on a convolutional network: small data sets, one command, the tables that the toy layer also emits."""
