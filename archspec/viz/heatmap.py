"""Heat maps: a tensor that a run watched, for one row, as SVG and as text.

The last two axes of a tensor are the rows and columns of its maps; there is a map for each index of the axes before them,
such as the heads. What stands at a place is a word where the axis runs along a text, else its number. In SVG a cell has one
colour, the more opaque the larger its value, so that a map reads in light and dark; negative values have a second colour.
"""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import groupby, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archspec.records import field, record
from archspec.viz.drawing import plain

Array = NDArray[np.float64]
MOST_PLACES = 256  # of a map's rows and columns; what lies beyond is left out, and said so
MOST_MAPS = 64
LEVELS = 48
GREYS = 16
SPACIOUS = 32  # up to so many rows and columns cells are large
MOST_TITLED = 2000  # cells of a tensor that have their values as titles
LARGE_CELL, SMALL_CELL = 20, 6  # pixels
LETTER, LINE = 7.0, 14.0  # pixels of a letter and of a line of 11 pixels
LONGEST_LABEL = 18
GAP = 22
WIDEST = 960  # pixels of a picture, where several maps stand side by side
WARM, COLD, INK, FAINT, PAPER = "#1769d2", "#d9622b", "#1c2430", "#667085", "#ffffff"


@record
class Map:
    """values (rows, columns) of one picture; a label is "" where an axis has none."""

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]


@record
class Watched:
    """A tensor for one row: its path, its shape as in the spec, its maps."""

    name: str
    shape: str
    maps: tuple[Map, ...]
    note: str = ""

    @property
    def low(self) -> float:
        return min((v for m in self.maps for row in m.values for v in row), default=0.0)

    @property
    def high(self) -> float:
        return max((v for m in self.maps for row in m.values for v in row), default=0.0)


@record
class Seen:
    """What was seen of one row: what it is, what to know about it, the tensors."""

    title: str
    notes: tuple[str, ...]
    watched: tuple[Watched, ...] = field(default_factory=tuple)


def watched(
    name: str, axes: Sequence[str], shape: str, values: NDArray[Any], labels: Any, said: Any, most: int = MOST_PLACES
) -> Watched:
    """The maps of a tensor of one row.

    axes    the names of the axes that `values` has, without that of the rows
    labels  for an axis that runs along a text, what stands at each place; `said` what is predicted there
    most    how many places of a long axis are kept, the first
    """
    table = np.asarray(values, np.float64)
    table = table.reshape((1,) * (2 - table.ndim) + table.shape) if table.ndim < 2 else table
    names = ("",) * (table.ndim - len(axes)) + tuple(axes)
    note = _cut_note(table, most)
    rows = _labels(names[-2], table.shape[-2], labels, said)[:most]
    columns = _labels(names[-1], table.shape[-1], labels, {})[:most]
    leading = table.shape[:-2]
    heads = len(leading) == 1 and names[-1] in labels and names[-2] in labels
    found = []
    for index in list(product(*map(range, leading)))[:MOST_MAPS]:
        title = f"head {index[0] + 1}" if heads else ", ".join(f"{n} {k + 1}" for n, k in zip(names, index, strict=False))
        found.append(Map(title, rows, columns, _finite(table[index][:most, :most])))
    return Watched(name, shape, tuple(found), note)


def _labels(axis: str, size: int, labels: Any, said: Any) -> tuple[str, ...]:
    if axis in said and len(said[axis]) == size:
        return tuple(f"→ {text}" for text in said[axis])
    if axis in labels and len(labels[axis]) == size:
        return tuple(labels[axis])
    return tuple(str(k + 1) for k in range(size)) if axis else ("",) * size


def _cut_note(table: Array, most: int) -> str:
    places = max(table.shape[-2:])
    maps = int(np.prod(table.shape[:-2], dtype=np.int64))
    cut = [f"the first {most} of {places:,} places"] * (places > most)
    cut += [f"the first {MOST_MAPS} of {maps:,} maps"] * (maps > MOST_MAPS)
    return ", ".join(cut)


def _finite(values: Array) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in np.nan_to_num(values, posinf=1e300, neginf=-1e300).tolist())


# --- SVG ---------------------------------------------------------------------------------------------------------


def picture_svg(shown: Watched, standalone: bool = False) -> str:
    """The maps of a tensor as one picture; with `standalone` it has its own colours and can be a file."""
    parts, width, height = _placed(shown)
    return _svg(f"{shown.name} {shown.shape}", parts, width, height, standalone)


