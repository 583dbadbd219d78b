"""Kernels compiled by helpers, each a process of its own, since Numba compiles one kernel at a time.

All take from one list, the costliest kernel first. Helpers start while this process still plans, and are given kernels as
they come. A helper reads a task a line and answers with the length of what it made and the bytes:
    python -m archspec.codegen.worker
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from archspec.codegen import cache
from archspec.codegen.objects import Object, Primitive
from archspec.codegen.shapes import TileShape
from archspec.records import as_dict, record

HELPERS = 4  # at most; together they take half a second to be ready, and some 100 MB each
TASKS_FOR_A_HELPER = 4  # fewer are done before it is ready
READY = b"ready\n"


@record
class Task:
    """One kernel to compile; one without a source is the function `name` of `driver`."""

    key: str
    source: str
    name: str
    kinds: tuple[str, ...]
    precision: str
    shape: TileShape | None
    symbol: str

    @property
    def cost(self) -> int:
        """What grows with the time that it takes to compile: the length of its code."""
        return len(self.source.rpartition('"""')[2])

    def compile(self) -> Object:
        """The object file, which is also put into the cache, and so are those of the primitives that it calls."""
        made = self._compile()
        cache.save(self.key, made.to_bytes())
        for primitive in made.calls:
            primitive_object(primitive)
        return made

    def _compile(self) -> Object:
        from archspec.codegen import native

        made: Object
        if self.shape is None:
            made = native.compile_driver(self.name, self.kinds, self.symbol)
        else:
            made = native.compile_source(self.source, self.name, self.kinds, self.precision, self.shape, self.symbol)
        return made


@functools.cache
def primitive_object(primitive: Primitive) -> Object:
    """The object file of a primitive, from the cache or compiled."""
    key = cache.key_of("primitive", primitive)
    kept = cache.load(key)
    if kept is not None:
        return Object.from_bytes(kept)
    from archspec.codegen.native import compile_primitive

    made: Object = compile_primitive(primitive)
    cache.save(key, made.to_bytes())
    return made


