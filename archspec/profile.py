"""`archspec run --profile`: where the time of a training step goes, by kernel and by line of the spec, and how far each kernel
is from the floor: what it computes over the machine's multiply-adds, or what it touches over the speed of its memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archspec.diagnostics import ArchError, Diagnostic
from archspec.ir.text import node_names
from archspec.pipeline import PRECISIONS
from archspec.runtime.floor import Speed, measure_speed
from archspec.viz.blocks import block_path
from archspec.viz.cost import call_nbytes, call_operations, node_shares

if TYPE_CHECKING:
    from archspec.ir.graph import Graph
    from archspec.plan.kernel import Call
    from archspec.runtime.profile import Profiler, Timing

FLOAT_NBYTES = {"f32": 4, "f64": 8}
STEP_PARTS = {"step", "kernels", "driver", "host", "plain"}
LARGEST_NBYTES = 256 * 2**20
SUMS = ("times", "seconds", "floor", "flops", "bytes")


def profile_data(profiler: Profiler, precision: str) -> dict[str, Any]:
    """The profile of a run as JSON holds it.

    `threads`, `steps`  how many threads ran, how many steps were looked at
    `sizes`             those of most of the steps
    `step`              a mean step in seconds, see `Profiler.step_seconds`
    `machine`           operations a second; bytes a second by how many bytes are touched again and again
    `calls`             for each call of the plans its `stage`, its `number` in the plan, its `kernel`, the `value` it writes,
                        the `block` and `role` of that; and of a mean step how many `times` it is made, its `seconds`, the
                        `floor` in seconds, `flops`, `bytes`, and how many seconds belong to which of the spec's `lines`
    `lines`             the text of these lines by their places, `digits.arch:9`
    """
    timings = list(profiler.timings())
    float_nbytes = FLOAT_NBYTES[precision]
    largest = max((call_nbytes(t.call, t.sizes, float_nbytes) for t in timings), default=0)
    speed = measure_speed(profiler.executor, profiler.measures, PRECISIONS[precision], largest)
    return {
        "threads": profiler.executor.threads,
        "steps": profiler.steps,
        "sizes": _usual_sizes(timings),
        "step": profiler.step_seconds(),
        "machine": {"flops_per_second": speed.flops, "bytes_per_second": {str(n): s for n, s in speed.bandwidth}},
        "calls": _calls(profiler, timings, speed, float_nbytes),
        "lines": _texts(timings),
    }


def _usual_sizes(timings: Iterable[Timing]) -> dict[str, int]:
    steps = {t.weight: t.sizes for t in timings if t.stage == "train"}
    return dict(steps[max(steps)]) if steps else {}


def _calls(profiler: Profiler, timings: Iterable[Timing], speed: Speed, float_nbytes: int) -> list[dict[str, Any]]:
    stages = tuple(profiler.program.step_stages())
    names: dict[int, list[str]] = {}
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for timing in timings:
        key, graph = (timing.stage, timing.number), timing.plan.graph
        if id(graph) not in names:
            names[id(graph)] = node_names(graph)
        if key not in found:
            found[key] = _described(timing, graph, names[id(graph)])
        _add(found[key], timing, speed, float_nbytes)
    return [found[key] for key in sorted(found, key=lambda k: (stages.index(k[0]), k[1]))]


def _described(timing: Timing, graph: Graph, names: list[str]) -> dict[str, Any]:
    call = timing.call
    role = "update" if timing.stage != "train" else call.origin.role
    made = {"stage": timing.stage, "number": timing.number, "kernel": call.kernel.name, "value": names[call.writes[0]]}
    made |= {"block": block_path(graph.nodes[call.writes[0]]), "role": role}
    return {**made, **dict.fromkeys(SUMS, 0.0), "lines": {}}


def _add(entry: dict[str, Any], timing: Timing, speed: Speed, float_nbytes: int) -> None:
    """Adds the steps of one shape to those of others."""
    flops = call_operations(timing.call).evaluate(timing.sizes) or 0
    nbytes = call_nbytes(timing.call, timing.sizes, float_nbytes)
    times = timing.times * timing.weight
    each = {"times": 1.0, "floor": speed.seconds(flops, nbytes), "flops": flops, "bytes": nbytes}
    for name, figure in each.items():
        entry[name] += figure * times
    entry["seconds"] += timing.seconds * timing.weight
    for line, share in _lines(timing.call, timing.sizes).items():
        entry["lines"][line] = entry["lines"].get(line, 0.0) + share * timing.seconds * timing.weight


def _lines(call: Call, sizes: Mapping[str, int]) -> dict[str, float]:
    """How the time of a call is shared among the lines of the spec that it computes."""
    shares: dict[str, float] = {}
    for node, share in node_shares(call, sizes):
        span = node.origin.span
        if span is not None and share:
            place = f"{span.source.path}:{span.line}"
            shares[place] = shares.get(place, 0.0) + share
    return shares


def _texts(timings: Iterable[Timing]) -> dict[str, str]:
    spans = (node.origin.span for timing in timings for node in timing.call.inside)
    return {f"{s.source.path}:{s.line}": s.source.line(s.line).strip() for s in spans if s is not None}


# --- from disk -------------------------------------------------------------------------------------------------------


def read_profile(path: Path) -> Mapping[str, Any]:
    """What `profile_data` wrote. Raises ArchError where the file holds anything else."""
    try:
        text = path.read_text(encoding="utf-8") if path.stat().st_size <= LARGEST_NBYTES else ""
        data = json.loads(text)
    except OSError as error:
        hint = "archspec run SPEC --profile writes one into the run's folder"
        raise ArchError(Diagnostic("R05", f"cannot read {path}: {error.strerror}", hints=(hint,))) from None
    except (ValueError, RecursionError):
        data = None
    if not _is_profile(data):
        raise ArchError(Diagnostic("R05", f"{path} is not a profile that `archspec run --profile` has written"))
    profile: Mapping[str, Any] = data
    return profile


def _is_profile(data: Any) -> bool:
    if not isinstance(data, dict) or not isinstance(data.get("calls"), list):
        return False
    if not _all_numbers(data.get("sizes"), int) or not _all_numbers(data.get("step"), float):
        return False
    return data["step"].keys() >= STEP_PARTS and all(_is_call(call) for call in data["calls"])


def _is_call(call: Any) -> bool:
    figures = ("number", "seconds", "floor")
    return isinstance(call, dict) and all(_is_number(call.get(n)) for n in figures) and {"stage", "kernel"} <= call.keys()


def _all_numbers(given: Any, kind: type) -> bool:
    return isinstance(given, dict) and all(_is_number(v) and isinstance(v, int | kind) for v in given.values())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
