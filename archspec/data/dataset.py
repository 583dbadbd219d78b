"""What a `data` section is bound to: arrays, parts, sizes, and the recipes that made them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archspec.data.columns import Opened
from archspec.data.encode import encoded_anew, read_texts
from archspec.data.files import read
from archspec.data.fit import Values, evaluate_field
from archspec.data.functions import opener
from archspec.data.problems import listed, problem, quoted, similar_columns
from archspec.data.ragged import Ragged
from archspec.data.recipe import CategoryColumns, Encoded, Labels, NumberColumns, Recipe, columns_of, leaves
from archspec.data.rows import Layout, TextFile
from archspec.data.tables import Rows, Table, load, load_opened, open_table
from archspec.data.values import Opener
from archspec.diagnostics import Span, did_you_mean
from archspec.records import field as attribute
from archspec.records import record


@record(eq=False)
class Field:
    """One named array of a dataset.

    axes    names of its axes; the first is the batch
    of      the axis that its values index, or None where they are numbers
    array   (rows, ...): int64 where `of` is an axis, else float64, or float32 for images; a view for windows; Ragged where
            the second axis is
    recipe  how it is made, fitted to the training part
    """

    name: str
    axes: tuple[str, ...]
    of: str | None
    array: Values | Ragged
    span: Span
    recipe: Recipe


@record
class Origin:
    """Where a source comes from: the function that made it, `csv`, and its settings."""

    kind: str
    settings: Mapping[str, object] = attribute(compare=False, repr=False)


@record(eq=False)
class Dataset:
    """Rows of named fields, divided into parts.

    parts    sorted row numbers of "train" and, where asked for, "validation" and "test"; of windows not every row is in one
    dims     sizes of the axes that the data bind; not of the batch
    classes  for each axis of labels and each vocabulary the names, in index order
    rows     how many rows every field has
    axis     the name of the batch axis
    sources  how each source was made, by its name
    """

    fields: tuple[Field, ...]
    parts: Mapping[str, NDArray[np.int64]]
    dims: Mapping[str, int]
    classes: Mapping[str, tuple[str, ...]]
    rows: int
    axis: str
    sources: Mapping[str, Origin] = attribute(default_factory=dict)

    def field(self, name: str) -> Field:
        """The field called `name`.

        Raises ArchError where there is none.
        """
        for candidate in self.fields:
            if candidate.name == name:
                return candidate
        hints = did_you_mean(name, [field.name for field in self.fields])
        raise problem("D01", f"there is no field {quoted(name)}", None, hints=hints)

    def apply(
        self, path: str | Path | Mapping[str, str | Path], names: Iterable[str] | None = None
    ) -> dict[str, Values | Ragged]:
        """The fields of another file, by the transforms and statistics fitted to the training part.

        path   a file in place of the first source; or the name of each source with a file in its place
        names  the fields wanted; None for all whose columns the file has, so that labels may be absent

        Raises ArchError where a file is unusable or lacks columns that are needed.
        """
        paths = path if isinstance(path, Mapping) else {next(iter(self.openers)): path}
        return self._applied({source: self._open(source, Path(file)) for source, file in paths.items()}, names)

    def apply_table(self, text: str, names: Iterable[str]) -> dict[str, Values | Ragged]:
        """The same for a table that is given as text, with commas and a header, in place of the first source."""
        name, origin = next(iter(self.sources.items()))
        given = origin.settings.get("missing")
        missing = frozenset(str(cell) for cell in given) if isinstance(given, tuple) else Layout().missing
        table = open_table(TextFile("what is given", text.encode(), Layout(missing=missing), None))
        return self._applied({name: table}, names)

    def given_by(self, path: str | Path) -> set[str]:
        """The fields whose columns a file has."""
        source = next(iter(self.openers))
        tables = {source: self._open(source, Path(path))}
        return {field.name for field in self.fields if not any(True for _ in _lacking(field, tables))}

    def _applied(self, tables: Mapping[str, Table | Opened], names: Iterable[str] | None) -> dict[str, Values | Ragged]:
        fields = _available(self.fields, tables) if names is None else [self.field(name) for name in names]
        for field in fields:
            _check_columns(field, tables)
        rows = {source: load_columns(source, {"train": table}, [f.recipe for f in fields]) for source, table in tables.items()}
        return {field.name: _applied(field, rows) for field in fields}

    def encode(self, name: str, texts: Sequence[str]) -> Ragged:
        """New texts as the field called `name` holds them, by the vocabulary of the training part.

        They are cut, cropped and shifted as in training, but not cut into windows or pairs; `<start>` stands first where
        it did in training.

        Raises ArchError where the field does not come from text, and for a character without an entry.
        """
        recipe = self.field(name).recipe
        if not isinstance(recipe, Encoded):
            raise problem("D25", f"{quoted(name)} is not made by `chars` or `words`", None)
        return read_texts(recipe, texts)

    @cached_property
    def openers(self) -> Mapping[str, Opener]:
        """What opens another file in place of each source, by the name of the source."""
        made = {name: opener(origin.kind, origin.settings) for name, origin in self.sources.items()}
        found = {name: open_file for name, open_file in made.items() if open_file is not None}
        if not found:
            raise problem("D10", "no other file can stand in for a source of this spec", None)
        return found

    def _open(self, source: str, path: Path) -> Table | Opened:
        if source not in self.openers:
            raise problem("D01", f"there is no source {quoted(source)}", None, hints=did_you_mean(source, self.openers))
        return self.openers[source](str(path), read(path, str(path), None), None)


def load_columns(source: str, tables: Mapping[str, Table | Opened], recipes: Iterable[Recipe], seed: int = 0) -> Rows:
    """The rows of one source, with the columns that `recipes` read."""
    wanted = [leaf for recipe in recipes for leaf in leaves(recipe) if leaf.source == source]
    opened = {part: file for part, file in tables.items() if isinstance(file, Opened)}
    if opened:
        return load_opened(opened, {name for leaf in wanted for name in columns_of(leaf)}, seed)
    cells = {part: file for part, file in tables.items() if isinstance(file, Table)}
    numbers = {name for leaf in wanted if isinstance(leaf, NumberColumns) for name in leaf.columns}
    texts = {name for leaf in wanted if isinstance(leaf, CategoryColumns | Labels) for name in columns_of(leaf)}
    return load(cells, numbers, texts, {leaf.column for leaf in wanted if isinstance(leaf, Encoded)})


def shaped(values: Values, axes: int) -> Values:
    """Values with as many axes as the field: one column may stand on the batch axis alone."""
    return values[:, 0].copy() if values.ndim > axes and values.ndim == 2 else values


def _applied(field: Field, rows: Mapping[str, Rows]) -> Values | Ragged:
    """The field in a new file."""
    recipe = field.recipe
    if isinstance(recipe, Encoded):
        return encoded_anew(recipe, rows[recipe.source])
    values = evaluate_field(recipe, rows, None)[1]
    return shaped(values, len(field.axes)) if isinstance(values, np.ndarray) else values


def _available(fields: Sequence[Field], tables: Mapping[str, Table | Opened]) -> list[Field]:
    """The fields whose columns are all there."""
    found = [field for field in fields if not any(True for _ in _lacking(field, tables))]
    if not found:
        paths = listed(table.path for table in tables.values())
        wanted = listed(dict.fromkeys(name for field in fields for _, name in _lacking(field, tables)))
        raise problem("D06", f"no field can be made from {paths}", None, notes=[f"columns that it lacks: {wanted}"])
    return found


def _check_columns(field: Field, tables: Mapping[str, Table | Opened]) -> None:
    for source, name in _lacking(field, tables):
        if source not in tables:
            raise problem("D06", f"{quoted(field.name)} needs a file for the source {quoted(source)} too", None)
        table = tables[source]
        message = f"{quoted(table.path)} has no column {quoted(name)}, which {quoted(field.name)} needs"
        raise problem("D06", message, None, hints=similar_columns(name, table.names))


def _lacking(field: Field, tables: Mapping[str, Table | Opened]) -> Iterable[tuple[str, str]]:
    """Source and column of everything that the field needs and `tables` lack."""
    for leaf in leaves(field.recipe):
        known = frozenset(tables[leaf.source].names) if leaf.source in tables else frozenset()
        yield from ((leaf.source, name) for name in columns_of(leaf) if name not in known)
