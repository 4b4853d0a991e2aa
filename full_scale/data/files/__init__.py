"""Files of images: archives, decoding, downloads, and where data sets lie.

Imports `mechanisms.validation` and `mechanisms.system`.
"""
