"""The bookkeeping that both layers share: specs and their identity, records on disk, random streams, the command line."""
