"""Data sets: one file each, found by being here."""

from full_scale.discovery import import_modules

import_modules(__name__, __path__)
