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

from parts import bits, growth, inference, installed, memory, speed, start, step
from parts.load import Load
from parts.options import Options
from peers.crew import AVX2, PEERS, is_installed
from peers.workloads import WORKLOADS

Part = tuple[Callable[[Options], dict[str, Any]], Callable[[dict[str, Any], Options], str]]
MODULES = {
    "step": step,
    "start": start,
    "memory": memory,
    "inference": inference,
    "growth": growth,
    "bits": bits,
    "installed": installed,
}
PARTS: dict[str, Part] = {name: (module.measure, module.show) for name, module in MODULES.items()}


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
    parser.add_argument("--avx2", action="store_true", help="as on a machine without AVX-512")
    parser.add_argument("--figure", choices=list(speed.FIGURES), default="median", help="what figures of speed are")
    parser.add_argument("--json", metavar="FILE", help="write all that was measured")
    parser.add_argument("--show", metavar="FILE", help="measure nothing: print the tables of such a file")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    if asked.show:
        with open(asked.show, encoding="utf-8") as file:
            show(json.load(file), asked.figure)
    else:
        measure(asked)


def show(results: dict[str, Any], figure: str) -> None:
    options = Options(**{**results["options"], "figure": figure})
    for name, part in results["parts"].items():
        print_part(name, part, options)


def print_part(name: str, part: dict[str, Any], options: Options) -> None:
    print(PARTS[name][1](part["found"], options))
    print(f"meanwhile other processes used {part['cores_used_by_others']:.2f} cores", flush=True)


def measure(asked: argparse.Namespace) -> None:
    for peer in asked.peers:
        if not is_installed(peer):
            print(f"{peer} is not installed and left out", file=sys.stderr)
    peers = tuple(peer for peer in asked.peers if is_installed(peer))
    if asked.avx2:
        os.environ.update(AVX2)
    options = Options(asked.only, peers, asked.threads, asked.rounds, asked.turn, asked.figure)
    results: dict[str, Any] = {
        "options": asdict(options),
        "cores": len(os.sched_getaffinity(0)),
        "avx2": asked.avx2,
        "parts": {},
    }
    for name in asked.parts:
        load = Load()
        found = PARTS[name][0](options)
        if not found:
            continue
        results["parts"][name] = {"found": found, "cores_used_by_others": load.others()}
        print_part(name, results["parts"][name], options)
        if asked.json:
            with open(asked.json, "w", encoding="utf-8") as file:
                json.dump(results, file, indent=2)


if __name__ == "__main__":
    main()
