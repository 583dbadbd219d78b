"""What a kernel computes, as equations that a person reads: the docstrings of generated code."""

from __future__ import annotations

from collections import Counter

from archspec.diagnostics import Span
from archspec.ir.graph import Graph, Node, Operand
from archspec.ir.text import base_name
from archspec.ops import OPS
from archspec.plan.groups import Group

SPOKEN = {"maximum": "max({0}, {1})", "minimum": "min({0}, {1})", "where": "where({0}, {1}, {2})", "number": "{0}"}


def equations(graph: Graph, group: Group) -> str:
    """The lines of the spec that a group comes from, then an equation for each of its nodes."""
    spans = dict.fromkeys(_place(s) for v in sorted(group.place) if (s := graph.nodes[v].origin.span) is not None)
    names = short_names(graph, group)
    lines = [equation(graph, v, names) for v in sorted(group.place) if graph.nodes[v].op != "constant"]
    return "\n".join([*spans, *([""] if spans else []), *lines])


def _place(span: Span) -> str:
    return f"{span.source.path}:{span.line}:  {span.source.line(span.line).strip()}"


def short_names(graph: Graph, group: Group) -> dict[int, str]:
    """The last part of each node's name, numbered where two of the group share it."""
    involved = sorted({*group.place, *(o.value for v in group.place for o in graph.nodes[v].operands)})
    counts: Counter[str] = Counter()
    names = {}
    for value in involved:
        base = base_name(graph.nodes[value]).rsplit("/", 1)[-1].split(".")[0]
        counts[base] += 1
        names[value] = base if counts[base] == 1 else f"{base}.{counts[base]}"
    return names


def equation(graph: Graph, value: int, names: dict[int, str]) -> str:
    """`y[B, H] = max(u, 0)`, `z[B, K] = sum[H](h[B, H] * W[H, K])`."""
    node = graph.nodes[value]
    return f"{names[value]}{node.shape} = {_right_side(graph, node, names)}"


def _right_side(graph: Graph, node: Node, names: dict[int, str]) -> str:
    texts = [_operand(graph, node, o, names) for o in node.operands]
    over = f"[{', '.join(str(a) for a in node.reduced)}]"
    if node.op == "contract":
        return f"sum{over}({texts[0]} * {texts[1]})"
    if OPS[node.op].kind == "reduce":
        return f"{node.op}{over}({texts[0]})"
    if OPS[node.op].kind == "map":
        return SPOKEN.get(node.op, OPS[node.op].scalar).format(*texts).replace("math.", "").replace("np.", "")
    if node.op == "position":
        return f"0, 1, … along {node.axes[0]}".replace("…", "...")
    return node.op


def _operand(graph: Graph, node: Node, operand: Operand, names: dict[int, str]) -> str:
    source = graph.nodes[operand.value]
    if source.op == "constant":
        return f"{source.attribute('value'):g}"
    if source.op == "size":
        return str(source.attribute("size"))
    if not operand.index:
        return names[operand.value]
    return f"{names[operand.value]}[{', '.join(str(node.loops[i]) for i in operand.index)}]"
