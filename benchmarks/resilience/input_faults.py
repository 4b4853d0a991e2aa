"""Faults of what is read: flipped bits, files cut short, manifests of other versions or without a field."""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.resilience.commands import Command, settings
from benchmarks.resilience.process_faults import Trial
from benchmarks.resilience.settled import complaints
from mechanisms.sweeps.executors import environment

MANIFEST = "manifest.json"
Change = Callable[[bytes, random.Random], bytes]


def flip_bits(content: bytes, draw: random.Random) -> bytes:
    """One to eight bits at random places are the opposite."""
    changed = bytearray(content)
    for _ in range(draw.randint(1, 8)):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def cut_short(content: bytes, draw: random.Random) -> bytes:
    """The end is missing, at a random place; sometimes all of it."""
    return content[: draw.randrange(len(content))]


def overwrite(content: bytes, draw: random.Random) -> bytes:
    """A piece of up to 512 bytes at a random place is zero, as after a lost block."""
    first = draw.randrange(len(content))
    size = min(draw.randint(1, 512), len(content) - first)
    return content[:first] + bytes(size) + content[first + size :]


def without_a_field(content: bytes, draw: random.Random) -> bytes:
    """A manifest that lacks one of its fields, or one field of a field."""
    manifest = json.loads(content)
    inside = draw.choice([manifest, *(value for value in manifest.values() if isinstance(value, dict) and value)])
    del inside[draw.choice(sorted(inside))]
    return json.dumps(manifest).encode()


def of_schema(schema: Any) -> Change:
    """A manifest of another version of this program."""
    return lambda content, draw: json.dumps({**json.loads(content), "schema": schema}).encode()


DAMAGES = (flip_bits, cut_short, overwrite)
OTHER_VERSIONS = {"newer schema": of_schema(99), "older schema": of_schema(0), "missing field": without_a_field}
DAMAGED = "damaged input"
INPUTS = (DAMAGED, *OTHER_VERSIONS)
"""The faults of what is read, by name."""


def files(command: Command, place: Path) -> list[Path]:
    """The files that a command reads: the given ones, and all below the given folders."""
    given = [place / name for name in command.reads]
    below = [path for folder in given if folder.is_dir() for path in sorted(folder.rglob("*")) if path.is_file()]
    return [path for path in given if path.is_file()] + below


def input_trials(command: Command, place: Path, draw: random.Random, variants: int, others: int) -> dict[str, list[Trial]]:
    """Fault → its trials in a workspace where all that the command reads is there: damaged files, manifests of other versions."""
    there = [path.relative_to(place) for path in files(command, place)]
    manifests = [path for path in there if path.name == MANIFEST][:others]
    damages: list[Trial] = [
        functools.partial(after_damage, command, draw.choice(there), draw.choice(DAMAGES), draw.randrange(2**32))
        for _ in range(variants if there else 0)
    ]
    found = {DAMAGED: damages} if damages else {}
    for name, change in OTHER_VERSIONS.items() if manifests else ():
        found[name] = [functools.partial(after_damage, command, path, change, draw.randrange(2**32)) for path in manifests]
    return found


def in_this_process(command: Command, place: Path) -> tuple[int, str]:
    """(status, standard error) of a command that runs here, because starting an interpreter costs more than most commands do."""
    package, verb = command.verb.split()
    main = importlib.import_module(f"{package}.__main__")
    errors, before = io.StringIO(), Path.cwd()
    os.chdir(place)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors), environment(settings(place)):
            status = main.main([verb, *command.words])
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
    except Exception as error:  # anything else reaches the user as a traceback
        status, errors = 1, io.StringIO(f"Traceback: {type(error).__name__}: {error}")
    finally:
        os.chdir(before)
    return status, errors.getvalue()


def after_damage(command: Command, changed: Path, change: Change, seed: int, place: Path) -> list[str]:
    """What went wrong when a file was changed: it may be refused or made again, but never end in a traceback."""
    content = (place / changed).read_bytes()
    (place / changed).write_bytes(change(content, random.Random(seed)))
    status, errors = in_this_process(command, place)
    return [f"{changed}: {line}" for line in complaints(status, errors, (0, 2))]
