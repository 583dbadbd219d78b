"""The way from a spec to a running program, one arrow a function.

text -> syntax -> graph -> differentiated graph -> optimised graph -> plan -> kernels -> running program
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from archspec.diagnostics import ArchError, Diagnostic, did_you_mean
from archspec.ir.graph import Graph
from archspec.ir.verify import verify
from archspec.learning.treatment import Treatment, treatments
from archspec.lower import Lowered, Training
from archspec.records import record, replace

if TYPE_CHECKING:
    from archspec.plan import Plan
    from archspec.runtime.program import Program

PRECISIONS = {"f32": "f4", "f64": "f8"}
STAGES = ("syntax", "graph", "backward", "optimised", "plan", "code")


@record
class Options:
    """How a program is made. `precision` is f32 or f64; the result is the same for any number of threads."""

    precision: str = "f32"
    device: str = "cpu"
    threads: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise _usage(f"unknown precision `{self.precision}`", str(self.precision), PRECISIONS)
        if self.device != "cpu":
            raise _usage(f"unknown device `{self.device}`", str(self.device), ("cpu",))
        if not isinstance(self.threads, int) or isinstance(self.threads, bool) or not 1 <= self.threads <= 256:
            raise ArchError(Diagnostic("U03", f"`threads` must be a whole number from 1 to 256, not {self.threads!r}"))
        if not isinstance(self.seed, int) or isinstance(self.seed, bool) or not 0 <= self.seed < 2**63:
            raise ArchError(Diagnostic("U03", f"`seed` must be a whole number of at least 0, not {self.seed!r}"))


def _usage(message: str, given: str, known: Any) -> ArchError:
    return ArchError(Diagnostic("U03", message, hints=did_you_mean(given, known)))


@record
class Stages:
    """Every stage of one model as a value, each made from the one before when it is first asked for."""

    lowered: Lowered

    @cached_property
    def training(self) -> Training:
        """What `train` says, or its defaults."""
        return self.lowered.training or Training()

    @cached_property
    def graph(self) -> Graph:
        """The model as written, with its loss and metrics; frozen weights as the rules of `train` say."""
        graph = verify(self.lowered.graph)
        frozen = {path: t.frozen for path, t in self.treatments.items()}
        specs = {path: replace(spec, frozen=frozen[path]) for path, spec in graph.specs.items()}
        return replace(graph, specs=specs)

    @cached_property
    def treatments(self) -> Mapping[str, Treatment]:
        """Learning rate, decay and freezing of each weight."""
        arguments = self.training.optimizer.arguments
        paths = {path: spec.frozen for path, spec in self.lowered.graph.specs.items()}
        return treatments(paths, self.training.rules, float(arguments["lr"]), float(arguments["decay"]))

    @property
    def has_loss(self) -> bool:
        return "loss" in self.lowered.graph.outputs

    @cached_property
    def forward(self) -> Graph:
        """The results in evaluation mode."""
        return self._evaluation(self.lowered.results)

    @cached_property
    def evaluation(self) -> Graph:
        """Loss and metrics in evaluation mode."""
        figures = [n for n in self.graph.outputs if n == "loss" or n.startswith("metric:")]
        return self._evaluation([*figures, *self._carried])

    def outputs(self, names: tuple[str, ...]) -> Graph:
        """Any outputs in evaluation mode: results, `loss`, `metric:…`, `watch:…`."""
        return self._evaluation(names)

    @property
    def _carried(self) -> list[str]:
        """The states that go on from batch to batch."""
        return [name for name in self.graph.outputs if name.startswith("carry:")]

    @cached_property
    def backward(self) -> Graph:
        """Loss and gradients in training mode, before any optimisation."""
        from archspec.differentiate import differentiate, for_training

        self._need_loss()
        written = only(self.graph, ["loss", *self._carried], self.lowered.inputs)
        return verify(differentiate(for_training(written)))

    @cached_property
    def optimised(self) -> Graph:
        """Loss and gradients, optimised; the results alone where the spec has no loss."""
        from archspec.optimise import optimise

        return optimise(self.backward) if self.has_loss else self.forward

    def _evaluation(self, outputs: Any) -> Graph:
        from archspec.differentiate import for_evaluation
        from archspec.optimise import optimise

        graph = only(verify(for_evaluation(self.graph)), outputs, self.lowered.inputs)
        return optimise(graph)

    def _need_loss(self) -> None:
        if not self.has_loss:
            hint = "train { loss = cross_entropy(z, y) }"
            raise ArchError(Diagnostic("R03", "the spec has no `train` section, so there is no loss", hints=(hint,)))


def only(graph: Graph, outputs: Any, kept: tuple[str, ...] = ()) -> Graph:
    """The graph cut down to some outputs and to the inputs that they hang on; of `kept` those too whose shapes tell a size
    that nothing else tells."""
    wanted = {name: graph.outputs[name] for name in outputs}
    live = graph.reached(wanted.values())
    told = {s for v in graph.inputs.values() if v in live for a in graph.nodes[v].axes for s in a.size.symbols}
    asked = {s for v in live for a in graph.nodes[v].loops for s in a.size.symbols} - told - graph.sizes.keys()
    telling = {n for n in kept if any(a.size.symbols & asked for a in graph.nodes[graph.inputs[n]].axes)}
    inputs = {name: v for name, v in graph.inputs.items() if v in live or name in telling}
    return replace(graph, outputs=wanted, inputs=inputs)


def plan(graph: Graph, sizes: Mapping[str, int] | None = None) -> Plan:
    """Which kernels run in which order, for sizes of open axes that it is to be good for."""
    from archspec.plan import make_plan

    return make_plan(graph, sizes=sizes)


def make_program(
    stages: Stages, options: Options, total_steps: int | None, announce: Callable[[int], None] | None = None
) -> Program:
    """The running program: buffers, threads, and every plan compiled when it is first run."""
    from archspec.assemble import assemble

    return assemble(stages, options, PRECISIONS[options.precision], total_steps, announce)
