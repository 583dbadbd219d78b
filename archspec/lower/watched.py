"""Which tensors are watched: those of the model by name, those inside of its blocks by a pattern of their paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archspec.diagnostics import ArchError, Diagnostic, Span, nearest
from archspec.ir.graph import Graph, Node
from archspec.learning.treatment import matches
from archspec.records import replace

PREFIX = "watch:"
MOST_WATCHED = 500
_UNSEEN = frozenset({"weight", "input", "constant", "delay"})


def named_tensors(nodes: Sequence[Node]) -> dict[str, int]:
    """The tensors of a graph that have a name in the spec, by their paths; of several of one name the last."""
    found = {}
    for value, node in enumerate(nodes):
        origin = node.origin
        of_model = bool(origin.name and origin.path) and not origin.path.startswith("train/")
        if of_model and origin.role == "forward" and node.op not in _UNSEEN:
            found[origin.full_name] = value
    return found


def watched_by(pattern: str, nodes: Sequence[Node], span: Span | None = None) -> Mapping[str, int]:
    """The tensors whose paths match, such as those of `"*/attend/a"`. Raises ArchError where there are none, or too many."""
    every = named_tensors(nodes)
    found = {path: value for path, value in every.items() if matches(pattern, path)}
    if not found:
        raise ArchError(_no_match(pattern, every, span))
    if len(found) > MOST_WATCHED:
        message = f'"{pattern}" matches {len(found):,} tensors, and at most {MOST_WATCHED} are watched'
        raise ArchError(Diagnostic("T03", message, span, hints=("name fewer of them",)))
    return found


def watching(graph: Graph, patterns: Sequence[str]) -> Graph:
    """The graph with the tensors that match as outputs `watch:PATH`, in place of those that it watched before."""
    outputs = {name: value for name, value in graph.outputs.items() if not name.startswith(PREFIX)}
    for pattern in patterns:
        outputs |= {f"{PREFIX}{path}": value for path, value in watched_by(pattern, graph.nodes).items()}
    return replace(graph, outputs=outputs)


def _no_match(pattern: str, every: Mapping[str, int], span: Span | None) -> Diagnostic:
    ends = {f"*/{'/'.join(path.split('/')[-count:])}": None for path in every for count in (1, 2)}
    near = nearest(pattern, every if "*" not in pattern else ends)
    hints = (f'did you mean "{near[0]}"?',) if near else (_some(every),)
    return Diagnostic("T03", f'no tensor matches "{pattern}"', span, hints=tuple(h for h in hints if h))


def _some(every: Mapping[str, int]) -> str:
    names = list(every)
    return f"paths look like {', '.join(f'`{n}`' for n in names[:2] + names[-1:])}" if names else ""
