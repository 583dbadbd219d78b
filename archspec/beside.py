"""Work beside other work: a process that is a copy of this one does it on another processor, and sends what comes out."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn, TypeVar

T = TypeVar("T")


def beside(work: Callable[[], T]) -> Callable[[], T]:
    """A function that gives the value of `work`, which is worked out meanwhile. The value must be one that can be pickled.

    Where there is no second processor, where this process has other threads, which a copy would lack, or where the copy
    fails, the work is done when its value is asked for.
    """
    if not _may_copy():
        return work
    reading, writing = os.pipe()
    try:
        process = os.fork()
    except OSError:  # no memory, or too many processes
        os.close(reading)
        os.close(writing)
        return work
    if process == 0:
        _send(work, writing)
    os.close(writing)
    return partial(_received, work, reading, process)


def _may_copy() -> bool:
    threads = Path("/proc/self/task")
    return threads.is_dir() and len(list(threads.iterdir())) == 1 and len(os.sched_getaffinity(0)) > 1


def _send(work: Callable[[], T], writing: int) -> NoReturn:
    """Ends the copy without what this process does when it ends."""
    try:
        with os.fdopen(writing, "wb") as pipe:
            pickle.dump(work(), pipe)
        os._exit(0)
    finally:
        os._exit(1)


def _received(work: Callable[[], T], reading: int, process: int) -> T:
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(process, 0)
    value: T = pickle.loads(data) if status == 0 else work()
    return value
