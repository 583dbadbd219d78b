"""Graphs as text: one line a node, what `archspec show --stage graph` prints and golden tests hold."""

from __future__ import annotations

from archspec.ir.graph import Graph, Node, Operand
from archspec.ir.sizes import shape_text


def node_names(graph: Graph) -> list[str]:
    """A unique short name for each node: its own in the spec, or the op's, numbered where it repeats."""
    taken: dict[str, int] = {}
    names = []
    for node in graph.nodes:
        base = base_name(node)
        taken[base] = taken.get(base, 0) + 1
        names.append(base if taken[base] == 1 else f"{base}.{taken[base]}")
    return names


def base_name(node: Node) -> str:
    """A node's name in the spec with its path, or its op's; others may have the same."""
    if node.op in ("input", "weight"):
        return str(dict(node.attributes).get("name") or dict(node.attributes)["path"])
    return node.origin.full_name if node.origin.name else f"{node.origin.path}/{node.op}".lstrip("/")


def graph_text(graph: Graph) -> str:
    """The whole graph: its sizes, its nodes in order, its outputs."""
    names = node_names(graph)
    lines = []
    if graph.sizes:
        lines.append("# " + ", ".join(f"{n} = {v}" for n, v in graph.sizes.items()))
    lines += [node_line(graph, i, names) for i in range(len(graph.nodes))]
    lines += [f"-> {name} = {names[v]}" for name, v in graph.outputs.items()]
    return "\n".join(lines)


def node_line(graph: Graph, number: int, names: list[str]) -> str:
    """`classify/z[B, K] = add(matmul[B, K], b[K])   # digits.arch:9`."""
    node = graph.nodes[number]
    arguments = [_operand_text(node, o, names) for o in node.operands]
    arguments += [f"{k}={v}" for k, v in node.attributes if k not in ("name", "path")]
    over = f" over {shape_text(node.reduced)}" if node.reduced else ""
    kind = "" if node.dtype == "float" else f": {node.of}" if node.of is not None else f": {node.dtype}"
    span = node.origin.span
    place = f"   # {span.source.path}:{span.line}" if span else ""
    return f"{names[number]}{node.shape}{kind} = {node.op}({', '.join(arguments)}){over}{place}"


def _operand_text(node: Node, operand: Operand, names: list[str]) -> str:
    axes = ", ".join(str(node.loops[i]) for i in operand.index)
    return f"{names[operand.value]}[{axes}]" if operand.index else names[operand.value]