def seen_svg(every: Sequence[Seen]) -> str:
    """Everything that was seen as one file."""
    parts: list[str] = []
    y, widest = 10.0, 200.0
    for seen in every:
        y += LINE + 6
        parts.append(_text(10, y, seen.title, "h"))
        for note in seen.notes:
            y += LINE + 2
            parts.append(_text(10, y, note, "f"))
        for shown in seen.watched:
            y += LINE + 12
            parts.append(_text(10, y, _heading(shown), "b"))
            inner, width, height = _placed(shown)
            parts.append(f'<g transform="translate(10 {y + 6:.1f})">{inner}</g>')
            y, widest = y + height + 10, max(widest, width + 20)
        texts = [seen.title, *seen.notes, *(_heading(shown) for shown in seen.watched)]
        widest = max([widest, *(_width(text) * 1.25 + 30 for text in texts)])
        y += 14
    return _svg("watched tensors", "".join(parts), widest, y, standalone=True)


def _heading(shown: Watched) -> str:
    note = f", {shown.note}" if shown.note else ""
    return f"{shown.name} {shown.shape}   {shown.low:.3g} to {shown.high:.3g}{note}"


def _svg(title: str, parts: str, width: float, height: float, standalone: bool) -> str:
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="heat" {size} role="img" aria-label="{_escaped(title)}">'
    if not standalone:
        return f"{head}{parts}</svg>"
    style = (
        f"text{{font:11px system-ui,'Helvetica Neue',Arial,sans-serif;fill:{INK}}}.f,.e{{fill:{FAINT}}}.h{{font-size:14px;"
        f"font-weight:600}}.b{{font-weight:600}}.r,.e{{text-anchor:end}}.warm{{fill:{WARM}}}.cold{{fill:{COLD}}}"
        f".frame{{fill:none;stroke:{FAINT};stroke-width:.5}}"
    )
    return f'{head}<style>{style}</style><rect width="100%" height="100%" fill="{PAPER}"/>{parts}</svg>\n'


def _placed(shown: Watched) -> tuple[str, float, float]:
    """The maps side by side, in as many lines as they need; their width and height."""
    scale = max(abs(shown.low), abs(shown.high)) or 1.0
    parts: list[str] = []
    x = y = line = widest = 0.0
    titled = sum(len(one.values) * len(one.columns) for one in shown.maps) <= MOST_TITLED
    for one in shown.maps:
        inner, width, height = _map(one, scale, titled)
        if x and x + width > WIDEST:
            x, y, line = 0.0, y + line + GAP, 0.0
        parts.append(f'<g transform="translate({x:.1f} {y:.1f})">{inner}</g>')
        x, line, widest = x + width + GAP, max(line, height), max(widest, x + width)
    return "".join(parts), widest, y + line


def _map(one: Map, scale: float, titled: bool) -> tuple[str, float, float]:
    count, across = len(one.values), len(one.values[0]) if one.values else 0
    large = max(count, across) <= SPACIOUS
    cell = LARGE_CELL if large else SMALL_CELL
    left = max((_width(r) for r in _shown_labels(one.rows, large)), default=0.0) + 6
    heads = _shown_labels(one.columns, large)
    top = max((_width(c) for c in heads), default=0.0) + 6 + (LINE + 2 if one.title else 0)
    parts = [_text(left, LINE - 3, one.title, "f")] if one.title else []
    step = 1 if large else max(1, round(LINE / cell))
    for k, label in enumerate(heads):
        x = left + (k * step + 0.5) * cell + 4
        parts.append(_text(x, top - 4, label, "", f' transform="rotate(-90 {x:.1f} {top - 4:.1f})"') if label else "")
    for k, label in enumerate(_shown_labels(one.rows, large)):
        parts.append(_text(left - 5, top + (k * step + 0.5) * cell + 4, label, "r") if label else "")
    cells = _titled_cells(one, scale, cell) if titled else _plain_cells(one, scale, cell)
    frame = f'<rect class="frame" width="{across * cell}" height="{count * cell}"/>'
    parts.append(f'<g transform="translate({left:.1f} {top:.1f})">{cells}{frame}</g>')
    return "".join(parts), left + across * cell + 2, top + count * cell + 2


def _shown_labels(labels: Sequence[str], large: bool) -> list[str]:
    """All labels beside large cells; beside small ones as many as there is room for."""
    step = 1 if large else max(1, round(LINE / SMALL_CELL))
    return [_short(label) for label in labels[::step]]


def _short(label: str) -> str:
    shown = _one_line(label).replace(" ", "␣").replace("→␣", "→ ", 1)
    return shown if len(shown) <= LONGEST_LABEL else f"{shown[: LONGEST_LABEL - 1]}…"


def _titled_cells(one: Map, scale: float, cell: int) -> str:
    return "".join(
        f'<rect class="{"warm" if v >= 0 else "cold"}" x="{j * cell}" y="{i * cell}" width="{cell}" '
        f'height="{cell}" fill-opacity="{abs(v) / scale:.3g}"><title>{_cell_title(one, i, j)}</title></rect>'
        for i, row in enumerate(one.values)
        for j, v in enumerate(row)
    )


