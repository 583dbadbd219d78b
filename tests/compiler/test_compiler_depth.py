"""What the compiler does for a layer does not grow with the layers around it: counted in calls, which no clock disturbs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from archspec.differentiate import differentiate, for_training
from archspec.drawn import drawing
from archspec.inspect import open_sizes
from archspec.ir import build
from archspec.optimise import optimise
from archspec.pipeline import Stages
from archspec.plan import lay_out, make_plan
from archspec.spec import loads
from archspec.viz.draw import VIEWS

SHALLOW, STEP = 6, 6
BODIES = {
    "gpt": "encoder_block(2, p=0.1, causal=true)",
    "mlp": "linear(D) |> batchnorm |> gelu |> dropout(0.1)",
    "recurrent": "lstm(D) |> layernorm",
}


def stages(body: str, layers: int) -> Stages:
    text = f"dim B, T = 8, D = 6\nmodel m(x[B,T,D]) -> z[B,T,D] {{ z = x |> repeat {layers} {{ {body} }} }}\n"
    return loads(f"{text}train {{ loss = mean(square(z)) }}").stages()


@contextmanager
def counted() -> Iterator[list[int]]:
    """How many functions are called, those of C included."""
    calls = [0]

    def count(frame: FrameType, event: str, argument: Any) -> None:
        calls[0] += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield calls
    finally:
        sys.setprofile(before)


def planned(made: Stages) -> None:
    plan = make_plan(made.optimised)
    lay_out(plan, open_sizes(plan.graph, 32), 4)


STEPS: dict[str, Callable[[Stages], Any]] = {
    "differentiate": lambda made: differentiate(for_training(made.graph)),
    "optimise": lambda made: optimise(made.backward),
    "plan": planned,
    "draw": lambda made: drawing(made, {}, tuple(VIEWS)).data(),
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("step", STEPS)
def test_work_for_a_layer_does_not_grow(step: str, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archspec.drawn.beside", lambda work: work)  # all calls are made in this process
    found: list[int] = []
    for layers in (SHALLOW, SHALLOW, SHALLOW + STEP, SHALLOW + 3 * STEP):  # the first one works out what all share
        made = stages(BODIES[body], layers)
        assert made.optimised
        with counted() as calls:
            STEPS[step](made)
        found.append(calls[0])
    _, shallow, deeper, deepest = found
    assert deepest - deeper < 1.03 * 2 * (deeper - shallow)


def test_a_deeper_graph_is_walked_no_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two walks of local rewrites, the second of which finds nothing."""
    walks: list[int] = []
    rebuild = build.rebuild
    monkeypatch.setattr("archspec.optimise.local.rebuild", lambda *given: walks.append(1) or rebuild(*given))
    for layers in (4, 16):
        walks.clear()
        optimise(stages(BODIES["gpt"], layers).backward)
        assert len(walks) == 2
