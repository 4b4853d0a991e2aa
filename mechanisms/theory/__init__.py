"""Closed forms: what the law implies for a feature and for a layer, and the three meanings of weight decay translated.

Imports `law` and `measures`.
"""
