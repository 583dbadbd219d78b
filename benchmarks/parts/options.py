"""What the command was asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """Workloads, peers and numbers of threads to measure; `rounds` turns of `turn_seconds` for each figure of speed, and
    which `figure` is made of them: median, best or processor."""

    workloads: tuple[str, ...]
    peers: tuple[str, ...]
    threads: tuple[int, ...]
    rounds: int
    turn_seconds: float
    figure: str
