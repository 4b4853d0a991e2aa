"""Specs: frozen dataclasses that hold all that decides a result but the seed; their JSON form and their identity.

A field whose annotation is an abstract class ("rule: AbstractUpdateRule") is a choice: any final subclass, by its `name`. A class
with `written_as` is written out instead, "NAME:…", and its `parse` reads that text.
Fields that a class got later are declared by `added_fields.added`.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import json
import math
import types
import typing
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, TypeVar, cast

from mechanisms.law import torch_rules as torch_rules  # its rule is a choice of `rule` too
from mechanisms.records.added_fields import added_fields
from mechanisms.validation import InvalidValue, UserError, is_finite, require, unknown

Spec = TypeVar("Spec")
TYPE_KEY = "type"
CUSTOM = "custom"
"""The name of choices that are one's own code."""


class UnknownField(InvalidValue):
    """A spec has no field of that name; `path` is what was looked for, from the spec that lacks it."""

    def __init__(self, message: str, path: str) -> None:
        super().__init__(message)
        self.path = path


def field_types(cls: type) -> dict[str, Any]:
    """Field name → resolved annotation of a spec class, in the order of definition."""
    return _resolved(cast(Hashable, cls))


@functools.cache
def _resolved(cls: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls)}


def choices(abstract: type) -> dict[str, type]:
    """Name → final class of every choice below an abstract class that a name alone makes, sorted by name."""
    return {name: cls for name, cls in _final_classes(abstract).items() if not hasattr(cls, "written_as")}


def written_choices(abstract: type) -> dict[str, Any]:
    """Name → final class of every choice below an abstract class that is written out, sorted by name."""
    return {name: cls for name, cls in _final_classes(abstract).items() if hasattr(cls, "written_as")}


def _final_classes(abstract: type) -> dict[str, type]:
    found: dict[str, type] = {}
    children: list[type] = abstract.__subclasses__()
    for child in children:
        found |= _final_classes(child) if child.__name__.startswith("Abstract") else {cast(Any, child).name: child}
    return dict(sorted(found.items()))


def is_choice(annotation: Any) -> bool:
    """Whether a field of this annotation holds one of several classes."""
    return inspect.isclass(annotation) and annotation.__name__.startswith("Abstract")


def to_json(spec: Any) -> dict[str, Any]:
    """The spec as plain JSON values, cast by its annotation; every field but added ones at their default is written."""
    cls = type(spec)
    fields = {name: _plain(getattr(spec, name), hint, name) for name, hint in field_types(cls).items()}
    for name, default in added_fields(cls).items():
        if fields[name] == _plain(default, field_types(cls)[name], name):
            del fields[name]
    return {TYPE_KEY: getattr(cls, "name", cls.__name__), **fields}


def _plain(value: Any, annotation: Any, field: str) -> Any:
    if dataclasses.is_dataclass(value):
        return to_json(value)
    cast_value = cast_to(annotation, value, field)
    if isinstance(cast_value, tuple):
        element = _element(annotation)
        return [_plain(v, element, field) if isinstance(v, tuple) or dataclasses.is_dataclass(v) else v for v in cast_value]
    return cast_value


def _element(annotation: Any) -> Any:
    arguments = [a for a in typing.get_args(annotation) if a is not Ellipsis]
    return arguments[0] if arguments else Any


def cast_to(annotation: Any, value: Any, field: str) -> Any:
    """The value as its annotation means it (1 → 1.0 for a float, a list → a tuple); raises `InvalidValue` if it is not one."""
    options = typing.get_args(annotation)
    if isinstance(annotation, types.UnionType):
        return _cast_to_one_of(options, value, field)
    if typing.get_origin(annotation) is tuple:
        values = value if isinstance(value, list | tuple) else (value,)
        element = _element(annotation)
        # Axes have thousands of values, nearly all of them what they should be already.
        numbers = element is float or typing.get_args(element)[:1] == (float,)
        return tuple(v if numbers and type(v) is float and math.isfinite(v) else cast_to(element, v, field) for v in values)
    if is_choice(annotation):
        return value if isinstance(value, annotation) else make_choice(annotation, str(value), field)
    if annotation is bool:
        require(isinstance(value, bool), field, value, "true or false")
    elif annotation is int:
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        require(whole and not isinstance(value, bool), field, value, "a whole number")
        return int(value)
    elif annotation is float:
        require(not isinstance(value, bool) and is_finite(value), field, value, "a finite number")
        return float(value)
    elif annotation is str:
        if isinstance(value, dict):  # the command line reads a text that is JSON as its value
            return json.dumps(value)
        require(isinstance(value, str), field, value, "a text")
    return value


