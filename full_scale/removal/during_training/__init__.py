"""Removal while a network trains: what is dead goes, model and optimizer go on, and each step costs less than the one before.

Imports the rest of `full_scale.removal` and reads optimizers by `full_scale.monitor`.
"""