class _List:
    """Tasks that wait and object files that are made, shared by threads."""

    def __init__(self) -> None:
        self.made: dict[str, Object] = {}
        self._changed = threading.Condition()
        self._waiting: list[Task] = []
        self._in_hand = self._servers = 0
        self._complete = False

    def add(self, tasks: Sequence[Task]) -> None:
        with self._changed:
            self._waiting = sorted((*self._waiting, *tasks), key=lambda task: task.cost)
            self._changed.notify_all()

    def complete(self) -> None:
        """Says that nothing will be added by others than helpers that fail."""
        with self._changed:
            self._complete = True
            self._changed.notify_all()

    def take(self) -> Task | None:
        """The costliest task that waits; where none does, one that is added later, or None after the last."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._complete)
            if not self._waiting:
                return None
            self._in_hand += 1
            return self._waiting.pop()

    def put(self, task: Task, made: Object | None) -> None:
        """What became of a task that was taken; None where it has to be tried again."""
        with self._changed:
            self._in_hand -= 1
            if made is None:
                self._waiting.append(task)
            else:
                self.made[task.key] = made
            self._changed.notify_all()

    def serve(self, more: int) -> None:
        """Counts a thread that takes tasks for a helper in, or out."""
        with self._changed:
            self._servers += more
            self._changed.notify_all()

    def wait(self) -> None:
        """Until all is made, or no helper is left."""
        with self._changed:
            self._changed.wait_for(lambda: not self._servers or not (self._waiting or self._in_hand))


@record
class Channel:
    """The way to one helper: tasks go there, object files come back."""

    requests: BinaryIO
    answers: BinaryIO

    def ask(self, task: Task) -> bytes | None:
        """What the helper makes; None where it cannot: then this process tries, and says what is wrong."""
        try:
            self.requests.write(json.dumps(as_dict(task)).encode() + b"\n")
            self.requests.flush()
            length = int.from_bytes(self.answers.read(8), "little")
            answer = self.answers.read(length)
        except (OSError, ValueError):
            return None
        return answer if length and len(answer) == length else None

    def serve(self, tasks: _List) -> None:
        """Hands the helper one task after another. It gets none before it is ready, so that nobody waits for its start."""
        works = self.answers.readline() == READY
        while works and (task := tasks.take()) is not None:
            answer = self.ask(task)
            works = answer is not None
            tasks.put(task, Object.from_bytes(answer) if answer is not None else None)
        tasks.serve(-1)

    def close(self) -> None:
        for end in (self.requests, self.answers):
            with contextlib.suppress(OSError):
                end.close()


class Crew:
    """Compiles what it is given, with helpers that start at once. `tasks` is how many will come, if that is known.

    There is a helper for each core, one of which waits as long as this process has other work. So this process never needs
    the memory that compiling takes; it compiles only where tasks are few, and what helpers cannot.
    """

    def __init__(self, tasks: int | None = None) -> None:
        cores = len(os.sched_getaffinity(0))
        wanted = HELPERS if tasks is None or tasks >= TASKS_FOR_A_HELPER else 0
        self._list = _List()
        self._threads: list[threading.Thread] = []
        process, channels = _start(min(wanted, cores))
        self._resting = channels[cores - 1 :]
        self._end = weakref.finalize(self, _end, self._list, process, channels, self._threads)
        self._serve(channels[: cores - 1])

    def _serve(self, channels: Sequence[Channel]) -> None:
        """Lets some helpers work."""
        for channel in channels:
            self._list.serve(1)
            thread = threading.Thread(target=channel.serve, args=(self._list,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def add(self, tasks: Sequence[Task]) -> None:
        """Lets the helpers begin with some tasks."""
        self._list.add(tasks)

    def finish(self) -> dict[str, Object]:
        """The object files by key, once all are made. The helpers leave."""
        try:
            self._list.complete()
            self._serve(self._resting)
            self._list.wait()
            self._work()  # on what helpers have given back
        finally:
            self._end()
        return self._list.made

    def _work(self) -> None:
        while (task := self._list.take()) is not None:
            self._list.put(task, task.compile())


def _start(count: int) -> tuple[subprocess.Popen[bytes] | None, list[Channel]]:
    """A process that becomes `count` helpers, and the ways to them; none where no process can be started."""
    if count == 0:
        return None, []
    pipes = [(*os.pipe(), *os.pipe()) for _ in range(count)]
    theirs = [(requests, answers) for requests, _, _, answers in pipes]
    command = [sys.executable, "-m", "archspec.codegen.worker", *(f"{requests}:{answers}" for requests, answers in theirs)]
    path = os.pathsep.join(p for p in sys.path if p)
    channels = [Channel(os.fdopen(requests, "wb"), os.fdopen(answers, "rb")) for _, requests, answers, _ in pipes]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
            pass_fds=[end for pair in theirs for end in pair],
            start_new_session=True,
        )
    except OSError:
        for channel in channels:
            channel.close()
        return None, []
    finally:
        for end in (end for pair in theirs for end in pair):
            os.close(end)
    return process, channels


def _end(
    tasks: _List, process: subprocess.Popen[bytes] | None, channels: Sequence[Channel], threads: Sequence[threading.Thread]
) -> None:
    tasks.complete()
    if process is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for thread in threads:
        thread.join()
    for channel in channels:
        channel.close()


def main() -> None:
    """Becomes a helper for each `requests:answers`, two open files by their numbers: the first import takes longest, and is
    done once for all."""
    from archspec.codegen import native  # noqa: F401

    channels = [tuple(map(int, word.split(":"))) for word in sys.argv[1:]]
    own = next((channel for channel in channels[1:] if os.fork() == 0), channels[0])
    for end in (end for channel in channels if channel is not own for end in channel):
        os.close(end)
    _help(*own)


def _help(requests: int, answers: int) -> None:
    """Compiles the tasks of one channel until it ends."""
    with os.fdopen(requests, "rb") as tasks, os.fdopen(answers, "wb") as made:
        made.write(READY)
        made.flush()
        for line in tasks:
            answer = _task(json.loads(line)).compile().to_bytes()
            made.write(len(answer).to_bytes(8, "little") + answer)
            made.flush()


def _task(raw: dict[str, object]) -> Task:
    shape = raw["shape"]
    return Task(**{**raw, "kinds": tuple(raw["kinds"]), "shape": TileShape(**shape) if shape else None})  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.path[:] = [p for p in sys.path if Path(p) != Path(__file__).parent]
    main()
