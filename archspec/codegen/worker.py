"""A second process that compiles from the other end of the list, since Numba compiles one kernel at a time.

The parent takes kernels from the front and this process from the back, until they meet; what is done lies in the cache.
    python -m archspec.codegen.worker < tasks.json
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from archspec.codegen import cache
from archspec.codegen.shapes import TileShape
from archspec.records import as_dict, record

LEAST_KERNELS = 4


@record
class Task:
    """One kernel to compile."""

    key: str
    source: str
    name: str
    kinds: tuple[str, ...]
    precision: str
    shape: TileShape
    symbol: str

    def compile(self) -> bytes:
        """The object file, which is also put into the cache."""
        from archspec.codegen.native import compile_source

        binary: bytes = compile_source(self.source, self.name, self.kinds, self.precision, self.shape, self.symbol)
        cache.save(self.key, binary)
        return binary


def compile_all(tasks: Sequence[Task]) -> dict[str, bytes]:
    """The object files by key, made by this process and, where there are many and cores to spare, a second one."""
    helper = _start(tasks)
    done: dict[str, bytes] = {}
    for task in tasks:
        binary = cache.load(task.key) if helper is not None else None
        done[task.key] = binary if binary is not None else task.compile()
    if helper is not None:
        helper.kill()
        helper.wait()
    return done


def _start(tasks: Sequence[Task]) -> subprocess.Popen[bytes] | None:
    if len(tasks) < LEAST_KERNELS or cache.cache_folder() is None or len(os.sched_getaffinity(0)) < 2:
        return None
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-m", "archspec.codegen.worker"]
    try:
        helper = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
        )
    except OSError:
        return None
    assert helper.stdin is not None
    with contextlib.suppress(OSError), helper.stdin:
        helper.stdin.write(json.dumps([as_dict(t) for t in reversed(tasks)]).encode())
    return helper


def main() -> None:
    """Compiles the tasks on standard input until it meets one that the parent has done."""
    for raw in json.loads(sys.stdin.buffer.read()):
        task = Task(**{**raw, "kinds": tuple(raw["kinds"]), "shape": TileShape(**raw["shape"])})
        if cache.load(task.key) is not None:
            return
        task.compile()


if __name__ == "__main__":
    sys.path[:] = [p for p in sys.path if Path(p) != Path(__file__).parent]
    main()
