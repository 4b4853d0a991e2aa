"""A user's own code as a choice of a spec, written as `custom:PACKAGE.MODULE:CALLABLE`.

The path imports the user's code by design: that is how data and networks that this package does not know are used.
"""

from __future__ import annotations

import contextlib
import contextvars
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from mechanisms.validation import NamesCode, UserError, require

WRITTEN_AS = "custom:PACKAGE.MODULE:CALLABLE"


@dataclass(frozen=True)
class AbstractCustom:
    """What choices that are a user's own code share: the path of a callable, as the `kind` of thing that it makes.

    The identity of a spec holds the path, not the code behind it: after editing the code, record elsewhere (`--runs`).

    Raises:
        InvalidValue: the path is not PACKAGE.MODULE:CALLABLE.
    """

    name: ClassVar[str] = "custom"
    written_as: ClassVar[str] = WRITTEN_AS
    kind: ClassVar[str]
    path: str

    def __post_init__(self) -> None:
        require_path(f"{self.kind}.path", self.path)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The choice of a text "custom:PACKAGE.MODULE:CALLABLE", or of the path alone."""
        return cls(path=text.removeprefix(f"{cls.name}:"))


def require_path(field: str, path: object) -> None:
    """Raises `InvalidValue` unless the value is a text "PACKAGE.MODULE:CALLABLE".

    >>> require_path("network.path", "mylab.networks:small")
    >>> require_path("network.path", "mylab.networks")
    Traceback (most recent call last):
    mechanisms.validation.InvalidValue: network.path = 'mylab.networks' is not valid: use PACKAGE.MODULE:CALLABLE
    """
    parts = path.split(":") if isinstance(path, str) else []
    dotted = len(parts) == 2 and all(name.isidentifier() for part in parts for name in part.split("."))
    require(dotted, field, path, "PACKAGE.MODULE:CALLABLE")


_unwanted: contextvars.ContextVar[str] = contextvars.ContextVar("_unwanted", default="")


@contextlib.contextmanager
def importing_nothing(advice: str) -> Iterator[None]:
    """Within it, a path of a user's own code is not imported but refused with `NamesCode`, which ends in `advice`."""
    token = _unwanted.set(advice)
    try:
        yield
    finally:
        _unwanted.reset(token)


def imported(field: str, path: str) -> Callable[..., Any]:
    """What a path "PACKAGE.MODULE:CALLABLE" names.

    Raises:
        NamesCode: within `importing_nothing`.
        UserError: there is no such callable.
    """
    if _unwanted.get():
        raise NamesCode(f"{field} {path} is code that a record names, and reading a record runs none: {_unwanted.get()}")
    module_name, _, name = path.partition(":")
    with blaming(f"{field} {path}", f"module {module_name} cannot be imported"):
        found: Any = importlib.import_module(module_name)
    for part in name.split("."):
        found = getattr(found, part, None)
    require(callable(found), field, path, f"a function or class that module {module_name} has")
    return found  # type: ignore[no-any-return]


@contextlib.contextmanager
def blaming(what: str, task: str) -> Iterator[None]:
    """Turns what foreign code raises into one line that names it and what was asked of it; a `UserError` keeps its own words."""
    try:
        yield
    except NamesCode:
        raise
    except UserError as error:
        raise UserError(f"{what}: {error}") from None
    except (Exception, SystemExit) as error:
        first = (str(error).strip().splitlines() or [""])[0]
        raise UserError(f"{what}: {task} ({type(error).__name__}: {first})") from None
