"""How a wrong value is refused: one line that names the field, the value, what is valid and what to do."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from typing import cast


class UserError(Exception):
    """A mistake of the user or of the user's data; the command line prints it as one line and exits with status 2."""


class NamesCode(UserError):
    """A record names somebody's own code, which reading a record must not run."""


class InvalidValue(UserError, ValueError):
    """A field of a spec has a value that it cannot have."""


def first_line(problem: BaseException) -> str:
    """The first line of an error's text, at most 200 characters; the name of its class where it says nothing."""
    try:
        said = str(problem).strip()
    except Exception:  # of somebody's own class
        said = ""
    return (said or type(problem).__name__).splitlines()[0][:200]


def unknown(what: str, name: str, known: Iterable[str]) -> InvalidValue:
    """Make the error for a name that is none of the known ones; it says which one is near.

    >>> print(unknown("figure", "deacy", ["decay", "forces"]))
    unknown figure 'deacy': did you mean decay? There are decay, forces
    """
    names = list(known)
    near = difflib.get_close_matches(name, names, 1)
    told = f"did you mean {near[0]}? There" if near else "there"
    return InvalidValue(f"unknown {what} {name!r}: {told} are {', '.join(names) or 'none'}")


def require(condition: bool, field: str, value: object, valid: str) -> None:
    """Raises `InvalidValue` unless the condition holds.

    >>> require(2 < 1, "strength", -1.0, "a number >= 0")
    Traceback (most recent call last):
    mechanisms.validation.InvalidValue: strength = -1.0 is not valid: use a number >= 0
    """
    if not condition:
        raise InvalidValue(f"{field} = {value!r} is not valid: use {valid}")


def is_finite(value: object) -> bool:
    """Whether a value is a number that a float can hold."""
    try:
        return isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:
        return False


def require_between(field: str, value: float, low: float, high: float) -> None:
    """Raises `InvalidValue` unless low <= value < high."""
    require(is_finite(value) and low <= value < high, field, value, f"a number in [{low:g}, {high:g})")


def require_at_least(field: str, value: float, low: float) -> None:
    """Raises `InvalidValue` unless the value is finite and at least `low`."""
    require(is_finite(value) and value >= low, field, value, f"a finite number >= {low:g}")


def require_above(field: str, value: float, low: float) -> None:
    """Raises `InvalidValue` unless the value is finite and larger than `low`."""
    require(is_finite(value) and value > low, field, value, f"a finite number > {low:g}")


LARGEST_COUNT = 10**12


def require_whole(field: str, value: object, low: int, high: int = LARGEST_COUNT) -> None:
    """Raises `InvalidValue` unless the value is a whole number from `low` to `high`, both included."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    require(whole and low <= cast(int, value) <= high, field, value, f"a whole number from {low} to {high}")


def require_choice(field: str, value: object, choices: tuple[object, ...]) -> None:
    """Raises `InvalidValue` unless the value is one of the choices."""
    require(value in choices, field, value, "one of " + ", ".join(map(str, choices)))
