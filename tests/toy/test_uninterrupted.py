"""What numba compiles is compiled to its end, whatever signal comes."""

import signal

import pytest

from mechanisms.system.signals import insistent


def test_a_compilation_ends_before_it_is_interrupted():
    numba = pytest.importorskip("numba")
    pytest.importorskip("toy.engines.numba_backend")
    from numba.core import event

    class SignalAtStart(event.Listener):
        def on_start(self, _):
            signal.raise_signal(signal.SIGINT)

        def on_end(self, _):
            pass

    double = numba.njit(lambda x: x + x)
    with insistent(), pytest.raises(KeyboardInterrupt), event.install_listener("numba:compile", SignalAtStart()):
        double(1.0)
    assert len(double.signatures) == 1
    assert double(1.0) == 2.0
