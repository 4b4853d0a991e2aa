"""What the toy tests share: a simulation as a table, and a mean with its standard error over features."""

import numpy as np
import pytest

from toy.simulate import run


@pytest.fixture(scope="session")
def simulate():
    """simulate(spec, seed=0) -> the features table; equal specs are simulated once."""
    done = {}

    def table(spec, seed=0):
        if (spec, seed) not in done:
            done[spec, seed] = run(spec, seed)[0]["features"]
        return done[spec, seed]

    return table


@pytest.fixture(scope="session")
def estimate():
    """estimate(values) -> (mean, standard error) over independent features."""

    def mean_and_error(values):
        values = np.asarray(values)
        return values.mean(), values.std(ddof=1) / np.sqrt(len(values))

    return mean_and_error
