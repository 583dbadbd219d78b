"""Figures of speed: what they are made of, and a table of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from typing import Any

from peers.crew import Turn, Worker, in_turns, start_all

from parts.options import Options
from parts.tables import geometric_mean, milliseconds, over_fastest_peer, ratio, table

FIGURES = {
    "median": "median of the turns",
    "best": "best of the turns",
    "processor": "processor time of all threads, median of the turns; other processes disturb it least, and it counts waiting",
}


def measure(workload: str, options: Options, do: str = "train", sizes: Mapping[str, int] | None = None) -> dict[str, Any]:
    """By threads and peer what a step, or a forward pass, takes."""
    pairs = [(peer, threads) for threads in options.threads for peer in options.peers]
    workers, words = start_all([Worker(peer, workload, threads, sizes, do) for peer, threads in pairs])
    turns = in_turns(workers, options.rounds, options.turn_seconds)
    for worker in workers:
        worker.close()
    by_threads = {str(n): {w.peer: summary(turns[w]) for w in workers if w.threads == n} for n in options.threads}
    return {"threads": by_threads, "left_out": words}


def summary(turns: list[Turn]) -> dict[str, Any]:
    seconds, processor = [t.seconds for t in turns], [t.processor for t in turns]
    return {
        "median": statistics.median(seconds),
        "best": min(seconds),
        "processor": statistics.median(processor),
        "seconds": seconds,
        "processor_seconds": processor,
    }


Column = tuple[str, Callable[[str, int, dict[str, float]], str]]


def show(title: str, found: Mapping[str, Any], options: Options, columns: tuple[Column, ...] = ()) -> str:
    """A row for each workload and number of threads; more columns are made of (workload, threads, figures by peer)."""
    rows = []
    for name, one in found.items():
        for n in options.threads:
            figures = picked(one, n, options.figure)
            shown = [milliseconds(figures.get(peer)) for peer in options.peers]
            more = [make(name, n, figures) for _, make in columns]
            rows.append([name, str(n), *shown, ratio(over_fastest_peer(figures)), *more])
    heads = ["", "threads", *options.peers, "fastest peer/archspec", *(head for head, _ in columns)]
    text = table(f"{title}, ms: {FIGURES[options.figure]}", heads, rows)
    return "\n".join([text, *means(found, options), *left_out(found)])


def picked(one: Mapping[str, Any], threads: int, figure: str) -> dict[str, float]:
    return {peer: value[figure] for peer, value in one["threads"][str(threads)].items()}


def means(found: Mapping[str, Any], options: Options) -> list[str]:
    """The geometric means of fastest peer/archspec, by each figure."""
    lines = []
    for n in options.threads:
        by_figure = {}
        for figure in FIGURES:
            ratios = [over_fastest_peer(picked(one, n, figure)) for one in found.values()]
            by_figure[figure] = geometric_mean([r for r in ratios if r is not None])
        if any(by_figure.values()):
            shown = ", ".join(f"by {figure} {ratio(mean)}" for figure, mean in by_figure.items())
            lines.append(f"geometric mean at {n} {'threads' if n > 1 else 'thread'}: {shown}")
    return lines


def left_out(found: Mapping[str, Any]) -> list[str]:
    return [f"left out: {words}" for one in found.values() for words in one["left_out"]]
