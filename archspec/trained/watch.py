"""`archspec watch`: the tensors of a trained model for texts or rows that a person gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from archspec.data import Dataset
from archspec.diagnostics import ArchError, Diagnostic
from archspec.ir.graph import Graph
from archspec.lower.watched import PREFIX, named_tensors
from archspec.pipeline import Stages
from archspec.trained.examples import Example
from archspec.trained.generate import completed
from archspec.trained.predictions import Target, said_or_predicted
from archspec.trained.shown import prediction_text
from archspec.viz.heatmap import MOST_PLACES, Seen, Watched, watched

if TYPE_CHECKING:
    from archspec.runtime.program import Program


def watched_names(stages: Stages) -> tuple[str, ...]:
    """The outputs that are watched. Raises ArchError where there are none."""
    names = tuple(name for name in stages.graph.outputs if name.startswith(PREFIX))
    if not names:
        every = named_tensors(stages.graph.nodes)
        likely = [path for path in every if path.endswith("/a")] or [path for path in every if path.count("/") == 1]
        hints = ('name them: --tensor NAME, or a pattern such as --tensor "*/attend/a"',)
        notes = (f"tensors of this model: {', '.join(likely[:6])}",) if likely else ()
        raise ArchError(Diagnostic("U01", "`train` watches nothing", notes=notes, hints=hints))
    return names


def see(
    program: Program,
    stages: Stages,
    data: Dataset,
    target: Target,
    examples: Iterable[Example],
    names: Sequence[str],
    most: int = MOST_PLACES,
) -> Iterator[Seen]:
    """Each example with the tensors `names` of its row and what the model predicts; of long axes the first `most`."""
    for example in examples:
        whole = completed(program, stages, data, example)
        found = program.outputs((target.result, *names), **whole.arrays)
        shown = tuple(_watched(stages.graph, name, found[name], whole, most) for name in names)
        prediction = prediction_text(said_or_predicted(target, example, whole, found[target.result]))
        notes = whole.notes if len(whole.arrays) > len(example.arrays) else (*whole.notes, prediction)
        yield Seen(whole.title, notes, shown)


def _watched(graph: Graph, name: str, values: object, example: Example, most: int) -> Watched:
    node = graph.nodes[graph.outputs[name]]
    table = np.asarray(values)
    rows = next(iter(graph.nodes[v].axes[0] for n, v in graph.inputs.items() if n in example.arrays))
    axes = [str(axis) for axis in node.axes]
    if str(rows) in axes:
        table = np.take(table, 0, axis=axes.index(str(rows)))
        axes.remove(str(rows))
    return watched(name.removeprefix(PREFIX), axes, node.shape, table, example.labels, example.said, most)


def seen_json(title: str, notes: Sequence[str], every: Sequence[Watched], digits: int = 9) -> dict[str, object]:
    """What was seen of a row, as JSON."""
    tensors = [
        {
            "name": shown.name,
            "shape": shown.shape,
            "note": shown.note,
            "maps": [
                {
                    "title": m.title,
                    "rows": m.rows,
                    "columns": m.columns,
                    "values": [[float(f"{v:.{digits}g}") for v in r] for r in m.values],
                }
                for m in shown.maps
            ],
        }
        for shown in every
    ]
    return {"input": title, "notes": list(notes), "tensors": tensors}
