"""Recipes: how a field is made from the columns of its sources.

    source["a", "b"] |> log |> standardize

    Apply standardize  ((mean of a, of b), (deviation of a, of b))    ← the state, fitted to the training part
      Apply log  ()
        NumberColumns source: a, b

A recipe is a tree of frozen nodes without any data, so that the one fitted in training can be kept and run on a
file that comes later.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from archspec.data.problems import problem
from archspec.diagnostics import Span
from archspec.records import field, record

MAX_NODES = 2000
MAX_DEPTH = 100

State: TypeAlias = tuple[object, ...]


@record
class Node:
    span: Span = field(compare=False, repr=False)


@record
class Constant(Node):
    value: float


@record
class NumberColumns(Node):
    """Columns of a source, read as numbers: (rows, columns) float64."""

    source: str
    columns: tuple[str, ...]


@record
class CategoryColumns(Node):
    """Columns of a source, read as texts."""

    source: str
    columns: tuple[str, ...]


@record
class Labels(Node):
    """One column of a source as positions among `classes`: (rows,) int64. `classes` is the state."""

    source: str
    column: str
    classes: tuple[str, ...] = ()


@record
class Apply(Node):
    """A transform from the registry on what its inputs give.

    settings  what the spec said: names and values
    state     what fitting found, all that running needs beside the inputs
    """

    transform: str
    inputs: tuple[Recipe, ...]
    settings: tuple[tuple[str, object], ...] = ()
    state: State = ()
    nodes: int = field(default=1, compare=False, repr=False)
    depth: int = field(default=1, compare=False, repr=False)


@record
class Encoded(Node):
    """A column of text as sequences of positions in a vocabulary, ragged int64.

    tokenizer    "chars" or "words"
    settings     its own settings and those of the vocabulary
    longest      how many entries are kept of each row; None: all
    arrangement  what becomes of the rows: "", "shifted", "windows" or "skipgrams", with its sizes
    output       which of the two fields of the arrangement this is
    vocabulary   the state
    """

    source: str
    column: str
    tokenizer: str
    settings: tuple[tuple[str, object], ...]
    longest: int | None = None
    arrangement: str = ""
    sizes: tuple[int, ...] = ()
    output: int = 0
    vocabulary: tuple[str, ...] = ()

    @property
    def cut(self) -> tuple[object, ...]:
        """What decides the tokens."""
        options = tuple((name, value) for name, value in self.settings if name in ("lower", "punctuation"))
        return self.source, self.column, self.tokenizer, options

    @property
    def expands(self) -> bool:
        """Whether its rows are no longer the rows of its source."""
        return self.arrangement in ("windows", "skipgrams")


Leaf: TypeAlias = NumberColumns | CategoryColumns | Labels | Encoded
Recipe: TypeAlias = Constant | Leaf | Apply


def combine(transform: str, inputs: tuple[Recipe, ...], settings: tuple[tuple[str, object], ...], span: Span) -> Apply:
    """An unfitted `Apply`. Names let a few lines stand for a huge tree, so its size is limited here."""
    nodes = 1 + sum(i.nodes if isinstance(i, Apply) else 1 for i in inputs)
    depth = 1 + max((i.depth if isinstance(i, Apply) else 1 for i in inputs), default=0)
    if nodes > MAX_NODES or depth > MAX_DEPTH:
        raise problem("D24", f"too many steps: at most {MAX_NODES:,}, and {MAX_DEPTH} inside one another", span)
    return Apply(span, transform, inputs, settings, (), nodes, depth)


def leaves(recipe: Recipe) -> Iterator[Leaf]:
    """The nodes that read columns, from left to right."""
    if isinstance(recipe, Apply):
        for part in recipe.inputs:
            yield from leaves(part)
    elif not isinstance(recipe, Constant):
        yield recipe


def columns_of(leaf: Leaf) -> tuple[str, ...]:
    """The columns that a leaf reads."""
    return (leaf.column,) if isinstance(leaf, Labels | Encoded) else leaf.columns
