"""A view in Graphviz's language: every box unfolded, every text quoted."""

from __future__ import annotations

from collections.abc import Iterator

from archspec.viz.drawing import Box, Edge, Node, View, plain

COLOURS = {"input": "#e8f1fd", "weight": "#fdf3e1", "backward": "#f7ebfa"}
HEAD = """digraph {
  graph [fontname="Helvetica", fontsize=11, style="rounded,filled", fillcolor="#f2f4f799", color="#d0d5dd"]
  graph [labeljust=l, nodesep=0.2]
  node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=11, color="#667085"]
  node [margin="0.14,0.05", height=0.3, width=0.3]
  edge [color="#667085", arrowsize=0.6]"""


def dot(view: View) -> str:
    """The view as DOT."""
    lines = [HEAD, *_contents(view, "", "  ")]
    lines += [f"  {_edge(e)}" for e in view.edges if not e.across]
    return "\n".join([*lines, "}", ""])


def quoted(text: str) -> str:
    """A string of DOT; what stands in it is never an escape or markup."""
    safe = plain(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{safe}"'


def _edge(edge: Edge) -> str:
    manner = ' [style=dashed, color="#d0d5dd", constraint=false]' if edge.aside else ""
    return f"{quoted(edge.source)} -> {quoted(edge.target)}{manner}"


def _contents(view: View, parent: str, indent: str) -> Iterator[str]:
    yield from (f"{indent}{_node(node)}" for node in view.nodes if node.parent == parent)
    for box in view.boxes:
        if box.parent == parent:
            yield from _box(view, box, indent)


def _box(view: View, box: Box, indent: str) -> Iterator[str]:
    yield f"{indent}subgraph {quoted(f'cluster {box.id}')} {{"
    yield f"{indent}  label={quoted(box.label)}"
    yield from _contents(view, box.id, f"{indent}  ")
    yield f"{indent}}}"


def _node(node: Node) -> str:
    label = f"{node.label}  {node.shape}" if node.shape else node.label
    return f"{quoted(node.id)} [label={quoted(label)}, fillcolor={quoted(COLOURS.get(node.kind, '#ffffff'))}]"
