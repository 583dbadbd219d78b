"""The syntax tree: what a `.arch` file says, before any name has a meaning.

Spans are left out of equality, so that two trees are equal when they say the same.
"""

from __future__ import annotations

from typing import TypeAlias

from archspec.diagnostics import Source, Span
from archspec.records import field, record


@record
class Node:
    span: Span = field(compare=False, repr=False)


# --- expressions -------------------------------------------------------------------------------------------------


@record
class Number(Node):
    """`3` is an int, `3.0` and `1e-3` are floats."""

    value: int | float


@record
class String(Node):
    value: str


@record
class Boolean(Node):
    value: bool


@record
class Name(Node):
    id: str


@record
class Attribute(Node):
    """`emb.W`, `validation.loss`."""

    value: Expression
    attribute: str


@record
class Spread(Node):
    """`..` in a list of axes: any leading axes."""


@record
class Group(Node):
    """`D..` in a signature: one axis or several, which the body sees as one axis `D`, their product."""

    id: str


@record
class Bound(Node):
    """`i in P` in a list of indices: the index and the axis that it runs along."""

    name: str
    axis: Expression


@record
class Index(Node):
    """`x[t-1]`, `softmax[T]`, `source["p*"]`, `softmax[j where j <= i]`."""

    value: Expression
    indices: tuple[Expression, ...]
    where: Expression | None = None


@record
class Argument(Node):
    """One argument of a call; `name` is None for a positional one."""

    name: str | None
    value: Expression


@record
class Call(Node):
    """`linear(H, init=he)`; the function may be an `Index`, as in `mean[D](x)`."""

    function: Expression
    arguments: tuple[Argument, ...]


@record
class Unary(Node):
    """`-x`, `not x`."""

    operator: str
    operand: Expression


@record
class Binary(Node):
    """`+ - * / ^ % @`, the comparisons `== != < <= > >=`, `and`, `or`."""

    operator: str
    left: Expression
    right: Expression


@record
class Conditional(Node):
    """`a if c else b`, decided when the spec is read."""

    condition: Expression
    then: Expression
    otherwise: Expression


@record
class Pipe(Node):
    """`value |> stage`: the stage's first free tensor slot is fed."""

    value: Expression
    stage: Expression


@record
class Repeat(Node):
    """`repeat i in L { f |> g }` as a stage of a pipe: L copies in a row, each with its own weights.

    `body` is the chain inside the braces, as its stages in order.
    """

    index: str | None
    count: Expression
    body: tuple[Expression, ...]


@record
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


@record
class Import(Node):
    """`import "blocks.arch" as nn`."""

    path: String
    alias: str | None


@record
class Binding(Node):
    """One name of a `let`; `search` is the range after `~`."""

    name: str
    value: Expression
    search: Expression | None = None


@record
class Let(Node):
    bindings: tuple[Binding, ...]


@record
class DimEntry(Node):
    """`B`, `T?` (ragged), `K = 10`."""

    name: str
    ragged: bool
    value: Expression | None


@record
class Dim(Node):
    entries: tuple[DimEntry, ...]


@record
class TensorDeclaration(Node):
    """`x[.., D]`, `words[B,T]: V`: a tensor slot of a signature. `of` is the axis that integer values index."""

    name: str
    axes: tuple[Expression, ...]
    of: Expression | None = None


@record
class SettingParameter(Node):
    """`H`, `p=0.1`: a hyperparameter of a block. `H..` takes one axis or several."""

    name: str
    default: Expression | None
    is_group: bool = False


@record
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


@record
class Weight(Node):
    """`weight W[D, H] ~ glorot frozen`."""

    name: str
    axes: tuple[Expression, ...]
    initializer: Expression | None
    frozen: bool


@record
class Layer(Node):
    """`layer emb = embed(V, D)`."""

    name: str
    value: Expression


@record
class Target(Node):
    """The left of an equation: `h`, `s[b,n,i,j]`, `y[B]: K`."""

    name: str
    indices: tuple[Expression, ...] | None = None
    of: Expression | None = None


@record
class Assign(Node):
    targets: tuple[Target, ...]
    value: Expression


@record
class Require(Node):
    """`require D % N == 0 : "heads must divide the width"`."""

    condition: Expression
    message: String | None


@record
class If(Node):
    """Decided when the spec is read; `else if` nests in `otherwise`."""

    condition: Expression
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]


@record
class StateEntry(Node):
    """`h[B,H] = 0` after `state`."""

    name: str
    axes: tuple[Expression, ...]
    initial: Expression


@record
class State(Node):
    entries: tuple[StateEntry, ...]


@record
class Over(Node):
    """`over t in T reversed { … }`."""

    index: str
    axis: Expression
    is_reversed: bool
    carry: bool
    body: tuple[Statement, ...]


@record
class Rule(Node):
    """`"*.b" { decay = 0 }` inside `train`: settings for the weights whose paths match."""

    pattern: String
    body: tuple[Statement, ...]


@record
class Section(Node):
    """`data`, `train` or `generate`."""

    kind: str
    body: tuple[Statement, ...]


Statement: TypeAlias = Import | Let | Dim | Block | Weight | Layer | Assign | Require | If | State | Over | Rule | Section


@record
class File:
    source: Source = field(compare=False, repr=False)
    items: tuple[Statement, ...]
