"""What runs did, as one page: curves of their figures over the steps, the last figures, and where their settings differ.

The curves are SVG that is written here, so that the page needs no script.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from archspec.diagnostics import ArchError, Diagnostic
from archspec.records import field, record
from archspec.viz.examples import confusion_part, examples_parts
from archspec.viz.examples import shown as _shown
from archspec.viz.page import asset, whole_page

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 460, 260, 62, 24, 12, 30
PARTS = ("train", "validation", "test")
OWN = ("epoch", "step", "seconds", "final", "interrupted")  # what a record says of itself
OTHERS = ("settings.json", "examples.json")
TITLES = {"lr": "learning rate", "gradient_norm": "norm of the gradient", "rows_per_second": "rows per second"}
LOG_RATIO = 100.0
TICKS = 4
LARGEST_NBYTES = 256 * 2**20
LONGEST_SETTING = 160  # characters, of a vocabulary or an imported file


@record
class RunRecord:
    """A run's folder as read: a record an epoch, the final figures where it came to its end, its settings."""

    name: str
    epochs: tuple[Mapping[str, Any], ...]
    final: Mapping[str, Any]
    settings: Mapping[str, Any]
    examples: Mapping[str, Any] = field(default_factory=dict)


@record
class Curve:
    """A figure of one part of one run: points (step, value) that are finite."""

    label: str
    run: int
    part: int
    points: tuple[tuple[float, float], ...]


def read_run(folder: Path) -> RunRecord:
    """The record of a run. Raises ArchError where the folder holds none."""
    records = [_record(line, folder) for line in _text(folder / "metrics.jsonl").splitlines() if line.strip()]
    final = next((r for r in records if r.get("final")), {})
    settings, examples = (_record(_text(folder / n) if (folder / n).exists() else "{}", folder) for n in OTHERS)
    name = folder.name or str(folder)
    return RunRecord(name, tuple(r for r in records if not r.get("final")), final, settings, examples)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_NBYTES:
            raise ArchError(Diagnostic("R05", f"{path} is larger than any record of a run"))
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        hint = "name the folder that `archspec run` made"
        raise ArchError(Diagnostic("R05", f"cannot read {path}: {reason}", hints=(hint,))) from None


def _record(text: str, folder: Path) -> Mapping[str, Any]:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise ArchError(Diagnostic("R05", f"{folder} does not hold the record of a run: a line is not a JSON object"))
    return record


# --- the page ------------------------------------------------------------------------------------------------------


def report(runs: Sequence[RunRecord]) -> str:
    """The page of one run, or of several side by side."""
    title = " and ".join(run.name for run in runs)
    parts = [f"<h1>{_shown(title)}</h1>", _final_table(runs)]
    parts += [_chart(name, curves, len(runs)) for name, curves in _figures(runs).items()]
    if len(runs) > 1:
        parts.append(_differences(runs))
    parts += [part for run in runs for part in _examples(run, len(runs) > 1)]
    return whole_page(title, asset("report.css"), "\n".join(p for p in parts if p))


def _examples(run: RunRecord, several: bool) -> list[str]:
    """What one run says of single rows; of several runs only what they confuse, side by side."""
    try:
        parts = [confusion_part(run.examples, run.name)] if several and run.examples else examples_parts(run.examples)
        return [part for part in parts if part]
    except (KeyError, ValueError, TypeError, AttributeError, IndexError, OverflowError):
        message = f"the examples of {run.name} are not as `archspec run` writes them"
        raise ArchError(Diagnostic("R05", message, hints=("without examples.json the report has the curves alone",))) from None


def _figures(runs: Sequence[RunRecord]) -> dict[str, list[Curve]]:
    """For each figure, `loss` or `accuracy`, its curves: one for each part and run that has it."""
    names = dict.fromkeys(key for run in runs for record in run.epochs for key in record if key not in OWN)
    charts: dict[str, list[Curve]] = {}
    for key in names:
        part, _, figure = key.rpartition(".")
        for number, run in enumerate(runs):
            points = tuple(_points(run, key))
            if points:
                label = " ".join(p for p in (run.name if len(runs) > 1 else "", part) if p)
                index = PARTS.index(part) if part in PARTS else 0
                charts.setdefault(figure, []).append(Curve(label, number, index, points))
    return charts


def _points(run: RunRecord, key: str) -> Iterator[tuple[float, float]]:
    for epoch in run.epochs:
        step, value = epoch.get("step"), epoch.get(key)
        if _is_number(step) and _is_number(value):
            yield float(step), float(value)  # type: ignore[arg-type]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300 and not math.isnan(value)


# --- charts --------------------------------------------------------------------------------------------------------