def _cast_to_one_of(options: tuple[Any, ...], value: Any, field: str) -> Any:
    if value is None and type(None) in options:
        return None
    for option in options:
        try:
            return cast_to(option, value, field)
        except InvalidValue:
            continue
    raise InvalidValue(f"{field} = {value!r} is not valid: use {' or '.join(o.__name__ for o in options)}")


def from_json(cls: type[Spec], data: Mapping[str, Any]) -> Spec:
    """The spec that `to_json` wrote; raises `InvalidValue` on an unknown or a missing field, or where it is no spec at all."""
    require(dataclasses.is_dataclass(cls) and isinstance(data, Mapping), cls.__name__, data, "what a manifest holds")
    hints = field_types(cls)
    unknown = set(data) - set(hints) - {TYPE_KEY}
    missing = set(hints) - set(data) - set(added_fields(cls))
    if unknown or missing:
        raise InvalidValue(f"{cls.__name__}: unknown fields {sorted(unknown)}, missing fields {sorted(missing)}")
    return cls(**{name: _revive(hint, data[name], name) for name, hint in hints.items() if name in data})


def _revive(annotation: Any, value: Any, field: str) -> Any:
    if isinstance(value, Mapping):
        return from_json(_class_of(annotation, value, field), value)
    if typing.get_origin(annotation) is tuple and isinstance(value, list):
        return tuple(_revive(_element(annotation), v, field) for v in value)
    return cast_to(annotation, value, field)


def _class_of(annotation: Any, value: Mapping[str, Any], field: str) -> type:
    if not is_choice(annotation):
        return cast(type, annotation)
    name, written = str(value.get(TYPE_KEY)), written_choices(annotation)
    return written[name] if name in written else choose(annotation, name, field)


def choose(abstract: type, name: str, field: str) -> type:
    """The final class of that name; raises `InvalidValue` with the list of what is valid."""
    found = choices(abstract)
    require(
        name in found, field, name, "one of " + ", ".join([*found, *(c.written_as for c in written_choices(abstract).values())])
    )
    return found[name]


def make_choice(abstract: type, text: str, field: str) -> Any:
    """The object that a text means: a name alone with the defaults of its class, or what is written out ("NAME:…").

    "MODULE:…" without a name is one's own code ("custom:MODULE:…") where the kind has that choice.
    """
    name, colon, _ = text.partition(":")
    written = written_choices(abstract)
    chosen = written.get(name, written.get(CUSTOM)) if colon else None
    return chosen.parse(text) if chosen else choose(abstract, text, field)()


