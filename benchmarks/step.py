"""The time of a whole training step: forward, loss, backward, Adam, float32, a fresh batch, against JAX and PyTorch.

    python benchmarks/step.py [--threads 1] [--steps 300] [--rounds 7] [--json FILE]

Every peer is written as its own users would write it: JAX jitted with donated buffers, PyTorch with fused Adam. All run
in one process in turns, and medians of the rounds are compared. Peers that are not installed are left out. The floor
is the FLOPs of the products over the core's measured multiply-add peak (benchmarks/matmul.py).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Step = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Workload:
    name: str
    widths: tuple[int, ...]
    batch: int

    @property
    def flops(self) -> int:
        """Products forward, weight gradients, and input gradients of all layers but the first."""
        pairs = list(zip(self.widths, self.widths[1:], strict=False))
        sizes = [a * b for a, b in pairs]
        return 2 * self.batch * (2 * sum(sizes) + sum(sizes[1:]))


WORKLOADS = (Workload("64-128-10", (64, 128, 10), 32), Workload("784-512-512-10", (784, 512, 512, 10), 128))


def archspec_step(work: Workload, threads: int) -> Step:
    import archspec

    hidden = " |> ".join(f"linear({n}, init=he) |> relu" for n in work.widths[1:-1])
    text = f"""
dim B, F, K
model mlp(x[B,F]) -> z[B,K] {{
  z = x |> {hidden} |> linear(K)
}}
data {{ source = csv("none.csv")
  x[B,F] = source["p*"]
  y[B]: K = source["label"] }}
train {{ loss = cross_entropy(z, y)
  optimizer = adam(lr=1e-3) }}
"""
    program = archspec.loads(text).compile({"F": work.widths[0], "K": work.widths[-1]}, threads=threads)
    return lambda x, y: program.step(x=x, y=y)


def jax_step(work: Workload, threads: int) -> Step:
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng(0)
    pairs = zip(work.widths, work.widths[1:], strict=False)
    weights = [(jnp.asarray(rng.normal(0, (2 / a) ** 0.5, (a, b)), jnp.float32), jnp.zeros(b)) for a, b in pairs]

    def loss(weights, x, y):
        for w, b in weights[:-1]:
            x = jax.nn.relu(x @ w + b)
        z = x @ weights[-1][0] + weights[-1][1]
        return -jnp.take_along_axis(jax.nn.log_softmax(z), y[:, None], 1).mean()

    def update(state, x, y):
        weights, m, v, t = state
        value, g = jax.value_and_grad(loss)(weights, x, y)
        t = t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        scale, root = 1e-3 / (1 - 0.9**t), jnp.sqrt(1 - 0.999**t)
        weights = jax.tree.map(lambda w, m, v: w - scale * m / (jnp.sqrt(v) / root + 1e-8), weights, m, v)
        return (weights, m, v, t), value

    compiled = jax.jit(update, donate_argnums=0)
    zeros = jax.tree.map(jnp.zeros_like, weights)
    state = (weights, zeros, jax.tree.map(jnp.zeros_like, weights), jnp.float32(0))

    def step(x, y):
        nonlocal state
        state, value = compiled(state, x, y)
        return float(value)

    return step


def torch_step(work: Workload, threads: int) -> Step:
    import torch

    torch.set_num_threads(threads)
    layers: list[torch.nn.Module] = []
    for a, b in zip(work.widths, work.widths[1:], strict=False):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def step(x, y):
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y))
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


PEERS = {"archspec": archspec_step, "jax": jax_step, "torch": torch_step}


def measure(work: Workload, threads: int, steps: int, rounds: int) -> dict[str, float]:
    """Median milliseconds of a step for each peer, measured in turns."""
    rng = np.random.default_rng(1)
    batches = [
        (rng.random((work.batch, work.widths[0]), np.float32), rng.integers(0, work.widths[-1], work.batch)) for _ in range(16)
    ]
    made: dict[str, Step] = {}
    for name, make in PEERS.items():
        try:
            made[name] = make(work, threads)
        except ImportError:
            continue
        for x, y in batches:
            made[name](x, y)
    times: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(rounds):
        for name, step in made.items():
            for i in range(steps):
                x, y = batches[i % len(batches)]
                start = time.perf_counter()
                step(x, y)
                times[name].append(time.perf_counter() - start)
    return {name: 1e3 * statistics.median(values) for name, values in times.items()}


def restart_for(threads: int) -> None:
    """Starts again with the threads that the peers read when they are loaded, and with no CPU type forced on BLAS."""
    wanted = {"OMP_NUM_THREADS": str(threads), "ARCHSPEC_BENCH": "1"}
    cores = sorted(os.sched_getaffinity(0))[:threads]
    if os.environ.get("ARCHSPEC_BENCH") != "1":
        environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"} | wanted
        os.sched_setaffinity(0, cores)
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json")
    options = parser.parse_args()
    restart_for(options.threads)
    results = {}
    for work in WORKLOADS:
        found = results[work.name] = measure(work, options.threads, options.steps, options.rounds)
        peers = {n: t for n, t in found.items() if n != "archspec"}
        ratio = f"{min(peers.values()) / found['archspec']:.2f} times the fastest peer" if peers else "no peer installed"
        shown = "  ".join(f"{n} {t:.3f} ms" for n, t in found.items())
        print(f"{work.name:<16} {options.threads} threads  {shown}  ({ratio}; {work.flops / 1e6:.1f} MFLOP)", flush=True)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=2)


if __name__ == "__main__":
    main()
