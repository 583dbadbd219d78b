"""The syntax tree: what a `.arch` file says, before any name has a meaning.

Spans are left out of equality, so that two trees are equal when they say the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from archspec.diagnostics import Source, Span


@dataclass(frozen=True)
class Node:
    span: Span = field(compare=False, repr=False)


# --- expressions -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Number(Node):
    """`3` is an int, `3.0` and `1e-3` are floats."""

    value: int | float


@dataclass(frozen=True)
class String(Node):
    value: str


@dataclass(frozen=True)
class Boolean(Node):
    value: bool


@dataclass(frozen=True)
class Name(Node):
    id: str


@dataclass(frozen=True)
class Attribute(Node):
    """`emb.W`, `validation.loss`."""

    value: Expression
    attribute: str


@dataclass(frozen=True)
class Spread(Node):
    """`..` in a list of axes: any leading axes."""


@dataclass(frozen=True)
class Group(Node):
    """`D..` in a signature: one axis or several, which the body sees as one axis `D`, their product."""

    id: str


@dataclass(frozen=True)
class Bound(Node):
    """`i in P` in a list of indices: the index and the axis that it runs along."""

    name: str
    axis: Expression


@dataclass(frozen=True)
class Index(Node):
    """`x[t-1]`, `softmax[T]`, `source["p*"]`, `softmax[j where j <= i]`."""

    value: Expression
    indices: tuple[Expression, ...]
    where: Expression | None = None


@dataclass(frozen=True)
class Argument(Node):
    """One argument of a call; `name` is None for a positional one."""

    name: str | None
    value: Expression


@dataclass(frozen=True)
class Call(Node):
    """`linear(H, init=he)`; the function may be an `Index`, as in `mean[D](x)`."""

    function: Expression
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class Unary(Node):
    """`-x`, `not x`."""

    operator: str
    operand: Expression


@dataclass(frozen=True)
class Binary(Node):
    """`+ - * / ^ % @`, the comparisons `== != < <= > >=`, `and`, `or`."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True)
class Conditional(Node):
    """`a if c else b`, decided when the spec is read."""

    condition: Expression
    then: Expression
    otherwise: Expression


@dataclass(frozen=True)
class Pipe(Node):
    """`value |> stage`: the stage's first free tensor slot is fed."""

    value: Expression
    stage: Expression


@dataclass(frozen=True)
class Repeat(Node):
    """`repeat i in L { f |> g }` as a stage of a pipe: L copies in a row, each with its own weights.

    `body` is the chain inside the braces, as its stages in order.
    """

    index: str | None
    count: Expression
    body: tuple[Expression, ...]


@dataclass(frozen=True)
class List(Node):
    items: tuple[Expression, ...]


Expression: TypeAlias = (
    Number
    | String
    | Boolean
    | Name
    | Attribute
    | Spread
    | Group
    | Bound
    | Index
    | Call
    | Unary
    | Binary
    | Conditional
    | Pipe
    | Repeat
    | List
)


# --- statements --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Import(Node):
    """`import "blocks.arch" as nn`."""

    path: String
    alias: str | None


@dataclass(frozen=True)
class Binding(Node):
    """One name of a `let`; `search` is the range after `~`."""

    name: str
    value: Expression
    search: Expression | None = None


@dataclass(frozen=True)
class Let(Node):
    bindings: tuple[Binding, ...]


@dataclass(frozen=True)
class DimEntry(Node):
    """`B`, `T?` (ragged), `K = 10`."""

    name: str
    ragged: bool
    value: Expression | None


@dataclass(frozen=True)
class Dim(Node):
    entries: tuple[DimEntry, ...]


@dataclass(frozen=True)
class TensorDeclaration(Node):
    """`x[.., D]`, `words[B,T]: V`: a tensor slot of a signature. `of` is the axis that integer values index."""

    name: str
    axes: tuple[Expression, ...]
    of: Expression | None = None


@dataclass(frozen=True)
class SettingParameter(Node):
    """`H`, `p=0.1`: a hyperparameter of a block. `H..` takes one axis or several."""

    name: str
    default: Expression | None
    is_group: bool = False


@dataclass(frozen=True)
class Block(Node):
    """A `block` or a `model`. `axes` are the names in brackets after its name, as in `block softmax[D](x[.., D])`."""

    kind: str
    name: str
    axes: tuple[Name | Group, ...]
    tensors: tuple[TensorDeclaration, ...]
    settings: tuple[SettingParameter, ...]
    results: tuple[TensorDeclaration, ...]
    body: tuple[Statement, ...]
    name_span: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Weight(Node):
    """`weight W[D, H] ~ glorot frozen`."""

    name: str
    axes: tuple[Expression, ...]
    initializer: Expression | None
    frozen: bool


@dataclass(frozen=True)
class Layer(Node):
    """`layer emb = embed(V, D)`."""

    name: str
    value: Expression


@dataclass(frozen=True)
class Target(Node):
    """The left of an equation: `h`, `s[b,n,i,j]`, `y[B]: K`."""

    name: str
    indices: tuple[Expression, ...] | None = None
    of: Expression | None = None


@dataclass(frozen=True)
class Assign(Node):
    targets: tuple[Target, ...]
    value: Expression


@dataclass(frozen=True)
class Require(Node):
    """`require D % N == 0 : "heads must divide the width"`."""

    condition: Expression
    message: String | None


@dataclass(frozen=True)
class If(Node):
    """Decided when the spec is read; `else if` nests in `otherwise`."""

    condition: Expression
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]


@dataclass(frozen=True)
class StateEntry(Node):
    """`h[B,H] = 0` after `state`."""

    name: str
    axes: tuple[Expression, ...]
    initial: Expression


@dataclass(frozen=True)
class State(Node):
    entries: tuple[StateEntry, ...]


@dataclass(frozen=True)
class Over(Node):
    """`over t in T reversed { … }`."""

    index: str
    axis: Expression
    is_reversed: bool
    carry: bool
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class Rule(Node):
    """`"*.b" { decay = 0 }` inside `train`: settings for the weights whose paths match."""

    pattern: String
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class Section(Node):
    """`data`, `train` or `generate`."""

    kind: str
    body: tuple[Statement, ...]


Statement: TypeAlias = Import | Let | Dim | Block | Weight | Layer | Assign | Require | If | State | Over | Rule | Section


@dataclass(frozen=True)
class File:
    source: Source = field(compare=False, repr=False)
    items: tuple[Statement, ...]