def spec_id(spec: Any) -> str:
    """First 12 hexadecimal digits of the SHA-256 of the spec's canonical JSON: equal for equal settings, in every process."""
    text = json.dumps(to_json(spec), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def flatten(spec: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted field name → plain value, the names of the command line; a choice stands under its own field by name."""
    flat: dict[str, Any] = {}
    for name, value in _numbered({name: getattr(spec, name) for name in field_types(type(spec))}, dataclasses.is_dataclass):
        if dataclasses.is_dataclass(value):
            if hasattr(value, "name"):
                flat[prefix + name] = cast(Any, value).name
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _numbered(fields: Mapping[str, Any], is_spec: Callable[[Any], bool]) -> Iterator[tuple[str, Any]]:
    """The fields, where one holds several specs each of them by its number from 0 ("interventions.0")."""
    for name, value in fields.items():
        if isinstance(value, list | tuple) and value and all(map(is_spec, value)):
            yield from ((f"{name}.{number}", one) for number, one in enumerate(value))
        else:
            yield name, value


def flatten_json(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """As `flatten`, from the JSON form of a spec."""
    flat: dict[str, Any] = {}
    for name, value in _numbered(data, lambda one: isinstance(one, Mapping)):
        if isinstance(value, Mapping):
            flat[prefix + name] = value.get(TYPE_KEY)
            flat |= flatten_json(value, f"{prefix}{name}.")
        elif name != TYPE_KEY:
            flat[prefix + name] = value
    return flat


def override(spec: Spec, path: str, value: Any) -> Spec:
    """The spec with the field at a dotted path set to a value (for a choice: a name or an object)."""
    return override_all(spec, ((path, value),))


def override_all(spec: Spec, fields: Iterable[tuple[str, Any]]) -> Spec:
    """The spec with fields set, first whole ones and then their parts; that all fit together is asked once, after the last."""
    changed: dict[str, Any] = {}
    parts: dict[str, list[tuple[str, Any]]] = {}
    for path, value in fields:
        head, _, rest = path.partition(".")
        if head not in field_types(type(spec)):
            raise UnknownField(str(unknown("field", path, flatten(spec))), path)
        if rest:
            parts.setdefault(head, []).append((rest, value))
        else:
            current = changed.get(head, getattr(spec, head))
            changed[head] = _overridden(current, field_types(type(spec))[head], value, path)
    for head, inner in parts.items():
        changed[head] = _with_parts(changed.get(head, getattr(spec, head)), inner, head)
    return cast(Spec, dataclasses.replace(cast(Any, spec), **changed))


def _with_parts(current: Any, parts: list[tuple[str, Any]], field: str) -> Any:
    """A field with parts of it set: the fields of a spec, or those of the specs it holds, each by its number from 0."""
    if dataclasses.is_dataclass(current):
        return override_all(current, parts)
    specs = list(current) if isinstance(current, tuple) and all(map(dataclasses.is_dataclass, current)) else []
    for path, value in parts:
        number, _, rest = path.partition(".")
        if number not in map(str, range(len(specs))) or not rest:
            valid = f"{field}.0.FIELD to {field}.{len(specs) - 1}.FIELD" if specs else f"{field} has no fields of its own"
            raise InvalidValue(f"unknown field '{field}.{path}': {valid}")
        specs[int(number)] = override_all(specs[int(number)], [(rest, value)])
    return tuple(specs)


def _overridden(current: Any, annotation: Any, value: Any, path: str) -> Any:
    """The new value of a field: the value as its annotation means it."""
    if is_choice(annotation):
        if isinstance(value, annotation):
            return value
        return _replaced(current, make_choice(annotation, str(value), path), annotation)
    return value if dataclasses.is_dataclass(value) else cast_to(annotation, value, path)


def _replaced(current: Any, chosen: Any, abstract: type) -> Any:
    """The new choice with what all choices of its kind share (a regularizer's strength and coupling) kept from the old one."""
    shared = dataclasses.fields(abstract) if dataclasses.is_dataclass(abstract) else ()
    return dataclasses.replace(chosen, **{field.name: getattr(current, field.name) for field in shared})


def parse_value(text: str) -> Any:
    """The value that a command-line text means: JSON where it is JSON, a list at commas outside brackets, else the text itself.

    >>> parse_value("1e-3"), parse_value("adam"), parse_value("0.5,0.8"), parse_value("true")
    (0.001, 'adam', [0.5, 0.8], True)
    >>> parse_value("adam,torch:mylib.Lion(betas=[0.9,0.99])")
    ['adam', 'torch:mylib.Lion(betas=[0.9,0.99])']
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        parts = _split_at_commas(text)
        return [parse_value(part) for part in parts if part] if len(parts) > 1 else text


def _split_at_commas(text: str) -> list[str]:
    """The parts of a text between the commas that no bracket encloses."""
    parts, depth = [""], 0
    for letter in text:
        depth = max(0, depth + (letter in "([{") - (letter in ")]}"))
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def parse_override(text: str) -> tuple[str, Any]:
    """("field", value) of a command-line text "field=value"."""
    field, equals, value = text.partition("=")
    if not equals or not field or not value:
        raise UserError(f"{text!r} is not an override: write field=value, such as regularizer.strength=1e-3")
    return field, parse_value(value)
