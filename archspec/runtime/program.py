"""A compiled program: the outputs of a model, its loss, its gradient, its training step."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archspec.diagnostics import ArchError, Diagnostic, did_you_mean
from archspec.ir.graph import Graph
from archspec.records import record
from archspec.runtime import feed
from archspec.runtime.clock import Measures
from archspec.runtime.executor import FINITE_GATE, Executor, Table, joined
from archspec.runtime.ports import take_alike
from archspec.runtime.stage import MOST_BOUND, Array, Bound, Stage
from archspec.runtime.table import written_arrays
from archspec.runtime.weights import Layout, Weights

NORM_PIECE = 1 << 16  # elements that are squared at once, in double precision


@record
class Stages:
    """The plans of a program: evaluation without the loss, with any outputs, with the loss; training, the norm of the
    gradient, the update."""

    forward: Callable[[], Stage]
    outputs: Callable[[tuple[str, ...]], Stage]
    loss: Callable[[], Stage] | None = None
    train: Callable[[], Stage] | None = None
    norm: Callable[[], Stage] | None = None
    update: Callable[[], Stage] | None = None


@record(frozen=False)
class State:
    """The buffers of a program: what training changes."""

    weights: Array
    gradient: Array
    optimizer: Mapping[str, Array]
    step: NDArray[np.int64]


@record
class Pace:
    """What the host works out for each update: `rate(lr, t)` is the scheduled learning rate of a segment, where it changes;
    `scalars(t)` the optimiser's own."""

    rate: Callable[[float, int], float] | None
    scalars: Callable[[int], Mapping[str, float]]