@record
class _Scale:
    """Values to places along one side of a chart, by their logarithms where they span orders of magnitude."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (self.end - self.start) * (at - low) / ((high - low) or 1.0)

    def ticks(self, most: int = TICKS) -> list[float]:
        """Round values along the side: powers of ten, or multiples of 1, 2 or 5 times one."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
            every = powers[:: len(powers) // (most + 1) + 1]
            values = [m * 10.0**k for k in every for m in ((1, 3) if len(powers) <= most else (1,))]
            return [v for v in values if self.low <= v <= self.high]
        apart = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(apart))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= apart * 0.999)
        return [k * step for k in range(math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1)]


def _scale(values: Sequence[float], start: float, end: float, log: bool = False) -> _Scale:
    """A scale from the least to the largest value; around a value that stays the same."""
    low, high = min(values), max(values)
    room = 0.0 if high - low > 1e-9 * abs(high) else abs(high) / 2 or 1.0
    return _Scale(low - room, high + room, start, end, log)


def _chart(name: str, curves: Sequence[Curve], runs: int) -> str:
    steps = [x for c in curves for x, _ in c.points]
    values = [y for c in curves for _, y in c.points]
    log = name == "loss" and min(values) > 0 and max(values) / min(values) > LOG_RATIO
    across = _scale(steps, LEFT, WIDTH - RIGHT)
    up = _scale(values, HEIGHT - BOTTOM, TOP, log)
    lines = "".join(_line(c, across, up, runs) for c in curves)
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{_shown(name)}"'
    caption = _shown(TITLES.get(name, name)) + (" (logarithmic)" if log else "")
    picture = f"<svg {size}>{_axes(across, up)}{lines}</svg>"
    return f"<figure><figcaption>{caption}</figcaption>{picture}{_legend(curves, runs)}</figure>"


def _axes(across: _Scale, up: _Scale) -> str:
    lines = [f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up(v):.1f}" y2="{up(v):.1f}"/>' for v in up.ticks()]
    left = [f'<text class="y" x="{LEFT - 6}" y="{up(v) + 4:.1f}">{_tick(v)}</text>' for v in up.ticks()]
    below = [f'<text class="x" x="{across(v):.1f}" y="{HEIGHT - 12}">{_tick(v)}</text>' for v in across.ticks()]
    return f'<g class="axes">{"".join([*lines, *left, *below])}</g>'


def _tick(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"


def _line(curve: Curve, across: _Scale, up: _Scale, runs: int) -> str:
    points = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in curve.points)
    if len(curve.points) == 1:
        x, y = curve.points[0]
        return f'<circle class="{_style(curve, runs)}" cx="{across(x):.1f}" cy="{up(y):.1f}" r="3"/>'
    return f'<polyline class="{_style(curve, runs)}" points="{points}"/>'


def _style(curve: Curve, runs: int) -> str:
    """Runs differ by colour and parts by dashes; the parts of a single run by both."""
    return f"c{(curve.run if runs > 1 else curve.part) % 8} p{curve.part}"


def _legend(curves: Sequence[Curve], runs: int) -> str:
    named = [c for c in curves if c.label]
    swatch = '<svg class="swatch" viewBox="0 0 24 8" aria-hidden="true"><polyline class="{}" points="0,4 24,4"/></svg>'
    entries = [f"<li>{swatch.format(_style(c, runs))}{_shown(c.label)}</li>" for c in named]
    return f"<ul>{''.join(entries)}</ul>" if entries else ""


# --- tables --------------------------------------------------------------------------------------------------------


def _final_table(runs: Sequence[RunRecord]) -> str:
    """The last figures of each run; of one that was cut off those of its last epoch."""
    last = [run.final or (run.epochs[-1] if run.epochs else {}) for run in runs]
    names = dict.fromkeys(key for record in last for key in record if key not in OWN)
    rows = [(_shown(name), [record.get(name, "") for record in last]) for name in names]
    state = ["interrupted" if run.final.get("interrupted") else "done" if run.final else "not finished" for run in runs]
    steps = [record.get("step", "") for record in last]
    return _table(runs, [*rows, ("steps", steps), ("run", state)])


def _differences(runs: Sequence[RunRecord]) -> str:
    """The settings in which the runs differ."""
    flat = [dict(_flat(run.settings)) for run in runs]
    names = [n for n in dict.fromkeys(k for f in flat for k in f) if len({json.dumps(f.get(n)) for f in flat}) > 1]
    rows = [(_shown(name), [_short(f.get(name, "")) for f in flat]) for name in names]
    return f"<h2>Settings that differ</h2>{_table(runs, rows)}" if rows else ""


def _short(value: object) -> object:
    return f"{value[:LONGEST_SETTING]}…" if isinstance(value, str) and len(value) > LONGEST_SETTING else value


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


def _table(runs: Sequence[RunRecord], rows: Sequence[tuple[str, Sequence[object]]]) -> str:
    head = "".join(f"<th>{_shown(run.name)}</th>" for run in runs)
    body = "".join(f"<tr><th>{name}</th>{''.join(f'<td>{_shown(c)}</td>' for c in cells)}</tr>" for name, cells in rows)
    return f'<div class="table"><table><tr><th></th>{head}</tr>{body}</table></div>'
