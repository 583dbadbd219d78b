"""What the tests of data share: a section from its text, and the folder of real tables."""

from __future__ import annotations

from pathlib import Path

from support import real_data

from archspec.data import Dataset, bind
from archspec.diagnostics import Source
from archspec.frontend import syntax
from archspec.frontend.parse import parse

AXES = {"B": None, "F": None, "G": None, "K": None, "M": None}


def bind_text(text: str, folder: Path, *, name: str = "test.arch", **options) -> Dataset:
    """The dataset of a spec with one `data` section; its `dim`s and `let`s are numbers and strings only."""
    file = parse(Source(name, text))
    section = next(item for item in file.items if isinstance(item, syntax.Section))
    dims = {e.name: e.value.value if e.value else None for d in _all(file, syntax.Dim) for e in d.entries}
    settings = {b.name: b.value.value for let in _all(file, syntax.Let) for b in let.bindings}
    return bind(section, dims or AXES, settings, folder, **options)


def bind_lines(lines: str, folder: Path, **options) -> Dataset:
    """The dataset of the lines inside `data { … }`."""
    return bind_text(f"data {{\n{lines}\n}}\n", folder, **options)


def table(name: str) -> Path:
    """A real table, or a skipped test where the folder of real data is absent."""
    return real_data(f"tables/{name}")


def _all(file, kind):
    return [item for item in file.items if isinstance(item, kind)]
