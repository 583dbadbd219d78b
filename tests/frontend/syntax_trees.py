"""Hypothesis strategies for syntax trees that the grammar can write."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from archspec.diagnostics import Source, Span
from archspec.frontend import syntax as s

SPAN = Span(Source("generated.arch", ""), 1, 1, 1, 1)

names = st.sampled_from(["x", "h", "H", "B", "T", "αβ", "é", "x_1", "_", "softmax", "letter", "inner"])
numbers = st.one_of(st.integers(0, 2**53), st.floats(min_value=0, allow_nan=False, allow_infinity=False).map(abs)).map(
    lambda value: s.Number(SPAN, value)
)
strings = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from('"\\\n\t#{}')), max_size=8).map(
    lambda value: s.String(SPAN, value)
)
booleans = st.booleans().map(lambda value: s.Boolean(SPAN, value))
name_nodes = (names | st.just("where")).map(lambda name: s.Name(SPAN, name))
leaves = st.one_of(name_nodes, numbers, strings, booleans)

BINARY = ["+", "-", "*", "/", "%", "@", "^", "==", "!=", "<", "<=", ">", ">=", "and", "or"]


def node(kind: type, *fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Nodes of one kind with fields from these strategies."""
    return st.tuples(*fields).map(lambda values: kind(SPAN, *values))


def tuples(items: st.SearchStrategy[Any], least: int = 0, most: int = 3) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(items, min_size=least, max_size=most).map(tuple)


def extend(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Expressions one level above `inner`."""
    axis = st.one_of(inner, st.just(s.Spread(SPAN)), node(s.Group, names), node(s.Bound, names, inner))
    argument = node(s.Argument, st.none() | names, inner)
    return st.one_of(
        node(s.Binary, st.sampled_from(BINARY), inner, inner),
        node(s.Unary, st.sampled_from(["-", "not"]), inner),
        node(s.Pipe, inner, inner),
        node(s.Conditional, inner, inner, inner),
        node(s.Attribute, inner, names),
        node(s.Index, inner, tuples(axis, 1), st.none() | inner),
        node(s.Call, inner, tuples(argument)),
        node(s.Repeat, st.none() | names, inner, tuples(inner, 1)),
        node(s.List, tuples(inner)),
    )


expressions = st.recursive(leaves, extend, max_leaves=12)
small = st.recursive(leaves, extend, max_leaves=4)

axes = tuples(st.one_of(small, st.just(s.Spread(SPAN)), node(s.Group, names), node(s.Bound, names, small)))
tensors = node(s.TensorDeclaration, names, axes, st.none() | small)
targets = node(s.Target, names, st.none() | axes, st.none() | small)
assigns = node(s.Assign, tuples(targets, 1), expressions)
lets = node(s.Let, tuples(node(s.Binding, names, small, st.none() | small), 1))
requires = node(s.Require, small, st.none() | strings)
states = node(s.State, tuples(node(s.StateEntry, names, axes, small), 1))
simple = st.one_of(
    assigns,
    lets,
    requires,
    node(s.Weight, names, axes, st.none() | small, st.booleans()),
    node(s.Layer, names, small),
)


def bodies(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Statements one level above `inner`."""
    return st.one_of(
        node(s.If, small, tuples(inner), tuples(inner)),
        node(s.Over, names, small, st.booleans(), st.booleans(), tuples(inner | states)),
    )


statements = st.recursive(simple, bodies, max_leaves=4)

blocks = st.tuples(
    st.sampled_from(["block", "model"]),
    names,
    tuples(node(s.Name, names) | node(s.Group, names)),
    tuples(tensors),
    tuples(node(s.SettingParameter, names, st.none() | small) | names.map(lambda n: s.SettingParameter(SPAN, n, None, True))),
    tuples(tensors, 1),
    tuples(statements),
    st.just(SPAN),
).map(lambda fields: s.Block(SPAN, *fields))

rules = st.recursive(st.one_of(assigns, lets, requires), lambda inner: node(s.Rule, strings, tuples(inner)), max_leaves=3)

files = tuples(
    st.one_of(
        node(s.Import, strings, st.none() | names),
        lets,
        node(s.Dim, tuples(node(s.DimEntry, names, st.booleans(), st.none() | small), 1)),
        blocks,
        node(s.Section, st.sampled_from(["data", "train", "generate"]), tuples(rules)),
    ),
    most=4,
).map(lambda items: s.File(SPAN.source, items))
