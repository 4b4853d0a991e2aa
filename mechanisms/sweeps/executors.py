"""Where a sweep computes: in this process, in processes of this machine, or on a cluster that exists already."""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future, InvalidStateError
from contextlib import AbstractContextManager
from typing import Any

from mechanisms.system.progress import say
from mechanisms.validation import UserError, require_whole

_numbers: list[int] = []
"""Of this process, if it is a worker: its number."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS")
SECONDS_TO_ANSWER = 10
SECONDS_BETWEEN_LOOKS = 0.5
Opener = Callable[[], AbstractContextManager[Executor]]
"""Makes an executor to work with; called again if the one before broke."""


class InTurn(Executor):
    """Computes in this process, when something is submitted."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        """A future that is done already."""
        future = Future[Any]()
        try:
            future.set_result(function(*arguments, **options))
        except Exception as error:  # the future carries whatever was raised
            future.set_exception(error)
        return future


def on_this_machine(jobs: int) -> Opener:
    """Computes in turn in this process, or in several processes of this machine."""
    require_whole("--jobs", jobs, 1)
    return InTurn if jobs == 1 else lambda: _local_processes(jobs)


@contextlib.contextmanager
def _local_processes(jobs: int) -> Iterator[Executor]:
    """Fresh processes with one thread each; they end with this one, however it ends."""
    context = multiprocessing.get_context("spawn")
    numbers = context.SimpleQueue()
    for number in range(jobs):
        numbers.put(number)
    # In the environment before a worker starts: libraries read their number of threads when they are loaded.
    with environment(dict.fromkeys(THREADS, "1")):
        executor = concurrent.futures.ProcessPoolExecutor(jobs, context, initializer=_start_worker, initargs=(numbers,))
        try:
            yield executor
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise
        executor.shutdown()


@contextlib.contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Within it, the environment variables have these values."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def own_number() -> int:
    """The number of this worker process among those of its sweep on this machine, from 0; 0 of other processes."""
    return _numbers[0] if _numbers else 0


def _start_worker(numbers: Any) -> None:
    _numbers[:] = [numbers.get()]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: Any) -> None:
    """Ends this worker when its parent dies, so that no orphan goes on computing."""
    parent.join()
    os._exit(1)


def on_cluster(address: str, gpu_share: float | None = None) -> Opener:
    """Computes on the workers of a Dask scheduler; with a share, each run takes that much of a worker's resource "GPU"."""
    return lambda: _dask(address, gpu_share)


@contextlib.contextmanager
def _dask(address: str, gpu_share: float | None) -> Iterator[Executor]:
    try:
        from distributed import Client
    except ImportError:
        raise UserError("--cluster needs Dask distributed: pip install 'implicit-filter-sparsity[cluster]'") from None
    try:
        client = Client(address, timeout=SECONDS_TO_ANSWER, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"no Dask scheduler answers at {address} ({reason}): start one, or correct --cluster") from None
    options = {} if gpu_share is None else {"resources": {"GPU": gpu_share}}
    with _quiet("distributed.client", "tornado.application"):
        try:
            _look_at_workers(client.scheduler_info(n_workers=-1)["workers"].values(), gpu_share)
            with client.get_executor(pure=False, **options) as executor:
                try:
                    yield Watched(executor, lambda: client.status != "closed")
                except BaseException:
                    executor.shutdown(wait=False)
                    raise
        finally:
            with contextlib.suppress(Exception):  # a lost scheduler cannot be left politely
                client.close(timeout=SECONDS_TO_ANSWER)


@contextlib.contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Within it, these loggers print no trace of what becomes one line anyway."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class Watched(Executor):
    """Another executor, whose futures are cancelled when it is no longer connected, so that nobody waits for them for ever."""

    def __init__(self, executor: Executor, connected: Callable[[], bool]) -> None:
        self._executor = executor
        self._connected = connected
        self._pending = set[Future[Any]]()
        threading.Thread(target=self._watch, daemon=True).start()

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        """The future of the other executor."""
        try:
            future = self._executor.submit(function, *arguments, **options)
        except Exception as error:
            if self._connected():
                raise
            raise CancelledError from error
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        return future

    def _watch(self) -> None:
        while self._connected():
            time.sleep(SECONDS_BETWEEN_LOOKS)
        for future in self._pending.copy():
            with contextlib.suppress(InvalidStateError):  # it was cancelled meanwhile
                future.set_exception(CancelledError())


def _look_at_workers(workers: Any, gpu_share: float | None) -> None:
    """Says what the person who started the cluster may want to change."""
    if gpu_share is not None:
        workers = [worker for worker in workers if worker["resources"].get("GPU", 0) >= gpu_share]
    if not workers:
        needed = "" if gpu_share is None else f" with the resource GPU={gpu_share:g} (dask worker --resources 'GPU=1')"
        say(f"the cluster has no worker{needed} yet: waiting for one")
    if any(worker["nthreads"] > 1 for worker in workers):
        say("a worker of the cluster has several threads, of which one computes at a time: use dask worker --nthreads 1")
