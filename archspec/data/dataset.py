"""What a `data` section is bound to: arrays, parts, sizes, and the recipes that made them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as attribute
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archspec.data.files import read
from archspec.data.fit import Values, evaluate_field
from archspec.data.problems import listed, problem, quoted, similar_columns
from archspec.data.recipe import CategoryColumns, Labels, NumberColumns, Recipe, columns_of, leaves
from archspec.data.rows import Layout, TextFile
from archspec.data.tables import Rows, Table, load, open_table
from archspec.diagnostics import Span, did_you_mean


@dataclass(frozen=True, eq=False)
class Field:
    """One named array of a dataset.

    axes    names of its axes; the first is the batch
    of      the axis that its values index, or None where they are numbers
    array   (rows,) or (rows, columns), contiguous: float64, or int64 where `of` is an axis
    recipe  how it is made, fitted to the training part
    """

    name: str
    axes: tuple[str, ...]
    of: str | None
    array: Values
    span: Span
    recipe: Recipe


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows of named fields, divided into parts.

    parts    sorted row numbers of "train" and, where asked for, "validation" and "test"
    dims     sizes of the axes that the data bind; not of the batch
    classes  for each axis of labels their names, in index order
    rows     how many rows every field has
    axis     the name of the batch axis
    layouts  how the file of each source is written, by the name of the source
    """

    fields: tuple[Field, ...]
    parts: Mapping[str, NDArray[np.int64]]
    dims: Mapping[str, int]
    classes: Mapping[str, tuple[str, ...]]
    rows: int
    axis: str
    layouts: Mapping[str, Layout] = attribute(default_factory=dict)

    def field(self, name: str) -> Field:
        """The field called `name`.

        Raises ArchError where there is none.
        """
        for candidate in self.fields:
            if candidate.name == name:
                return candidate
        hints = did_you_mean(name, [field.name for field in self.fields])
        raise problem("D01", f"there is no field {quoted(name)}", None, hints=hints)

    def apply(self, path: str | Path | Mapping[str, str | Path], names: Iterable[str] | None = None) -> dict[str, Values]:
        """The fields of another file, by the transforms and statistics fitted to the training part.

        path   a file in place of the first source; or the name of each source with a file in its place
        names  the fields wanted; None for all whose columns the file has, so that labels may be absent

        Raises ArchError where a file is unusable or lacks columns that are needed.
        """
        paths = path if isinstance(path, Mapping) else {next(iter(self.layouts)): path}
        tables = {source: self._open(source, Path(file)) for source, file in paths.items()}
        fields = _available(self.fields, tables) if names is None else [self.field(name) for name in names]
        for field in fields:
            _check_columns(field, tables)
        rows = {source: load_columns(source, {"train": table}, [f.recipe for f in fields]) for source, table in tables.items()}
        return {field.name: shaped(evaluate_field(field.recipe, rows, None)[1], len(field.axes)) for field in fields}

    def _open(self, source: str, path: Path) -> Table:
        if source not in self.layouts:
            raise problem("D01", f"there is no source {quoted(source)}", None, hints=did_you_mean(source, self.layouts))
        return open_table(TextFile(str(path), read(path, str(path), None), self.layouts[source], None))


def load_columns(source: str, tables: Mapping[str, Table], recipes: Iterable[Recipe]) -> Rows:
    """The rows of one source, with the columns that `recipes` read."""
    wanted = [leaf for recipe in recipes for leaf in leaves(recipe) if leaf.source == source]
    numbers = {name for leaf in wanted if isinstance(leaf, NumberColumns) for name in leaf.columns}
    texts = {name for leaf in wanted if isinstance(leaf, CategoryColumns | Labels) for name in columns_of(leaf)}
    return load(tables, numbers, texts)


def shaped(values: Values, axes: int) -> Values:
    """Values with as many axes as the field: one column may stand on the batch axis alone."""
    return values[:, 0].copy() if values.ndim > axes else values


def _available(fields: Sequence[Field], tables: Mapping[str, Table]) -> list[Field]:
    """The fields whose columns are all there."""
    found = [field for field in fields if not any(True for _ in _lacking(field, tables))]
    if not found:
        paths = listed(table.file.path for table in tables.values())
        wanted = listed(dict.fromkeys(name for field in fields for _, name in _lacking(field, tables)))
        raise problem("D06", f"no field can be made from {paths}", None, notes=[f"columns that it lacks: {wanted}"])
    return found


def _check_columns(field: Field, tables: Mapping[str, Table]) -> None:
    for source, name in _lacking(field, tables):
        if source not in tables:
            raise problem("D06", f"{quoted(field.name)} needs a file for the source {quoted(source)} too", None)
        table = tables[source]
        message = f"{quoted(table.file.path)} has no column {quoted(name)}, which {quoted(field.name)} needs"
        raise problem("D06", message, None, hints=similar_columns(name, table.names))


def _lacking(field: Field, tables: Mapping[str, Table]) -> Iterable[tuple[str, str]]:
    """Source and column of everything that the field needs and `tables` lack."""
    for leaf in leaves(field.recipe):
        known = frozenset(tables[leaf.source].names) if leaf.source in tables else frozenset()
        yield from ((leaf.source, name) for name in columns_of(leaf) if name not in known)
