"""Training and inference on the CPU, beside PyTorch and JAX.

    python benchmarks/train.py [--only gpt,lstm] [--threads 1,2] [--parts step,…] [--peers archspec,jax] [--json FILE]

Each peer runs in a process of its own, which sleeps while others have their turn, and uses as many cores as it has
threads. It is written as its own users would write it. Peers that are not installed are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from parts import step
from parts.load import Load
from parts.options import Options
from peers.crew import PEERS, installed
from peers.workloads import WORKLOADS

Part = tuple[Callable[[Options], dict[str, Any]], Callable[[dict[str, Any], Options], str]]
PARTS: dict[str, Part] = {"step": (step.measure, step.show)}


def names_of(known: list[str]) -> Callable[[str], tuple[str, ...]]:
    """Reads names separated by commas, all of them known."""

    def read(text: str) -> tuple[str, ...]:
        names = tuple(text.split(","))
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"`{name}` is none of {', '.join(known)}")
        return names

    return read


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split(","))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=names_of(list(WORKLOADS)), default=tuple(WORKLOADS), help=", ".join(WORKLOADS))
    parser.add_argument("--parts", type=names_of(list(PARTS)), default=tuple(PARTS), help=", ".join(PARTS))
    parser.add_argument("--peers", type=names_of(list(PEERS)), default=PEERS, help=", ".join(PEERS))
    parser.add_argument("--threads", type=numbers, default=(1, 2))
    parser.add_argument("--rounds", type=int, default=15, help="turns of each peer")
    parser.add_argument("--turn", type=float, default=0.1, help="seconds of a turn")
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    for peer in asked.peers:
        if not installed(peer):
            print(f"{peer} is not installed and left out", file=sys.stderr)
    peers = tuple(peer for peer in asked.peers if installed(peer))
    options = Options(asked.only, peers, asked.threads, asked.rounds, asked.turn)
    results: dict[str, Any] = {"options": asdict(options), "cores": len(os.sched_getaffinity(0))}
    for name in asked.parts:
        measure, show = PARTS[name]
        load = Load()
        found = measure(options)
        others = load.others()
        results[name] = {"found": found, "cores_used_by_others": others}
        print(show(found, options))
        print(f"meanwhile other processes used {others:.2f} of {results['cores']} cores", flush=True)
        if asked.json:
            with open(asked.json, "w", encoding="utf-8") as file:
                json.dump(results, file, indent=2)


if __name__ == "__main__":
    main()
