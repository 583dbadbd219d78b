"""Workers as their owner sees them: started, asked in turns, ended."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from peers.workloads import WORKLOADS

HERE = Path(__file__).parents[1]
NEEDS = {"archspec": "archspec", "eager": "torch", "compiled": "torch", "jax": "jax"}
PEERS = tuple(NEEDS)


# Makes every library do with AVX2: in order archspec, PyTorch's own kernels, its two libraries of products, JAX.
AVX2 = {
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": "+sse4.2,+avx,+avx2,+fma,+bmi,+bmi2,+popcnt",
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
}


def is_installed(peer: str) -> bool:
    return importlib.util.find_spec(NEEDS[peer]) is not None


def environment(threads: int, caches: Path | None = None, **more: str) -> dict[str, str]:
    """The environment of a worker: its threads, no CPU type forced on BLAS, and caches of its own where a folder is given."""
    found = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"}
    found |= {"OMP_NUM_THREADS": str(threads), "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    found["PYTHONPATH"] = os.pathsep.join([str(HERE), str(HERE.parent), *filter(None, [found.get("PYTHONPATH")])])
    if caches is not None:
        found |= {"ARCHSPEC_CACHE": str(caches / "archspec"), "TORCHINDUCTOR_CACHE_DIR": str(caches / "inductor")}
    return found | more


def new_file() -> IO[str]:
    """A file without a name."""
    return tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")


class WorkerFailed(Exception):
    """A worker ended before it answered; the text is the end of what it printed."""


class Process:
    """A process that answers lines of JSON. Between questions it sleeps."""

    def __init__(self, module: str, *arguments: str, env: Mapping[str, str], name: str) -> None:
        self.name = name
        self._printed = new_file()
        self.started = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._printed,
            cwd=HERE,
            env=dict(env),
            text=True,
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        self.tell(**request)
        return self.answer()

    def tell(self, **request: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._printed.seek(0)
            raise WorkerFailed(f"{self.name}:\n" + "".join(self._printed.readlines()[-12:]))
        found: dict[str, Any] = json.loads(line)
        return found

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._printed.close()


@dataclass(frozen=True)
class Turn:
    """What a step or a start took: seconds on the wall, and seconds of processor time of all threads together."""

    seconds: float
    processor: float


class Worker(Process):
    """A process with one peer, one workload and one number of threads. `ready` waits for the end of its first step."""

    def __init__(
        self,
        peer: str,
        workload: str,
        threads: int,
        sizes: Mapping[str, int] | None = None,
        do: str = "train",
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.peer, self.threads, self.work = peer, threads, WORKLOADS[workload].sized(**(sizes or {}))
        message = {"peer": peer, "workload": workload, "threads": threads, "sizes": self.work.sizes, "do": do}
        name = f"{peer} on {workload}, {threads} threads"
        super().__init__("peers.worker", json.dumps(message), env=env or environment(threads), name=name)

    def ready(self) -> Turn:
        """What it took from the start of the process to the end of its first step; the parameters must be the workload's."""
        found = self.answer()
        seconds = time.perf_counter() - self.started
        expected = self.work.parameters(self.work.sizes)
        assert found["parameters"] == expected, f"{self.name}: {found['parameters']} parameters, not {expected}"
        return Turn(seconds, found["processor"])

    def run(self, count: int) -> Turn:
        """What each of `count` steps takes."""
        found = self.ask(ask="run", count=count)
        return Turn(found["seconds"] / count, found["processor"] / count)

    def peak_bytes(self) -> int:
        return int(self.ask(ask="usage")["peak_bytes"])


def start_all(workers: Sequence[Worker]) -> tuple[list[Worker], list[str]]:
    """Those that reach the end of their first step, one after another, and what is to be said of the others."""
    good, words = [], []
    for worker in workers:
        try:
            worker.ready()
            good.append(worker)
        except WorkerFailed as error:
            words.append(str(error))
            worker.close()
    return good, words


def in_turns(workers: Sequence[Worker], rounds: int, turn_seconds: float) -> dict[Worker, list[Turn]]:
    """What a step takes, one figure a round, for workers that take turns: one runs while all others sleep.

    A turn has as many steps as fill `turn_seconds`, and every other round goes the other way round. The pauses let the
    threads of the one before fall asleep.
    """
    counts = {worker: steps_of_a_turn(worker, turn_seconds) for worker in workers}
    turns: dict[Worker, list[Turn]] = {worker: [] for worker in workers}
    for i in range(rounds):
        for worker in workers[:: -1 if i % 2 else 1]:
            time.sleep(0.005)
            turns[worker].append(worker.run(counts[worker]))
    return turns


def steps_of_a_turn(worker: Worker, turn_seconds: float) -> int:
    """Warms the worker up for about two turns, and finds how many steps fill one."""
    count = 1
    for _ in range(4):
        count = max(1, min(20 * count, int(turn_seconds / worker.run(count).seconds)))
    return count
