"""The table of `archspec show`: each block with its shape, weights and cost, the totals, and what a training step takes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from archspec.diagnostics import ArchError, Diagnostic, did_you_mean
from archspec.ir.graph import Graph
from archspec.ir.sizes import Size, product, shape_text
from archspec.learning.optimizers import OPTIMIZERS
from archspec.records import record
from archspec.viz.blocks import Block, block_path, block_tree
from archspec.viz.cost import figure, formula, operations_of, total

if TYPE_CHECKING:
    from archspec.pipeline import Stages
    from archspec.plan import Memory, Plan


@record
class Row:
    """A line of the table. `times` counts the copies in which it occurs, those of the blocks around it included; `paths`
    matches the paths of them all."""

    block: Block
    depth: int
    times: int
    paths: str

    @property
    def label(self) -> str:
        name = self.block.name
        folded = self.block.times > 1
        return f"{'  ' * self.depth}{f'×{self.block.times}' if folded else name}"


@record
class Step:
    """What a training step takes at given sizes, in operations and bytes."""

    forward: Size
    backward: Size
    memory: Memory
    kept: Mapping[str, int]
    weights: int
    gradients: int
    states: int

    @property
    def nbytes(self) -> int:
        return self.memory.total + self.weights + self.gradients + self.states


@record
class Table:
    """The blocks of a model, at the sizes that are known."""

    stages: Stages
    sizes: Mapping[str, int]

    @property
    def graph(self) -> Graph:
        return self.stages.graph

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """What leads to the results and the loss; weights that nothing reads belong to it too."""
        wanted = [v for name, v in self.graph.outputs.items() if name in (*self.stages.lowered.results, "loss")]
        return block_tree(self.graph, self.graph.reached(wanted) | set(self.graph.weights.values()))

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        return tuple(r for block in self.blocks for r in _rows(block))

    @property
    def parameters(self) -> Size:
        return total(product(s.axes) for s in self.graph.specs.values())

    @property
    def frozen(self) -> Size:
        return total(product(s.axes) for s in self.graph.specs.values() if s.frozen)

    @property
    def forward(self) -> Size:
        """The operations of one forward pass, the loss included."""
        return total(b.operations for b in self.blocks)


def _rows(block: Block, depth: int = 0, times: int = 1, around: str = "") -> Iterator[Row]:
    copies = range(int(block.name), int(block.name) + block.times) if block.times > 1 else ()
    paths = around + ("|".join(map(str, copies)).join(("(", ")")) if copies else re.escape(block.name))
    yield Row(block, depth, times * block.times, paths)
    for child in block.children:
        yield from _rows(child, depth + 1, times * block.times, f"{paths}/")


def table(stages: Stages, given: Mapping[str, int]) -> Table:
    """The table with sizes `given` to axes that the spec and its data leave open."""
    graph = stages.graph
    symbols = {s for node in graph.nodes for a in node.loops for s in a.size.symbols}
    for name in given:
        if name not in symbols or name in graph.sizes:
            message = f"`{name}` is not an axis without a size"
            raise ArchError(Diagnostic("U02", message, hints=did_you_mean(name, sorted(symbols - set(graph.sizes)))))
    return Table(stages, {**graph.sizes, **given})


# --- training ----------------------------------------------------------------------------------------------------


def training_step(shown: Table, plan: Plan, float_nbytes: int) -> Step:
    """Operations and memory of a step: those of the graph and the plan that run."""
    from archspec.plan import lay_out

    graph, training = shown.stages.optimised, shown.stages.training
    _need_sizes(plan.graph, {**plan.graph.sizes, **shown.sizes})
    trained = [s for s in graph.specs.values() if not s.frozen]
    count = total(product(s.axes) for s in trained).evaluate(shown.sizes) or 0
    arguments = {name: float(value) for name, value in training.optimizer.arguments.items()}
    states = len(OPTIMIZERS[training.optimizer.name].states(arguments))
    placed = frozenset(plan.views[v].root for name, v in plan.graph.outputs.items() if name.startswith("gradient:"))
    memory = lay_out(plan, shown.sizes, float_nbytes, placed)
    return Step(
        operations_of(graph, "forward"),
        operations_of(graph, "backward"),
        memory,
        _kept(plan, memory),
        (shown.parameters.evaluate(shown.sizes) or 0) * float_nbytes,
        count * float_nbytes,
        count * states * float_nbytes,
    )


def _need_sizes(graph: Graph, sizes: Mapping[str, int]) -> None:
    open_axes = sorted({s for node in graph.nodes for a in node.loops for s in a.size.symbols if s not in sizes})
    if open_axes:
        listed = " and ".join(f"`{a}`" for a in open_axes)
        hint = " ".join(f"--size {a}=32" for a in open_axes)
        raise ArchError(Diagnostic("U01", f"a step hangs on the size of {listed}: give it a number", hints=(hint,)))


def _kept(plan: Plan, memory: Memory) -> dict[str, int]:
    """The bytes that each block's forward pass leaves for the backward pass, by path."""
    read = {v for call in plan.calls if call.origin.role == "backward" for v in call.reads}
    kept: dict[str, int] = {}
    for value in sorted({v for call in plan.calls if call.origin.role == "forward" for v in call.writes} & read):
        if value in memory.nbytes:
            path = block_path(plan.graph.nodes[value])
            kept[path] = kept.get(path, 0) + memory.nbytes[value]
    return kept


