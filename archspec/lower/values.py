"""What an expression can be while a spec is read: a tensor of the graph, a number, or something to call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from archspec.diagnostics import Span
from archspec.frontend import syntax
from archspec.ir.sizes import Size


@dataclass(frozen=True)
class Tensor:
    """A value of the graph being built, by its number."""

    value: int


@dataclass(frozen=True)
class Num:
    """A number known when the spec is read. `size` is its name as an axis; `value` is None while a size is open."""

    value: int | float | None
    size: Size | None = None

    @staticmethod
    def integer(value: int) -> Num:
        return Num(value, Size.number(value))

    @property
    def text(self) -> str:
        return f"{self.size}" if self.value is None else f"{self.value}"


@dataclass(frozen=True)
class Truth:
    """A truth value; None while it hangs on an open size."""

    value: bool | None


@dataclass(frozen=True)
class Text:
    value: str


@dataclass(frozen=True)
class Items:
    items: tuple[Value, ...]


@dataclass(frozen=True)
class Function:
    """A block, with the file that it was written in and what has been given to it so far."""

    block: syntax.Block
    file: object = field(compare=False, repr=False)
    axes: tuple[Num, ...] = ()
    settings: Mapping[str, Value] = field(default_factory=dict)
    tensors: tuple[Tensor, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """The tensors that it still lacks."""
        return tuple(t.name for t in self.block.tensors[len(self.tensors) :])


@dataclass(frozen=True)
class Builtin:
    """An op by its name, with the axes in its bracket."""

    name: str
    axes: tuple[Num, ...] | None = None


@dataclass(frozen=True)
class SharedLayer:
    """`layer emb = embed(V, D)`: every use reads the weights under `path`."""

    function: Function
    path: str
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Recipe:
    """A named choice with its arguments: an initialiser, an optimiser, a schedule, …"""

    kind: str
    name: str
    arguments: Mapping[str, float | int | bool | str]
    span: Span | None = field(default=None, compare=False, repr=False)
    then: tuple[Recipe, ...] = ()


@dataclass(frozen=True)
class Module:
    """`import "blocks.arch" as nn`."""

    file: object = field(compare=False, repr=False)


Value: TypeAlias = Tensor | Num | Truth | Text | Items | Function | Builtin | SharedLayer | Recipe | Module

KINDS = {
    Tensor: "a tensor",
    Num: "a number",
    Truth: "a truth value",
    Text: "a string",
    Items: "a list",
    Function: "a block",
    Builtin: "an op",
    SharedLayer: "a layer",
    Module: "an imported file",
}


def kind_of(value: Value) -> str:
    """How a message calls the kind of `value`: `a number`, `an optimizer`."""
    if isinstance(value, Recipe):
        return f"an {value.kind}" if value.kind[0] in "aeiou" else f"a {value.kind}"
    return KINDS[type(value)]


def spelled(value: Num | Text | Truth) -> str:
    """A number, string or truth value as a spec writes it."""
    if isinstance(value, Num):
        return value.text
    return value.value if isinstance(value, Text) else str(value.value).lower()
