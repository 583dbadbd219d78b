"""What an expression can be while a spec is read: a tensor of the graph, a number, or something to call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from archspec.diagnostics import Span
from archspec.frontend import syntax
from archspec.ir.sizes import Axis, Size
from archspec.records import field, record


@record
class Tensor:
    """A value of the graph being built, by its number."""

    value: int


@record
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


@record
class Truth:
    """A truth value; None while it hangs on an open size."""

    value: bool | None


@record
class Text:
    value: str


@record
class Items:
    items: tuple[Value, ...]


@record
class Function:
    """A block, with the file that it was written in and what has been given to it so far."""

    block: syntax.Block
    file: object = field(compare=False, repr=False)
    axes: tuple[Num, ...] = ()
    settings: Mapping[str, Value] = field(default_factory=dict)
    tensors: tuple[Tensor, ...] = ()
    mask: Tensor | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """The tensors that it still lacks."""
        return tuple(t.name for t in self.block.tensors[len(self.tensors) :])


@record
class Builtin:
    """An op by its name, with the axes in its bracket and what `where` says there."""

    name: str
    axes: tuple[Num, ...] | None = None
    mask: Tensor | None = None


@record
class IndexName:
    """An index of an equation. `axis` is that of its loop, `real` that of the tensors which it reads."""

    name: str
    axis: Axis
    real: Axis


@record
class Step:
    """The index of a recurrence, `t` of `over t in T`. `depth` counts the loops around it."""

    name: str
    axis: Axis
    depth: int
    is_reversed: bool = False

    @property
    def marker(self) -> int:
        """What stands for this loop in the operands of a node until the body is laid along its axis."""
        return -1 - self.depth


@record(eq=False, frozen=False)
class Series:
    """A name that a recurrence assigns step by step: its value at this step, and for a state the one before."""

    name: str
    step: Step
    span: Span
    current: int | None = None
    previous: int | None = None
    axes: tuple[Axis, ...] = ()

    @property
    def whole(self) -> tuple[Axis, ...]:
        """Its axes outside of the loop, whose axis stands after the first."""
        return (*self.axes[:1], self.step.axis, *self.axes[1:])


@record
class SharedLayer:
    """`layer emb = embed(V, D)`: every use reads the weights under `path`."""

    function: Function
    path: str
    span: Span = field(compare=False, repr=False)


@record
class Recipe:
    """A named choice with its arguments: an initialiser, an optimiser, a schedule, …"""

    kind: str
    name: str
    arguments: Mapping[str, float | int | bool | str]
    span: Span | None = field(default=None, compare=False, repr=False)
    then: tuple[Recipe, ...] = ()


@record
class Module:
    """`import "blocks.arch" as nn`."""

    file: object = field(compare=False, repr=False)


Value: TypeAlias = (
    Tensor | Num | Truth | Text | Items | Function | Builtin | SharedLayer | Recipe | Module | IndexName | Step | Series
)

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
    IndexName: "an index",
    Step: "the index of a loop",
    Series: "a value that changes from step to step",
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
