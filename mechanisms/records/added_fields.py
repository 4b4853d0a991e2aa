"""Fields that a spec class got after records of it were made.

Where such a field has its default it is not written, so that older records keep their identity and are read as what they are.
"""

from __future__ import annotations

import dataclasses
from typing import Any, cast

ADDED = "added"
"""Key of the metadata of such fields."""


def added(default: Any) -> Any:
    """A dataclass field with a default under which a spec is written, and named, as before the class had the field.

    The default must mean what was the case before, and must never change. The field is given by name alone.
    """
    return dataclasses.field(default=default, kw_only=True, metadata={ADDED: True})


def added_fields(cls: type) -> dict[str, Any]:
    """Name → default of the fields of a spec class that `added` declares."""
    return {f.name: f.default for f in dataclasses.fields(cast(Any, cls)) if ADDED in f.metadata}
