"""Where machine code meets memory: the only place that knows both the code generator and the runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from archspec.codegen.build import build, call_crew, driver_code, flops_per_turn, measure_code
from archspec.codegen.link import Linked
from archspec.diagnostics import ArchError, Diagnostic
from archspec.ir.graph import Graph
from archspec.learning import schedules
from archspec.learning.initializers import draw
from archspec.learning.optimizers import OPTIMIZERS
from archspec.learning.update import CHUNK, norm_graph, update_graph
from archspec.optimise import optimise
from archspec.plan import make_plan
from archspec.plan.kernel import Kernel
from archspec.runtime.clock import Measures
from archspec.runtime.executor import Executor
from archspec.runtime.program import Pace, Program, State
from archspec.runtime.program import Stages as Runnable
from archspec.runtime.stage import Arena, Array, Native, Stage
from archspec.runtime.weights import flat_buffer, make_layout

if TYPE_CHECKING:
    from archspec.pipeline import Options, Stages

Announce = Callable[[int], None] | None


def assemble(stages: Stages, options: Options, precision: str, total_steps: int | None, announce: Announce) -> Program:
    """A program whose plans are compiled at their first use."""
    return _Assembly(stages, options, precision, total_steps, announce).program()


class _Assembly:
    def __init__(self, stages: Stages, options: Options, precision: str, total_steps: int | None, announce: Announce) -> None:
        self.stages, self.options, self.precision = stages, options, precision
        self.total_steps, self.announce = total_steps, announce
        self.dtype = np.dtype(precision)
        self.crew = call_crew()
        self.linked = Linked()
        self.arena = Arena()
        self.update_arena = Arena()  # what a gradient leaves is read after the update, so it lies elsewhere
        self.layout = make_layout(stages.graph, stages.treatments)
        self.arguments: Mapping[str, Any] = stages.training.optimizer.arguments
        self.optimizer = OPTIMIZERS[stages.training.optimizer.name]
        self.state = self._state()
        self.scalars = self._scalars()

    def program(self) -> Program:
        executor = Executor(self._driver, self.options.threads)
        runnable = Runnable(
            forward=lambda: self._stage(self.stages.forward),
            outputs=lambda names: self._stage(self.stages.outputs(names)),
        )
        pace = None
        if self.stages.has_loss:
            clip = self.stages.training.clip
            runnable = Runnable(
                forward=runnable.forward,
                outputs=runnable.outputs,
                loss=lambda: self._stage(self.stages.evaluation),
                train=lambda: self._stage(self.stages.optimised, self._gradients()),
                norm=self._norm if clip is not None and clip.name == "norm" else None,
                update=self._update,
            )
            pace = self._pace()
        program = Program(
            self.stages.graph,
            self.stages.lowered.results,
            self.layout,
            self.state,
            runnable,
            executor,
            pace,
            self.scalars,
        )
        program.keep = self.linked
        program.measures = self._measures
        return program

    # --- buffers ----------------------------------------------------------------------------------------------

    def _state(self) -> State:
        layout = self.layout
        weights = flat_buffer(layout.total, self.dtype)
        for path, (_, shape) in layout.places.items():
            recipe = self.stages.graph.specs[path].initializer
            first = draw(recipe.name, dict(recipe.arguments), shape, self.options.seed, path)
            layout.view(weights, path)[...] = first
        states = {}
        for name, value in self.optimizer.states(self.arguments).items():
            states[name] = flat_buffer(layout.trained, self.dtype)
            states[name][...] = value
        return State(weights, flat_buffer(layout.trained, self.dtype), states, np.zeros(1, np.int64))

    def _scalars(self) -> dict[str, Array]:
        """The numbers that the host sets before each update, where the kernels read them."""
        segments = self.layout.segments
        found: dict[str, Array] = {
            "lr": np.array([s.lr for s in segments], self.dtype),
            "decay": np.array([s.decay for s in segments], self.dtype),
        }
        for name in (*self.optimizer.scalars(self.arguments, 1), "scale", "norm"):
            found[name] = np.ones(1, self.dtype)
        return found

    def _gradients(self) -> dict[str, Array]:
        view = self.layout.view
        trained = [p for p, (start, _) in self.layout.places.items() if start < self.layout.trained]
        return {f"out:gradient:{path}": view(self.state.gradient, path) for path in trained}

    # --- stages -----------------------------------------------------------------------------------------------

    def _stage(
        self,
        graph: Graph,
        fixed: Mapping[str, Array] | None = None,
        into: Mapping[str, str] | None = None,
        sizes: Mapping[str, int] | None = None,
        arena: Arena | None = None,
    ) -> Stage:
        plan = make_plan(graph, into, sizes)
        crew, self.crew = self.crew, None
        codes = build(plan.kernels, self.precision, self.announce, self._kernels_ahead(graph), crew)
        natives = {s: Native(self.linked.load(c.machine_code), c.scratch) for s, c in codes.items()}
        weights = {f"weight:{p}": self.layout.view(self.state.weights, p) for p in graph.weights}
        return Stage(
            plan,
            natives,
            arena or self.arena,
            self.precision,
            self.options.threads,
            self.options.seed,
            self.state.step,
            {**weights, **(fixed or {})},
            lambda sizes: self._stage(graph, fixed, into, sizes, arena),
        )

    def _kernels_ahead(self, graph: Graph) -> Iterator[Sequence[Kernel]]:
        """What a run will need besides the gradient, to be compiled together with it."""
        if self.stages.has_loss and graph is self.stages.optimised:
            yield make_plan(*self._update_graph()).kernels
            yield make_plan(self.stages.evaluation).kernels

    def _norm(self) -> Stage:
        clip = self.stages.training.clip
        assert clip is not None
        chunks = self.state.gradient.reshape(-1, CHUNK)
        fixed = {"in:g": chunks, "out:scale": self.scalars["scale"].reshape(())}
        fixed["out:norm"] = self.scalars["norm"].reshape(())
        graph = norm_graph(float(clip.arguments["limit"]))
        graph = Graph(
            graph.nodes, graph.inputs, graph.weights, graph.outputs, graph.specs, {**graph.sizes, "chunks": len(chunks)}
        )
        return self._stage(optimise(graph), fixed, arena=self.update_arena)

    def _update(self) -> Stage:
        graph, into = self._update_graph()
        return self._stage(graph, into=into, arena=self.update_arena)

    def _update_graph(self) -> tuple[Graph, dict[str, str]]:
        training = self.stages.training
        clip = training.clip
        decays = any(s.decay for s in self.layout.segments)
        value = float(clip.arguments["limit"]) if clip is not None and clip.name == "value" else None
        by_norm = clip is not None and clip.name == "norm"
        graph, into = update_graph(training.optimizer.name, self.arguments, decays, by_norm, value)
        return optimise(graph), into

    # --- the driver and the pace --------------------------------------------------------------------------------

    def _driver(self, name: str) -> int:
        return self.linked.load(driver_code(name))

    def _measures(self) -> Measures:
        stamp, adds, stream = (
            self.linked.load(measure_code(name, self.precision)) for name in ("stamp", "multiply_adds", "stream")
        )
        return Measures(stamp, adds, stream, flops_per_turn(self.precision))

    def _pace(self) -> Pace:
        phases = self.stages.training.phases
        needs_length = schedules.needs_length(phases)

        def scalars(t: int) -> Mapping[str, float]:
            return self.optimizer.scalars(self.arguments, t)

        if schedules.is_constant(phases):
            return Pace(None, scalars)

        def rate(lr: float, t: int) -> float:
            if needs_length and self.total_steps is None:
                hint = "`steps = …` in `train` says it, or compile(total_steps=…)"
                message = "the schedule hangs on how many steps the run takes in all"
                raise ArchError(Diagnostic("R03", message, hints=(hint,)))
            return schedules.learning_rate(phases, lr, t, self.total_steps or 0)

        return Pace(rate, scalars)
