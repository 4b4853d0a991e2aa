"""Records: specs and their identities, the tables on disk, the index over them, and how they are found and loaded.

Imports `law` (whose classes are choices in specs) and `system`.
"""