def kept_in(row: Row, kept: Mapping[str, int]) -> int:
    """The bytes that a block and those inside of it keep, all copies together."""
    inside = re.compile(f"{row.paths}(/|$)")
    return sum(n for path, n in kept.items() if inside.match(path))


# --- text and JSON -------------------------------------------------------------------------------------------------

HEADINGS = ("block", "result", "parameters", "FLOPs", "kept bytes", "line")


def table_text(shown: Table, step: Step | None = None) -> str:
    """The table as people read it."""
    cells = [HEADINGS, *(line for row in shown.rows for line in (_cells(shown, row, step), *_weight_cells(shown, row)))]
    keep = [k for k in range(len(HEADINGS)) if step is not None or HEADINGS[k] != "kept bytes"]
    widths = {k: max(len(row[k]) for row in cells) for k in keep}
    numbers = {"parameters", "FLOPs", "kept bytes"}
    lines = ["  ".join(_padded(row[k], widths[k], HEADINGS[k] in numbers) for k in keep).rstrip() for row in cells]
    return "\n".join([_signature(shown), "", *lines, "", *_totals(shown), *(_step_lines(shown, step) if step else [])])


def _padded(text: str, width: int, right: bool) -> str:
    return text.rjust(width) if right else text.ljust(width)


def _cells(shown: Table, row: Row, step: Step | None) -> tuple[str, ...]:
    block, result = row.block, row.block.result
    return (
        row.label,
        result.shape if result is not None else "",
        _or_nothing(block.parameters * Size.number(row.times), shown.sizes),
        _or_nothing(block.operations * Size.number(row.times), shown.sizes),
        f"{kept_in(row, step.kept):,}" if step is not None else "",
        _line(row),
    )


def _weight_cells(shown: Table, row: Row) -> Iterator[tuple[str, ...]]:
    """A line for each weight of the block itself: its shape, its size in all copies, how it is drawn."""
    for path in row.block.weights:
        spec = shown.graph.specs[path]
        count = product(spec.axes) * Size.number(row.times)
        name = f"{'  ' * (row.depth + 1)}{path.rsplit('/', 1)[-1]}"
        drawn = f"~ {spec.initializer.name}" + (" frozen" if spec.frozen else "")
        yield name, shape_text(spec.axes), figure(count, shown.sizes), "", "", drawn


def _or_nothing(size: Size, sizes: Mapping[str, int]) -> str:
    return figure(size, sizes) if size.terms else ""


def _line(row: Row) -> str:
    """The line of the spec that makes a block of the model or the loss; the blocks inside come from the same line."""
    return source_line(row.block) if row.depth == 1 else ""


def source_line(block: Block) -> str:
    """The line of the spec that a block comes from."""
    spans = [n.origin.span for v in block.inside for n in (block.graph.nodes[v],) if n.origin.span is not None]
    spans += [s.span for p in block.weights if (s := block.graph.specs[p]).span is not None]
    if not spans:
        return ""
    return f"{spans[0].line}: {spans[0].source.line(spans[0].line).strip()}"


