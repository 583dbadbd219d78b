"""What an expression in a `data` section can mean before any row is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from archspec.data.columns import Opened
from archspec.data.problems import counted, quoted
from archspec.data.recipe import Apply, CategoryColumns, Encoded, NumberColumns, Recipe
from archspec.data.tables import Table
from archspec.diagnostics import Span
from archspec.records import field, record

PARTS = ("train", "validation", "test")
Opener: TypeAlias = Callable[[str, bytes, Span | None], Table | Opened]


@record
class Source:
    """An open source: one file, or one for each part that has a file of its own. The first is "train".

    kind, settings  the function that made it and what it was given
    """

    name: str
    tables: Mapping[str, Table | Opened]
    span: Span = field(compare=False, repr=False)
    kind: str = ""
    settings: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)

    @property
    def columns(self) -> tuple[str, ...]:
        return self.tables["train"].names

    @property
    def path(self) -> str:
        return self.tables["train"].path


@record
class Selection:
    """Columns of a source, not yet said to be numbers or texts."""

    source: str
    columns: tuple[str, ...]
    span: Span = field(compare=False, repr=False)

    def as_numbers(self) -> NumberColumns:
        return NumberColumns(self.span, self.source, self.columns)

    def as_categories(self) -> CategoryColumns:
        return CategoryColumns(self.span, self.source, self.columns)


@record
class Split:
    """How rows are divided: the name of a rule and its settings."""

    rule: str
    settings: Mapping[str, object]
    span: Span = field(compare=False, repr=False)


@record
class Failed:
    """A name whose value is not known because of a mistake that is reported already."""


@record
class Several:
    """Fields that one expression gives, such as the two of `windows`."""

    recipes: tuple[Encoded, ...]


Scalar: TypeAlias = int | float | str | bool
Value: TypeAlias = Scalar | tuple[Scalar, ...] | Source | Selection | Recipe | Several | Split | Failed


def as_columns(value: Value) -> Recipe | None:
    """The recipe for columns of numbers that `value` stands for, or None."""
    if isinstance(value, Selection):
        return value.as_numbers()
    return value if isinstance(value, NumberColumns | Apply) else None


def describe(value: Value) -> str:
    """`value` as a message names it, such as `a source`."""
    match value:
        case bool():
            return "`true`" if value else "`false`"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the string {quoted(value)}"
        case tuple():
            return "a list"
        case Source():
            return "a source"
        case Selection():
            return counted(len(value.columns), "column")
        case Split():
            return "a split"
        case Encoded():
            return "a sequence of indices"
        case Several():
            return "two fields"
    return "computed columns"