class Program:
    """One model, compiled. Made by `Spec.compile`.

    Methods take the model's inputs by name, `x=…`, as arrays whose axes are those of the spec; the batch may have any
    size. An input over a ragged axis T is a list of rows of different lengths, or one padded array with the lengths of its
    rows as `T=…`; without them all rows are full. All errors in them are `ArchError`s. They may be called from several
    threads of Python, and take turns.
    """

    def __init__(
        self,
        graph: Graph,
        results: tuple[str, ...],
        layout: Layout,
        state: State,
        stages: Stages,
        executor: Executor,
        pace: Pace | None,
        scalars: Mapping[str, Array],
    ) -> None:
        self.graph, self.results, self.layout, self.state = graph, results, layout, state
        self.weights = Weights(layout, state.weights)
        self._stages, self._executor, self._pace, self._scalars = stages, executor, pace, scalars
        self._dials: dict[str, memoryview[Any]] = {name: array.data for name, array in scalars.items()}
        self._steps = state.step.data
        self._tables: dict[int, Table] = {}
        self._step_tables: dict[int, Table] = {}
        self._guarded_tables: dict[int, Table] = {}
        self._updates: tuple[int, Table] | None = None
        self._made: dict[str, Stage] = {}
        self._carried: dict[str, Array] = {}
        self._plain: dict[int, bool] = {}
        self._turn = threading.RLock()
        self.keep: object = None
        self.measures: Callable[[], Measures] | None = None

    # --- what users call --------------------------------------------------------------------------------------

    def forward(self, **inputs: Any) -> dict[str, Array]:
        """The model's outputs by name, in evaluation mode."""
        with self._turn:
            return _copies(self._run(self._stage("forward"), inputs), self.results)

    def outputs(self, names: Sequence[str], **inputs: Any) -> dict[str, Array]:
        """Outputs of the graph by name, in evaluation mode: the model's, `loss`, `metric:NAME`, `watch:NAME`."""
        with self._turn:
            return _copies(self._run(self._outputs_stage(names), inputs), names)

    def follow(
        self, names: Sequence[str], states: Mapping[str, Array], **inputs: Any
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Outputs by name, and the states that carried recurrences end with; they begin with `states`, at 0 without them."""
        carried = [name for name in self.graph.outputs if feed.is_carried(name)]
        with self._turn:
            bound = self._run(self._outputs_stage([*names, *carried]), inputs, states)
            return _copies(bound, names), _copies(bound, carried)

    def loss(self, **inputs: Any) -> float:
        """The loss of the `train` section for one batch, in evaluation mode."""
        return self.figures(**inputs)["loss"]

    def figures(self, **inputs: Any) -> dict[str, float]:
        """The loss and the metrics of one batch, in evaluation mode."""
        with self._turn:
            return _figures(self._run(self._stage("loss"), inputs))

    def gradient(self, **inputs: Any) -> tuple[float, dict[str, Array]]:
        """The loss and its gradient by weight, in training mode: dropout is that of the coming step."""
        with self._turn:
            bound = self._run(self._stage("train"), inputs)
            gradients = {
                path: self.layout.view(self.state.gradient, path).copy()
                for path, (start, _) in self.layout.places.items()
                if start < self.layout.trained
            }
            return float(bound.outputs["loss"]), gradients

    def step(self, **inputs: Any) -> float:
        """One update of the weights by the optimiser; returns the loss before it."""
        with self._turn:
            self._set_scalars()
            bound = self._run_as(self._step_table, self._stage("train"), inputs)
            loss = float(bound.outputs["loss"])
            self._finish_step(bound)
            self._carried = {}
            return loss

    # --- batches of rows, for training loops ----------------------------------------------------------------------

    def step_rows(self, arrays: Mapping[str, Any], rows: NDArray[np.int64]) -> float:
        """One update on some rows of arrays that `check_arrays` has made; returns the loss.

        A loss that is not finite raises ArchError and leaves the weights as they were.
        """
        with self._turn:
            bound = self._take(self._stage("train"), arrays, rows)
            self._set_scalars()
            self._executor.run(self._guarded_table(bound))
            loss = float(bound.outputs["loss"])
            if not math.isfinite(loss):
                raise self._diverged(bound)
            self._finish_step(bound)
            return loss

    def figures_rows(self, arrays: Mapping[str, Any], rows: NDArray[np.int64]) -> dict[str, float]:
        """The loss and the metrics of some rows, in evaluation mode."""
        with self._turn:
            bound = self._take(self._stage("loss"), arrays, rows)
            self._executor.run(self._table(bound))
            self._carry(bound)
            return _figures(bound)

    def outputs_rows(self, names: Sequence[str], arrays: Mapping[str, Any], rows: NDArray[np.int64]) -> dict[str, Array]:
        """Outputs of the graph by name for some rows, in evaluation mode."""
        with self._turn:
            bound = self._take(self._outputs_stage(names), arrays, rows)
            self._executor.run(self._table(bound))
            return _copies(bound, names)

    @property
    def carries(self) -> bool:
        """Whether a recurrence goes on where the batch before has ended (`over … carry`)."""
        return any(feed.is_carried(name) for name in self.graph.inputs)

    def forget(self) -> None:
        """Lets recurrences that are carried over begin anew."""
        self._carried.clear()

    def check_arrays(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """The arrays in the program's own dtypes, checked once instead of at every step."""
        graph = self._stage("train").plan.graph
        return feed.checked(self.graph, arrays, self._stage("train").dtypes, graph.sizes)

    def _take(self, stage: Stage, arrays: Mapping[str, Any], rows: NDArray[np.int64]) -> Bound:
        """The same as `_bind` for rows of a dataset."""
        last = stage.last
        if last is not None and take_alike(last.ports or (), arrays, rows):
            return last
        graph = stage.plan.graph
        taken = feed.widened(graph, feed.taken(graph, arrays, rows, self._carried), stage.room)
        bound = stage.bind_shapes(tuple([taken[name].shape for name in graph.inputs]))
        for name, array in taken.items():
            bound.inputs[name][...] = array
        return bound

    def _finish_step(self, bound: Bound) -> None:
        """What a step leaves behind beside the update: running averages, states that are carried over, its number."""
        for path, array in bound.running.items():
            self.layout.view(self.state.weights, path)[...] = array
        self._carry(bound)
        self._steps[0] += 1

    def _carry(self, bound: Bound) -> None:
        self._carried = {name: array.copy() for name, array in bound.carried.items()} if bound.carried else {}

    def _diverged(self, bound: Bound) -> ArchError:
        """Which value was the first that is not finite: the kernels are run again, one by one."""
        stage = self._stage("train")
        t = int(self.state.step[0]) + 1
        hints = ("lower the learning rate, or clip the gradient: clip = norm(1.0)",)
        if not np.isfinite(self.state.weights).all():
            message = f"step {t}: the weights are not finite since the last update"
            return ArchError(Diagnostic("R04", message, hints=hints))
        for i, call in enumerate(bound.calls):
            self._executor.run(Table(bound.rows[i : i + 1]))
            sizes = {**bound.sizes, **bound.row_sizes[i]}
            if not all(np.isfinite(array).all() for array in written_arrays(stage, sizes, bound.rows[i], call)):
                origin = call.origin
                message = f"step {t}: `{origin.full_name.rstrip('/') or call.kernel.name}` is not finite"
                return ArchError(Diagnostic("R04", message, origin.span, hints=hints))
        return ArchError(Diagnostic("R04", f"step {t}: the loss is not finite", hints=hints))

    @property
    def steps_done(self) -> int:
        """How many updates the weights have seen."""
        return int(self._steps[0])

    @property
    def learning_rate(self) -> float:
        """The scheduled learning rate of the last update; of weights without a rule of their own, the first segment's."""
        return float(self._scalars["lr"][0]) if len(self._scalars["lr"]) else 0.0

    def gradient_norm(self) -> float:
        """The 2-norm of the gradient of the last `gradient` or `step`, before clipping."""
        trained = self.state.gradient[: self.layout.trained]
        pieces = (trained[start : start + NORM_PIECE] for start in range(0, len(trained), NORM_PIECE))
        return math.sqrt(sum(float(np.square(piece, dtype=np.float64).sum()) for piece in pieces))

    @property
    def step_norm(self) -> float:
        """The same of the last `step`: what clipping has worked out, where it did."""
        return float(self._scalars["norm"][0]) if self._stages.norm is not None else self.gradient_norm()

    def close(self) -> None:
        """Ends the program's threads."""
        with self._turn:
            self._executor.close()

    # --- running ----------------------------------------------------------------------------------------------

    def _stage(self, name: str) -> Stage:
        made = self._made.get(name)
        if made is None:
            make = getattr(self._stages, name)
            if make is None:
                hint = "train { loss = cross_entropy(z, y) }"
                raise ArchError(Diagnostic("R03", "the spec has no `train` section, so there is no loss", hints=(hint,)))
            made = self._made[name] = make()
        return made

    def _outputs_stage(self, names: Sequence[str]) -> Stage:
        key = "outputs " + " ".join(names)
        if key not in self._made:
            self._made[key] = self._stages.outputs(tuple(names))
        return self._made[key]

    @property
    def executor(self) -> Executor:
        return self._executor

    def step_stages(self) -> dict[str, Stage]:
        """What a training step runs: the gradient, its norm where it is clipped by it, the update."""
        names = ("train", "norm", "update") if self._stages.norm is not None else ("train", "update")
        return {name: self._stage(name) for name in names}

    def prepare(self, *names: str, outputs: Sequence[Sequence[str]] = ()) -> None:
        """Compiles stages, and those that give some outputs, now instead of at their first use."""
        with self._turn:
            for name in names:
                self._stage(name)
            for every in outputs:
                self._outputs_stage(every)

    def _run(self, stage: Stage, inputs: Mapping[str, Any], carried: Mapping[str, Array] | None = None) -> Bound:
        return self._run_as(self._table, stage, inputs, carried)

    def _run_as(
        self,
        table_of: Callable[[Bound], Table],
        stage: Stage,
        inputs: Mapping[str, Any],
        carried: Mapping[str, Array] | None = None,
    ) -> Bound:
        """Runs a table of a stage on these inputs: that of the batch before, if it takes them in by itself."""
        last = stage.last
        if last is not None:
            table = table_of(last)
            if table.inlet is not None and table.inlet.give(inputs) and self._executor.run_letting_in(table):
                return last
        bound = self._bind(stage, inputs, carried)
        self._executor.run(table_of(bound))
        return bound

    def _table(self, bound: Bound) -> Table:
        """The rows of one stage as a table."""
        return self._tables.get(id(bound)) or _kept(
            self._tables, Table(bound.rows, (bound,), self._executor.inlet(bound.ports))
        )

    def _step_table(self, bound: Bound) -> Table:
        """Training and update as one table."""
        return self._step_tables.get(id(bound)) or _kept(self._step_tables, self._joined_tables(bound))

    def _guarded_table(self, bound: Bound) -> Table:
        """The same, with no update where the loss is not finite."""
        return self._guarded_tables.get(id(bound)) or _kept(self._guarded_tables, self._joined_tables(bound, guarded=True))

    def _joined_tables(self, bound: Bound, guarded: bool = False) -> Table:
        update = self._update_table(bound)
        words, owners = joined([bound.rows, update.words]), (bound, *update.owners)
        if not guarded:
            return Table(words, owners, self._executor.inlet(bound.ports))
        words[len(bound.rows) : len(bound.rows) + 1, 1] = FINITE_GATE
        return Table(words, owners, loss=bound.outputs["loss"])

    def _update_table(self, bound: Bound) -> Table:
        """The clipping factor where asked for, then the update of each segment, as one table."""
        if self._updates is None or self._updates[0] != bound.generation:
            parts = [self._stage("norm").bind({})] if self._stages.norm is not None else []
            parts += [self._bound_update(i) for i in range(len(self.layout.segments))]
            self._updates = (bound.generation, Table(joined([part.rows for part in parts]), tuple(parts)))
        return self._updates[1]

    def _bound_update(self, segment: int) -> Bound:
        """The update of one segment: the same kernel on another part of the flat buffers."""
        from archspec.runtime.update import bind_segment

        return bind_segment(self._stage("update"), self.layout.segments[segment], self.state, self._scalars, segment)

    def _set_scalars(self) -> None:
        """What the update at hand reads."""
        assert self._pace is not None
        t = self._steps[0] + 1
        for name, value in self._pace.scalars(t).items():
            self._dials[name][0] = value
        if self._pace.rate is not None:
            for i, segment in enumerate(self.layout.segments):
                self._dials["lr"][i] = self._pace.rate(segment.lr, t)

    # --- inputs -----------------------------------------------------------------------------------------------

    def _bind(self, stage: Stage, inputs: Mapping[str, Any], carried: Mapping[str, Array] | None = None) -> Bound:
        """The stage for the sizes of these inputs, with the inputs in its memory."""
        graph = stage.plan.graph
        if inputs.keys() != graph.inputs.keys():
            self._check_names(graph, inputs)
        if self._is_plain(graph):
            arrays = {name: feed.as_array(name, inputs[name]) for name in graph.inputs}
        else:
            arrays = feed.widened(graph, feed.complete(graph, inputs, carried or {}), stage.room)
        bound = stage.bind_shapes(tuple([arrays[name].shape for name in graph.inputs]))
        feed.put(graph, stage.slots, arrays, bound.inputs)
        return bound

    def _is_plain(self, graph: Graph) -> bool:
        """Whether every input is a tensor that the caller gives: no lengths, nothing carried over."""
        known = self._plain.get(id(graph))
        if known is None:
            known = self._plain[id(graph)] = feed.is_plain(graph)
        return known

    def _check_names(self, graph: Graph, inputs: Mapping[str, Any]) -> None:
        for name in inputs:
            if name not in graph.inputs and name not in self.graph.inputs:
                hints = did_you_mean(name, [n for n in self.graph.inputs if not feed.is_carried(n)])
                raise ArchError(Diagnostic("R02", f"there is no input `{name}`", hints=hints))
        for name in graph.inputs:
            if name not in inputs and not feed.is_implied(graph, name):
                raise ArchError(Diagnostic("R02", f"the input `{name}` is missing"))


def _kept(tables: dict[int, Table], table: Table) -> Table:
    """A table that is kept for as long as its bound stage is used, which it keeps alive."""
    if len(tables) > MOST_BOUND:
        tables.clear()
    tables[id(table.owners[0])] = table
    return table


def _copies(bound: Bound, names: Sequence[str]) -> dict[str, Array]:
    return {name: bound.outputs[name].copy() for name in names}


def _figures(bound: Bound) -> dict[str, float]:
    return {
        name.removeprefix("metric:"): float(array)
        for name, array in bound.outputs.items()
        if name == "loss" or name.startswith("metric:")
    }
