"""Pickles are taken apart, never loaded: plain values come out, and whatever else they ask for is refused."""

from __future__ import annotations

import contextlib
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from full_scale.data.files.unpickling import parse_plain

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=5) | st.binary(min_size=1, max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple) | st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), PLAIN, max_size=4), st.sampled_from([2, 3, 4]))
def test_plain_values_come_back(values: dict[str, Any], protocol: int) -> None:
    assert parse_plain(pickle.dumps(values, protocol)) == values


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_arrays_of_bytes_come_back(protocol: int) -> None:
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    values = parse_plain(pickle.dumps({"data": array, "again": array, "labels": [1, 2, 3]}, protocol))
    assert np.array_equal(values["data"], array)
    assert np.array_equal(values["again"], array)
    assert values["labels"] == [1, 2, 3]


def test_what_python_2_wrote_is_read_like_pickle_itself_reads_it(as_python_2: Callable[..., bytes]) -> None:
    content = as_python_2(np.arange(8, dtype=np.uint8).reshape(2, 4), [3, 5], "labels")
    ours, theirs = parse_plain(content), pickle.loads(content.replace(b"numpy.core", b"numpy._core"), encoding="bytes")
    assert set(ours) == set(theirs)
    assert np.array_equal(ours[b"data"], theirs[b"data"])
    assert {k: v for k, v in ours.items() if k != b"data"} == {k: v for k, v in theirs.items() if k != b"data"}


class _Runs:
    """Pickles as a call of `os.mkdir`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_run_something_is_refused_and_does_not_run(tmp_path: Path, protocol: int) -> None:
    trap = tmp_path / "sprung"
    content = pickle.dumps({"data": _Runs(trap)}, protocol)
    with pytest.raises(ValueError, match="plain values do not need"):
        parse_plain(content)
    assert not trap.exists()
    pickle.loads(content)
    assert trap.exists(), "the trap must be one"


@pytest.mark.parametrize(
    "content",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"(S'true'\nios\nsystem\n.",
        b"\x80\x02cnumpy\nndarray\nK\x08\x85R.",
        b"\x80\x02cnumpy\nndarray\n)\x81.",
        b"\x80\x02cnumpy\ndtype\nU\x01OK\x00K\x01\x87R.",
        b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00hex\x86R.",
        b"\x80\x02}U\x01a}b.",
        b"\x80\x02P1\n.",
        b"\x80\x02\x82\x01.",
        pickle.dumps({"data": np.array([object()])}),
        pickle.dumps({"data": np.arange(3)}),
        pickle.dumps(OrderedDict(a=1)),
        pickle.dumps({"data": {1, 2}}),
        pickle.dumps([1, 2]),
    ],
)
def test_what_plain_values_do_not_need_is_refused(content: bytes) -> None:
    with pytest.raises((ValueError, IndexError)):
        parse_plain(content)


@given(st.data())
def test_a_damaged_pickle_is_an_error_of_the_usual_kinds_or_plain(data: st.DataObject) -> None:
    whole = bytearray(pickle.dumps({"data": np.zeros((2, 2), np.uint8), "labels": [1, 2]}, 2))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    with contextlib.suppress(ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError):
        assert isinstance(parse_plain(cut), dict)


def test_a_pickle_cut_short_is_refused() -> None:
    whole = pickle.dumps({"labels": list(range(300)), "data": np.zeros(9, np.uint8)}, 2)
    for length in range(len(whole)):
        with pytest.raises((ValueError, IndexError, KeyError)):
            parse_plain(whole[:length])
