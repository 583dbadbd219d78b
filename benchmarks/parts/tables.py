"""Tables as text, and the figures in them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell, the first to the left and the others to the right."""
    widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in (heads, *rows)
    ]
    return "\n".join(["", title, *(line.rstrip() for line in lines)])


def milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1e3 * seconds:.3f}" if seconds < 1e-3 else f"{1e3 * seconds:.2f}"


def ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def mebibytes(nbytes: float | None) -> str:
    return "-" if nbytes is None else f"{nbytes / 2**20:.{0 if nbytes >= 10 * 2**20 else 1}f}"


def geometric_mean(values: Sequence[float]) -> float | None:
    return statistics.geometric_mean(values) if values else None


def over_fastest_peer(figures: dict[str, float]) -> float | None:
    """How many times the smallest figure of the peers is that of archspec."""
    peers = [value for name, value in figures.items() if name != "archspec"]
    return min(peers) / figures["archspec"] if peers and "archspec" in figures else None
