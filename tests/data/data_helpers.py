"""What the tests of data share: a section from its text, and the folder of real tables."""

from __future__ import annotations

from pathlib import Path

from support import real_data

from archspec.data import Dataset, bind
from archspec.diagnostics import Source
from archspec.frontend import syntax
from archspec.frontend.parse import parse

AXES = dict.fromkeys(["B", "F", "G", "K", "M", "V", "W", "N", "I", "J", "C"])  # and `T?`, `S?`
RAGGED = frozenset("TS")


def bind_text(text: str, folder: Path, *, name: str = "test.arch", **options) -> Dataset:
    """The dataset of a spec with one `data` section; its `dim`s and `let`s are numbers and strings only."""
    file = parse(Source(name, text))
    section = next(item for item in file.items if isinstance(item, syntax.Section))
    dims = {e.name: e.value.value if e.value else None for d in _all(file, syntax.Dim) for e in d.entries}
    ragged = frozenset(e.name for d in _all(file, syntax.Dim) for e in d.entries if e.ragged)
    settings = {b.name: b.value.value for let in _all(file, syntax.Let) for b in let.bindings}
    return bind(section, dims or AXES, settings, folder, ragged=ragged if dims else RAGGED, **options)


def bind_lines(lines: str, folder: Path, **options) -> Dataset:
    """The dataset of the lines inside `data { … }`."""
    return bind_text(f"data {{\n{lines}\n}}\n", folder, **options)


def same(rows, expected) -> bool:
    """Whether ragged rows are the lists given."""
    return [rows.row(r).tolist() for r in range(len(rows))] == expected


def table(name: str) -> Path:
    """A real table, or a skipped test where the folder of real data is absent."""
    return real_data(f"tables/{name}")


def _all(file, kind):
    return [item for item in file.items if isinstance(item, kind)]
