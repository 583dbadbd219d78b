"""Threads that run tables of kernel calls together."""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from archspec.runtime.ports import Inlet, Port, arrays_are_known
from archspec.runtime.stage import LINE, aligned

GATE, FINITE_GATE = 2, 3  # barriers that a table ends at when an input is refused, and when the loss is not finite
EXPONENTS = {4: 0x7F800000, 8: 0x7FF0000000000000}  # by bytes of a number: the bits that say that it is not finite
ENTRY = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


class Table:
    """Rows of (address, barrier before it, arguments …), fixed once made. `owners` keeps alive what they point to: the bound
    stages whose rows they are, one after another. Through an `inlet` a table takes in its batch by itself. `loss` is what
    FINITE_GATEs look at."""

    def __init__(
        self,
        words: NDArray[np.int64],
        owners: tuple[Any, ...] = (),
        inlet: Inlet | None = None,
        loss: NDArray[Any] | None = None,
    ) -> None:
        self.watched = (loss.ctypes.data, EXPONENTS[loss.itemsize]) if loss is not None else (0, 0)
        self.words, self.owners, self.inlet = np.ascontiguousarray(words), owners, inlet
        self.letting_in = Table(behind_gate(inlet.rows, self.words), owners) if inlet is not None else self
        self.place: tuple[int, int, int] = (self.words.ctypes.data, *self.words.shape)

    def rewritten(self, words: NDArray[np.int64]) -> Table:
        """The same with other rows."""
        made = Table(words, self.owners)
        made.watched = self.watched
        return made


class Timer(Protocol):
    """Runs tables in its own way, to take their time."""

    def run(self, table: Table, run: Callable[[Table], None]) -> None: ...


class Executor:
    """Runs tables on `threads` threads: the caller's and workers that wait in native code between steps.

    `address_of` says where the driver's functions `drive` and `wait` lie; it is asked at the first table. ctypes lets go of
    the GIL while they run. A `timer` is handed every table.
    """

    def __init__(self, address_of: Callable[[str], int], threads: int) -> None:
        self.threads = threads
        self.timer: Timer | None = None
        self._address_of = address_of
        self._board = aligned(LINE * threads).view(np.int64)
        self._posted: memoryview[Any] = self._board.data  # see `wait` in codegen/driver.py
        self._counters = aligned(2 * LINE).view(np.int64)
        self._shared: memoryview[Any] = self._counters.data
        self._table: Table | None = None
        self._workers: list[_Worker] = []
        self._finalizer = weakref.finalize(self, _stop, self._workers)

    def run(self, table: Table) -> None:
        """Runs all rows of a table and returns when every thread is done."""
        if self.timer is not None:
            self.timer.run(table, self._run)
        else:
            self._run(table)

    @cached_property
    def _drive(self) -> Callable[[], None]:
        """The driver's loop, with its arguments: ctypes takes numbers of its own as they are. The workers start with it."""
        wait = self._address_of("wait") if self.threads > 1 else 0
        self._workers += [_Worker(wait, self._board, self._counters, i, self.threads) for i in range(1, self.threads)]
        self._posted[4] = self._counters.ctypes.data
        words = ctypes.c_void_p(self._board[1:].ctypes.data)
        return partial(ENTRY(self._address_of("drive")), words, ctypes.c_int64(0), ctypes.c_int64(self.threads))

    def run_letting_in(self, table: Table) -> bool:
        """Runs a table on what its inlet was given; whether that was taken. If not, nothing was run."""
        self.run(table.letting_in)
        if self._shared[8]:
            self._shared[8] = 0
            return False
        return True

    def inlet(self, into: Sequence[Port] | None) -> Inlet | None:
        """An inlet for tables of this executor."""
        if not into or not arrays_are_known():
            return None
        return Inlet(into, self._address_of("let_in"), self._counters.ctypes.data)

    def _run(self, table: Table) -> None:
        drive = self._drive
        if table is not self._table:
            self._posted[1], self._posted[2], self._posted[3] = table.place
            self._shared[9], self._shared[10] = table.watched
            self._table = table
        if self._workers:
            self._post()
        drive()

    def _post(self) -> None:
        """Tells the workers. The count is raised before looking who sleeps: a worker looks the other way round."""
        self._posted[0] += 1
        for worker in self._workers:
            if worker.resting:
                worker.wake()

    def close(self) -> None:
        """Ends the workers. From then on tables run on the caller's thread alone: nobody else is left to meet at a barrier."""
        self._finalizer()
        self._workers, self.threads = [], 1
        self.__dict__.pop("_drive", None)


class _Worker:
    """One thread beside the caller's. It sleeps after a while without work, so that an idle program takes no CPU."""

    def __init__(self, wait: int, board: NDArray[np.int64], counters: NDArray[np.int64], number: int, threads: int) -> None:
        self._wait = ENTRY(wait)
        self._words = np.array([board.ctypes.data, counters.ctypes.data], np.int64)
        self._board, self._counters = board, counters
        self._number, self._threads = number, threads
        self._event = threading.Event()
        self.resting = False
        self.stopping = False
        self._thread = threading.Thread(target=self._live, name=f"archspec-{number}", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        self._event.set()

    def stop(self) -> None:
        """Returns once the thread has left native code, which may be gone a moment later."""
        self.stopping = True
        self._board[5] = 1
        self._event.set()
        self._thread.join()

    def _live(self) -> None:
        while not self.stopping:
            self._wait(self._words.ctypes.data, self._number, self._threads)
            self._rest()

    def _rest(self) -> None:
        """Sleeps until woken. A table posted between the last look and the flag is seen by the second look."""
        self.resting = True
        if self._board[8 * self._number] == self._board[0] and not self.stopping:
            self._event.wait()
        self._event.clear()
        self.resting = False


def joined(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """One table of several; the threads meet where one part ends and the next begins, as they do at the end of every table."""
    parts = [p for p in parts if len(p)]
    if not parts:
        return np.zeros((0, 2), np.int64)
    width = max(p.shape[1] for p in parts)
    rows = np.zeros((sum(len(p) for p in parts), width), np.int64)
    at = 0
    for part in parts:
        rows[at : at + len(part), : part.shape[1]] = part
        rows[at, 1] = int(at > 0)
        at += len(part)
    return rows


def behind_gate(first: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
    """One table of two, which ends after the first where one of its rows refuses an input."""
    rows = joined([first, others])
    rows[len(first) : len(first) + 1, 1] = GATE
    return rows


def _stop(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.stop()
