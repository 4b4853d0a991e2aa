"""Named random streams."""

import numpy as np
import pytest

from mechanisms.records.rng import stream
from mechanisms.validation import InvalidValue


def test_equal_names_equal_numbers_other_names_other_numbers():
    first = stream(1, "gradient").standard_normal(1000)
    assert (first == stream(1, "gradient").standard_normal(1000)).all()
    for other in (stream(2, "gradient"), stream(1, "init")):
        assert abs(np.corrcoef(first, other.standard_normal(1000))[0, 1]) < 0.15


def test_pinned():
    """The first numbers of a stream may never change: records could not be made again."""
    assert stream(0, "gradient").integers(0, 2**31, 2).tolist() == [258157364, 2091855782]


@pytest.mark.parametrize("seed", [-1, 0.5, "0", None])
def test_seeds_are_whole_numbers(seed):
    with pytest.raises(InvalidValue, match="seed"):
        stream(seed, "init")