def _signature(shown: Table) -> str:
    graph, lowered = shown.graph, shown.stages.lowered
    inputs = ", ".join(f"{n}{graph.nodes[graph.inputs[n]].shape}" for n in lowered.inputs)
    results = ", ".join(f"{n}{graph.nodes[graph.outputs[n]].shape}" for n in lowered.results)
    sizes = ", ".join(f"{n} = {v:,}" for n, v in shown.sizes.items())
    return f"{lowered.model}({inputs}) -> {results}" + (f"\nwith {sizes}" if sizes else "")


def _totals(shown: Table) -> list[str]:
    frozen = f", of which {figure(shown.frozen, shown.sizes)} frozen" if shown.frozen.terms else ""
    return [
        f"parameters: {figure(shown.parameters, shown.sizes)}{frozen}",
        f"          = {formula(shown.parameters)}",
        f"FLOPs forward: {figure(shown.forward, shown.sizes)}",
        f"             = {formula(shown.forward)}",
    ]


def _step_lines(shown: Table, step: Step) -> list[str]:
    arena = step.memory
    figures = [
        ("FLOPs of a step, forward", figure(step.forward, shown.sizes)),
        ("                backward", figure(step.backward, shown.sizes)),
        ("memory of a step", f"{step.nbytes:,} bytes"),
        ("  weights", f"{step.weights:,}"),
        ("  gradients", f"{step.gradients:,}"),
        ("  states of the optimizer", f"{step.states:,}"),
        ("  values in between", f"{arena.total:,}  (at least {arena.lower_bound:,} are alive at once)"),
    ]
    width = max(len(name) for name, _ in figures)
    return ["", *(f"{name:<{width}}  {text}" for name, text in figures)]


def table_json(shown: Table, step: Step | None = None) -> dict[str, Any]:
    """The table as data. A figure whose sizes are not all known is null; its formula is always there."""
    graph, lowered = shown.graph, shown.stages.lowered
    result: dict[str, Any] = {
        "model": lowered.model,
        "sizes": dict(shown.sizes),
        "inputs": {n: [str(a) for a in graph.nodes[graph.inputs[n]].axes] for n in lowered.inputs},
        "results": {n: [str(a) for a in graph.nodes[graph.outputs[n]].axes] for n in lowered.results},
        "blocks": [_row_json(shown, row, step) for row in shown.rows],
        "weights": {path: _weight_json(shown, path) for path in graph.specs},
        "parameters": _size_json(shown.parameters, shown.sizes),
        "frozen": _size_json(shown.frozen, shown.sizes),
        "flops": _size_json(shown.forward, shown.sizes),
    }
    return result if step is None else {**result, "step": _step_json(shown, step)}


def _size_json(size: Size, sizes: Mapping[str, int]) -> dict[str, Any]:
    return {"value": size.evaluate(sizes), "formula": formula(size)}


def _weight_json(shown: Table, path: str) -> dict[str, Any]:
    spec = shown.graph.specs[path]
    count = product(spec.axes).evaluate(shown.sizes)
    axes = [str(a) for a in spec.axes]
    return {"axes": axes, "parameters": count, "initializer": spec.initializer.name, "frozen": spec.frozen}


def _row_json(shown: Table, row: Row, step: Step | None) -> dict[str, Any]:
    block, result = row.block, row.block.result
    kept = {} if step is None else {"kept_bytes": kept_in(row, step.kept)}
    return {
        "path": block.path,
        "depth": row.depth,
        "times": row.times,
        "result": [str(a) for a in result.axes] if result is not None else None,
        "line": source_line(block) if row.depth else "",
        "parameters": _size_json(block.parameters * Size.number(row.times), shown.sizes),
        "flops": _size_json(block.operations * Size.number(row.times), shown.sizes),
        **kept,
    }


def _step_json(shown: Table, step: Step) -> dict[str, Any]:
    return {
        "flops_forward": _size_json(step.forward, shown.sizes),
        "flops_backward": _size_json(step.backward, shown.sizes),
        "bytes": step.nbytes,
        "weight_bytes": step.weights,
        "gradient_bytes": step.gradients,
        "state_bytes": step.states,
        "arena_bytes": step.memory.total,
        "lower_bound_bytes": step.memory.lower_bound,
    }
