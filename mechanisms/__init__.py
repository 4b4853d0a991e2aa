"""The law that both layers share: update rules, regularizers, their measurement and their predictions."""
