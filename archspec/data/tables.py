"""Tables in text files: header first, then only the columns that a spec uses.

    TextFile ── open_table ──▶ Table (names known) ── load ──▶ Rows (columns as numbers or categories)

Rows stream through in pieces, so a file costs its own size and eight bytes for each cell in use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from archspec.data.cells import Categories, parse_numbers
from archspec.data.columns import Column, Opened, Part, Tokens, as_categories, joined
from archspec.data.problems import counted, listed, problem, quoted, similar_columns
from archspec.data.rows import TextFile, read_rows
from archspec.records import field, record

MAX_COLUMNS = 100_000
MAX_CATEGORIES = 100_000
_PIECE = 1 << 18  # cells held as text at a time


@record
class Table:
    """A file whose columns are known and whose rows are not read yet."""

    file: TextFile
    names: tuple[str, ...]

    @property
    def path(self) -> str:
        return self.file.path


@record(eq=False)
class Numbers:
    """A column of numbers.

    values  (rows,) float64, NaN where the cell is missing
    wrong   row and text of the first cell that is neither a number nor missing
    """

    values: NDArray[np.float64]
    wrong: tuple[int, str] | None


@record(eq=False)
class Rows:
    """The columns of one source that a spec uses, the files of its parts one after another.

    files    for each part the path of its file and the line of each of its rows
    others   columns of texts, sequences and arrays
    is_text  the rows of a part are one long text, which is divided at its tokens
    noun     what the rows are counted in
    """

    files: Mapping[str, tuple[str, NDArray[np.int64]]]
    numbers: Mapping[str, Numbers]
    categories: Mapping[str, Categories]
    others: Mapping[str, Column] = field(default_factory=dict)
    is_table: bool = True
    is_text: bool = False
    noun: str = "line"

    def __len__(self) -> int:
        return sum(self.lengths.values())

    @property
    def lengths(self) -> dict[str, int]:
        """How many rows each part's file has."""
        return {part: len(lines) for part, (_, lines) in self.files.items()}

    def place(self, row: int) -> str:
        """Where a row is written: line 17 of `digits.csv`."""
        for path, lines in self.files.values():
            if row < len(lines):
                return f"{self.noun} {lines[row]} of {quoted(path)}"
            row -= len(lines)
        raise IndexError(row)

    def labels(self, name: str) -> Categories:
        """All entries of a column as texts."""
        return self.categories[name] if name in self.categories else as_categories(self.others[name])

    def place_of(self, name: str, entry: int) -> str:
        """Where an entry of `labels(name)` is written."""
        column = self.others.get(name)
        if isinstance(column, Tokens):
            entry = int(np.searchsorted(column.offsets, entry, "right")) - 1
        elif isinstance(column, np.ndarray):
            entry //= int(np.prod(column.shape[1:], dtype=np.int64))
        return self.place(entry)


def open_table(file: TextFile) -> Table:
    """The table in `file` with the names of its columns."""
    first = next(read_rows(file), None)
    if first is None:
        raise problem("D14", f"{quoted(file.path)} is empty", file.span)
    line, cells = first
    if len(cells) > MAX_COLUMNS:
        raise problem("D24", f"{quoted(file.path)} has {len(cells):,} columns; at most {MAX_COLUMNS:,} are read", file.span)
    return Table(file, _names(file, line, cells))


def _names(file: TextFile, line: int, cells: list[str]) -> tuple[str, ...]:
    given = file.layout.columns
    if given and len(given) != len(cells):
        message = f"`columns` names {counted(len(given), 'column')}, but {quoted(file.path)} has {len(cells):,}"
        raise problem("D16", message, file.span, notes=[f"line {line}: {_excerpt(cells)}"])
    header = given or [cell.strip() if file.layout.header else "" for cell in cells]
    names = tuple(name or f"c{position}" for position, name in enumerate(header))
    if len(set(names)) < len(names):
        _fail_repeated(file, line, names)
    return names


def _fail_repeated(file: TextFile, line: int, names: tuple[str, ...]) -> NoReturn:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if file.layout.columns:
        raise problem("D16", f"`columns` repeats {listed(repeated)}", file.span)
    message = f"the header of {quoted(file.path)} repeats {listed(repeated)}"
    hints = ["if there is no header line: `csv(…, header=false)`", "or give names of your own: `columns=[…]`"]
    raise problem("D16", message, file.span, notes=[f"line {line}: {_excerpt(names)}"], hints=hints)


def _excerpt(cells: Sequence[str]) -> str:
    return listed(cells, 6)


# --- rows --------------------------------------------------------------------------------------------------------


def load(tables: Mapping[str, Table], numbers: Iterable[str], categories: Iterable[str], texts: Iterable[str] = ()) -> Rows:
    """The named columns of `tables`, one file after another; columns are found by name in each file."""
    gatherers: dict[tuple[str, str], _Gatherer] = {("number", name): _NumberGatherer() for name in sorted(numbers)}
    gatherers |= {("category", name): _CategoryGatherer() for name in sorted(categories)}
    gatherers |= {("text", name): _TextGatherer() for name in sorted(texts)}
    files = {part: (table.file.path, _gather(table, gatherers)) for part, table in tables.items()}
    columns = {key: gatherer.column() for key, gatherer in gatherers.items()}
    return Rows(
        files,
        {name: column for (_, name), column in columns.items() if isinstance(column, Numbers)},
        {name: column for (_, name), column in columns.items() if isinstance(column, Categories)},
        {name: column for (_, name), column in columns.items() if isinstance(column, tuple)},
    )