def _cell_title(one: Map, i: int, j: int) -> str:
    places = " · ".join(_escaped(plain(p)) for p in (one.rows[i], one.columns[j]) if p)
    return f"{places}: {one.values[i][j]:.4g}" if places else f"{one.values[i][j]:.4g}"


def _plain_cells(one: Map, scale: float, cell: int) -> str:
    """A path for each level of each colour: some ten bytes a cell, for maps of many."""
    table = np.array(one.values)
    levels = np.round(np.abs(table) / scale * LEVELS).astype(int)
    paths = []
    for name, mask in (("warm", table >= 0), ("cold", table < 0)):
        for level in range(1, LEVELS + 1):
            places = np.argwhere(mask & (levels == level)).tolist()
            moves = "".join(f"M{j * cell} {i * cell}h{cell}v{cell}h-{cell}z" for i, j in places)
            if moves:
                paths.append(f'<path class="{name}" fill-opacity="{level / LEVELS:.3g}" d="{moves}"/>')
    return "".join(paths)


def grey_svg(values: Array) -> str:
    """A picture of one colour, its largest value the most opaque; runs of one shade are one stroke.

    values  (rows, columns)
    """
    if values.ndim != 2 or not np.isfinite(values).all() or values.size > MOST_PLACES**2:
        raise ValueError("no picture")
    low, high = values.min(initial=0.0), values.max(initial=0.0)
    levels = np.round((values - low) / ((high - low) or 1.0) * GREYS).astype(int)
    runs: dict[int, list[str]] = {}
    for i, row in enumerate(levels.tolist()):
        j = 0
        for level, group in groupby(row):
            count = len(list(group))
            runs.setdefault(level, []).append(f"M{j} {i}h{count}v1h-{count}z")
            j += count
    paths = "".join(f'<path fill-opacity="{k / GREYS:.3g}" d="{"".join(d)}"/>' for k, d in sorted(runs.items()) if k)
    count, across = values.shape
    return (
        f'<svg class="grey" viewBox="0 0 {across} {count}" width="{across * 8}" height="{count * 8}" role="img">{paths}</svg>'
    )


def _text(x: float, y: float, text: str, kind: str, more: str = "") -> str:
    name = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{name}{more}>{_escaped(plain(text))}</text>'


def _escaped(text: str) -> str:
    return html.escape(text)


def _width(text: str) -> float:
    """Pixels, more or less."""
    return LETTER * columns_of(text)


def columns_of(text: str) -> int:
    """Columns that a text takes on a terminal."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


# --- text --------------------------------------------------------------------------------------------------------


def seen_text(seen: Seen, width: int, colour: bool) -> str:
    """The same for a terminal: tables of two decimals, in as many pieces as `width` columns ask for."""
    lines = [_one_line(seen.title), *(f"  {_one_line(note)}" for note in seen.notes)]
    for shown in seen.watched:
        lines += ["", plain(_heading(shown))]
        scale = max(abs(shown.low), abs(shown.high)) or 1.0
        for one in shown.maps:
            lines += _map_lines(one, scale, width, colour)
    return "\n".join(line.rstrip() for line in lines)


def _one_line(text: str) -> str:
    return plain(text.replace("\n", "⏎").replace("\t", "⇥"))


def _map_lines(one: Map, scale: float, width: int, colour: bool) -> Iterator[str]:
    rows = [_short(label) for label in one.rows]
    heads = [_short(label) for label in one.columns]
    left = max((columns_of(r) for r in rows), default=0) + 2
    if one.title:
        yield f"  {one.title}"
    start = 0
    while start < len(heads):
        end, used = start, left
        while end < len(heads) and (end == start or used + _room(heads[end]) <= width):
            used += _room(heads[end])
            end += 1
        yield " " * left + "".join(_padded(heads[k], _room(heads[k])) for k in range(start, end))
        for label, row in zip(rows, one.values, strict=True):
            cells = (_cell(row[k], _room(heads[k]), scale, colour) for k in range(start, end))
            yield _padded(label, left - 1) + " " + "".join(cells)
        start = end


def _room(head: str) -> int:
    return max(columns_of(head), 5) + 1


def _padded(text: str, width: int) -> str:
    return " " * (width - columns_of(text)) + text


def _cell(value: float, room: int, scale: float, colour: bool) -> str:
    text = f"{value:.2f}" if abs(value) < 1000 else f"{value:.0e}"
    shown = f"{text:>{room}}"
    if not colour:
        return shown
    tone = round(abs(value) / scale * 5)
    code = (17, 18, 19, 20, 26, 32)[tone] if value >= 0 else (52, 88, 124, 130, 166, 172)[tone]
    return f" \x1b[48;5;{code}m\x1b[97m{shown[1:]}\x1b[0m" if tone else shown
