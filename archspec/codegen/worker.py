"""Kernels compiled by several processes: this one and helpers beside it, since Numba compiles one kernel at a time.

All take from one list, the costliest kernel first. A helper starts while this process still plans, and is given kernels as
they come. It reads a task a line and answers with the length of what it made and the bytes:
    python -m archspec.codegen.worker
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
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

HELPERS = 3  # at most; each takes some 100 MB and a quarter of a second to be ready
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
            return self._waiting.pop() if self._waiting else None


class Crew:
    """Compiles what it is given, with helpers that are called at once where cores are to spare. `tasks` is how many will come,
    if that is known."""

    def __init__(self, tasks: int | None = None) -> None:
        wanted = HELPERS if tasks is None else min(HELPERS, tasks // TASKS_FOR_A_HELPER)
        spare = len(os.sched_getaffinity(0)) - 1
        self._list = _List()
        helpers = [helper for _ in range(min(wanted, spare)) if (helper := _start()) is not None]
        self._threads = [threading.Thread(target=_serve, args=(helper, self._list), daemon=True) for helper in helpers]
        self._end = weakref.finalize(self, _end, self._list, helpers, self._threads)
        for thread in self._threads:
            thread.start()

    def add(self, tasks: Sequence[Task]) -> None:
        """Lets the helpers begin with some tasks."""
        self._list.add(tasks)

    def finish(self) -> dict[str, Object]:
        """The object files by key, once all are made. The helpers leave."""
        try:
            self._list.complete()
            self._work()
            for thread in self._threads:
                thread.join()
            self._work()  # on what a helper that failed has given back
        finally:
            self._end()
        return self._list.made

    def _work(self) -> None:
        while (task := self._list.take()) is not None:
            self._list.made[task.key] = task.compile()


def _serve(helper: subprocess.Popen[bytes], tasks: _List) -> None:
    """Hands a helper one task after another. It gets none before it is ready, so that nobody waits for its start."""
    assert helper.stdout is not None
    if helper.stdout.readline() != READY:
        return
    while (task := tasks.take()) is not None:
        answer = _ask(helper, task)
        if answer is None:
            tasks.add([task])
            return
        tasks.made[task.key] = Object.from_bytes(answer)


def _start() -> subprocess.Popen[bytes] | None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-m", "archspec.codegen.worker"]
    try:
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
    except OSError:
        return None


def _ask(helper: subprocess.Popen[bytes], task: Task) -> bytes | None:
    """What a helper makes; None where it cannot: then this process tries, and says what is wrong."""
    assert helper.stdin is not None and helper.stdout is not None
    try:
        helper.stdin.write(json.dumps(as_dict(task)).encode() + b"\n")
        helper.stdin.flush()
        length = int.from_bytes(helper.stdout.read(8), "little")
        answer = helper.stdout.read(length)
    except (OSError, ValueError):
        return None
    return answer if length and len(answer) == length else None


def _end(tasks: _List, helpers: Sequence[subprocess.Popen[bytes]], threads: Sequence[threading.Thread]) -> None:
    tasks.complete()
    for helper in helpers:
        helper.kill()
        helper.wait()
    for thread in threads:
        thread.join()
    for helper in helpers:
        assert helper.stdin is not None and helper.stdout is not None
        helper.stdout.close()
        with contextlib.suppress(OSError):
            helper.stdin.close()


def main() -> None:
    """Compiles the tasks on standard input until it ends."""
    from archspec.codegen import native  # noqa: F401  the first import takes longest, and no task is here yet

    answers = _private_stdout()
    answers.write(READY)
    answers.flush()
    for line in sys.stdin.buffer:
        answer = _task(json.loads(line)).compile().to_bytes()
        answers.write(len(answer).to_bytes(8, "little") + answer)
        answers.flush()


def _private_stdout() -> BinaryIO:
    """A file on stdout's place; whatever else is printed goes to stderr."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _task(raw: dict[str, object]) -> Task:
    shape = raw["shape"]
    return Task(**{**raw, "kinds": tuple(raw["kinds"]), "shape": TileShape(**shape) if shape else None})  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.path[:] = [p for p in sys.path if Path(p) != Path(__file__).parent]
    main()
