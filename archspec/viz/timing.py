"""A profile as text: a step in parts, the kernels that take longest, the lines of the spec that take longest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from archspec.viz.drawing import plain

MOST_ROWS = 20
LINE_WIDTH = 60
SUMS = ("times", "seconds", "floor")
STAGES = {"update": "the update of the weights", "norm": "the norm of the gradient"}


def profile_text(data: Mapping[str, Any]) -> str:
    """The profile as people read it. Calls that a `repeat` makes once for each copy are one row."""
    step = data["step"]
    kernels = _grouped(data["calls"])
    lines = [
        f"a step takes {seconds_text(step['step'])}: kernels {_part(step, 'kernels')}, between them {_part(step, 'driver')}, "
        f"around them {_part(step, 'host')}",
        f"{data['steps']} steps were looked at; the clocks add {_added(step)} to one",
        f"{_machine(data)}; the kernels of a step could take {seconds_text(sum(k['floor'] for k in kernels))}",
        "",
        *_table(("time", "of step", "of floor", "calls", "kernel", "computes", "in"), _kernel_rows(kernels, step["step"])),
        "",
        *_table(("time", "of step", "line"), _line_rows(data)),
    ]
    return plain("\n".join(lines))


def seconds_text(seconds: float) -> str:
    """`12.3 ms`: three digits and a unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            digits = 2 if seconds < 10 * size else 1 if seconds < 100 * size else 0
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def _part(step: Mapping[str, float], name: str) -> str:
    return f"{seconds_text(step[name])} ({step[name] / step['step']:.0%})"


def _added(step: Mapping[str, float]) -> str:
    return f"{max(step['step'] / step['plain'] - 1, 0):.0%}"


def _machine(data: Mapping[str, Any]) -> str:
    machine, threads = data["machine"], data["threads"]
    speeds = [(int(n), s) for n, s in machine["bytes_per_second"].items()]
    near, far = speeds[0], speeds[-1]
    memory = f"{near[1] / 1e9:,.0f} GB/s of {near[0] // 1024:,} KiB"
    memory += f", {far[1] / 1e9:,.0f} GB/s of {far[0] // 1024:,} KiB" if far != near else ""
    adds, touch = ("thread multiplies and adds", "touches") if threads == 1 else ("threads multiply and add", "touch")
    return f"{threads} {adds} {machine['flops_per_second'] / 1e9:,.0f} GFLOP/s and {touch} {memory}"


def _grouped(calls: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Calls of one kernel in equal places, with the numbers of copies left out of their blocks, the longest first."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for call in calls:
        block = re.sub(r"(?<=/)\d+(?=/|$)", "*", call["block"])
        value = re.sub(r"\.\d+$", "", call["value"]).rpartition("/")[2]
        place = max(call["lines"], key=call["lines"].get, default="")
        key = (call["stage"], call["kernel"], block, value, place)
        made = found.setdefault(key, {**call, "block": block, "value": value, "line": place, **dict.fromkeys(SUMS, 0.0)})
        for name in SUMS:
            made[name] += call[name]
    return sorted(found.values(), key=lambda made: -made["seconds"])


def _kernel_rows(kernels: Sequence[Mapping[str, Any]], step: float) -> Iterator[tuple[str, ...]]:
    for k in kernels[:MOST_ROWS]:
        share = f"{k['floor'] / k['seconds']:.0%}" if k["seconds"] > 0 else ""
        made = f"{k['times']:.0f}" if k["times"] >= 10 else f"{k['times']:.3g}"
        place = "  ".join(text for text in (k["line"], k["block"]) if text) or STAGES.get(k["stage"], "")
        yield seconds_text(k["seconds"]), f"{k['seconds'] / step:.1%}", share, made, k["kernel"], k["value"], place
    if len(kernels) > MOST_ROWS:
        rest = sum(k["seconds"] for k in kernels[MOST_ROWS:])
        yield seconds_text(rest), f"{rest / step:.1%}", "", "", f"{len(kernels) - MOST_ROWS} more", "", ""


def _line_rows(data: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    totals: dict[str, float] = {}
    for call in data["calls"]:
        for place, seconds in call["lines"].items():
            totals[place] = totals.get(place, 0.0) + seconds
    for place, seconds in sorted(totals.items(), key=lambda item: -item[1])[:MOST_ROWS]:
        text = data["lines"].get(place, "")
        shown = text if len(text) <= LINE_WIDTH else text[: LINE_WIDTH - 1] + "…"
        yield seconds_text(seconds), f"{seconds / data['step']['step']:.1%}", f"{place}  {shown}"


def _table(heads: Sequence[str], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    """Columns as wide as they must be; numbers stand to the right."""
    every = [tuple(heads), *rows]
    widths = [max(len(row[k]) for row in every) for k in range(len(heads))]
    numbers = [k for k, head in enumerate(heads) if head in ("time", "of step", "of floor", "calls")]
    for row in every:
        cells = [f"{c:>{w}}" if k in numbers else f"{c:<{w}}" for k, (c, w) in enumerate(zip(row, widths, strict=True))]
        yield "  ".join(cells).rstrip()