def load_opened(opened: Mapping[str, Opened], wanted: Iterable[str], seed: int) -> Rows:
    """The named columns of files that are no tables, one file after another."""
    names = frozenset(wanted)
    parts = {part: file.read(names, seed) for part, file in opened.items()}
    first = opened["train"]
    _check_shapes(opened, parts)
    columns = {name: joined([part.columns[name] for part in parts.values()]) for name in sorted(names)}
    files = {part: (opened[part].path, parts[part].lines) for part in opened}
    return Rows(files, {}, {}, columns, is_table=False, is_text=first.is_text, noun=first.noun)


def _check_shapes(opened: Mapping[str, Opened], parts: Mapping[str, Part]) -> None:
    """The rows of an array have one shape in every part."""
    for name, column in parts["train"].columns.items():
        for part, other in parts.items():
            array = other.columns[name]
            if isinstance(column, np.ndarray) and isinstance(array, np.ndarray) and column.shape[1:] != array.shape[1:]:
                sides = [f"{list(x.shape[1:])} in {quoted(opened[p].path)}" for p, x in (("train", column), (part, array))]
                raise problem("D28", f"the rows of {quoted(name)} are {' and '.join(sides)}", opened[part].span)


def _gather(table: Table, gatherers: Mapping[tuple[str, str], _Gatherer]) -> NDArray[np.int64]:
    """The lines of the table's rows; the gatherers have taken in their columns."""
    position = _positions(table, [name for _, name in gatherers])
    lines = []
    for piece, columns in _pieces(table):
        lines.append(piece)
        for (_, name), gatherer in gatherers.items():
            gatherer.add(columns[position[name]], name, table.file)
    if not lines:
        raise problem("D14", f"{quoted(table.file.path)} has a header but no rows", table.file.span)
    return np.concatenate(lines)


def _positions(table: Table, wanted: Iterable[str]) -> dict[str, int]:
    position = {name: index for index, name in enumerate(table.names)}
    for name in wanted:
        if name not in position:
            message = f"{quoted(table.file.path)} has no column {quoted(name)}"
            raise problem("D06", message, table.file.span, hints=similar_columns(name, table.names))
    return position


def _pieces(table: Table) -> Iterator[tuple[NDArray[np.int64], list[tuple[str, ...]]]]:
    """Some rows at a time: their lines and their columns."""
    width = len(table.names)
    rows = islice(read_rows(table.file), 1 if table.file.layout.header else 0, None)
    while piece := list(islice(rows, max(1, _PIECE // width))):
        for line, cells in piece:
            if len(cells) != width:
                _fail_ragged(table, line, cells)
        yield np.array([line for line, _ in piece], np.int64), list(zip(*(cells for _, cells in piece), strict=True))


def _fail_ragged(table: Table, line: int, cells: list[str]) -> NoReturn:
    message = f"line {line} of {quoted(table.file.path)} has {counted(len(cells), 'cell')}, "
    message += f"but there are {counted(len(table.names), 'column')}"
    raise problem("D15", message, table.file.span, notes=[f"line {line}: {_excerpt(cells)}"])


class _NumberGatherer:
    """A column of numbers while it is being read."""

    def __init__(self) -> None:
        self.pieces: list[NDArray[np.float64]] = []
        self.rows = 0
        self.wrong: tuple[int, str] | None = None

    def add(self, cells: Sequence[str], name: str, file: TextFile) -> None:
        values, wrong = parse_numbers(cells, file.layout.missing)
        if wrong is not None and self.wrong is None:
            self.wrong = (self.rows + wrong, cells[wrong])
        self.pieces.append(values)
        self.rows += len(cells)

    def column(self) -> Numbers:
        return Numbers(np.concatenate(self.pieces), self.wrong)


class _CategoryGatherer:
    """A column of categories while it is being read. Blanks around a text do not make it another one."""

    def __init__(self) -> None:
        self.pieces: list[NDArray[np.int64]] = []
        self.known: dict[str, int] = {}
        self.missing: frozenset[str] = frozenset()

    def add(self, cells: Sequence[str], name: str, file: TextFile) -> None:
        known, code = self.known, self.known.setdefault
        self.pieces.append(np.fromiter((code(cell, len(known)) for cell in cells), np.int64, len(cells)))
        self.missing = file.layout.missing
        if len(known) > MAX_CATEGORIES:
            message = f"column {quoted(name)} of {quoted(file.path)} has more than {MAX_CATEGORIES:,} different texts"
            raise problem("D24", message, file.span, hints=["categories and labels should be few: is it the right column?"])

    def column(self) -> Categories:
        values = list(dict.fromkeys(t for t in map(str.strip, self.known) if t not in self.missing))
        index = {text: position for position, text in enumerate(values)}
        codes = np.array([index.get(text.strip(), -1) for text in self.known], np.int64)
        return Categories(codes[np.concatenate(self.pieces)], tuple(values))


class _TextGatherer:
    """A column of texts while it is being read."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def add(self, cells: Sequence[str], name: str, file: TextFile) -> None:
        self.texts += cells

    def column(self) -> tuple[str, ...]:
        return tuple(self.texts)


_Gatherer = _NumberGatherer | _CategoryGatherer | _TextGatherer
