"""Plans with loops over slabs: when there are any, what memory they take, how they are shown."""

from __future__ import annotations

import json

import pytest
from helpers import stages

from archspec.drawn import drawn_text
from archspec.inspect import plan_text
from archspec.pipeline import Stages
from archspec.plan import Plan, lay_out, make_plan
from archspec.plan.kernel import Loop
from archspec.viz.table import table, training_step

GPT = """
dim B, T, D = 32, N = 4
model gpt(x[B,T,D], t[B,T,D]) -> z[B,T,D] {
  z = x |> repeat 2 { encoder_block(N, p=0.1, causal=true) }
}
train { loss = mse(z, t) }
"""

CROSS = """
dim B, T, S, D = 32, N = 4
model m(x[B,T,D], y[B,S,D], t[B,T,D]) -> z[B,T,D] {
  z = x |> decoder_block(m=y, N=N, p=0.1)
}
train { loss = mse(z, t) }
"""


def loops(plan: Plan) -> list[Loop]:
    return [item for item in plan.items if isinstance(item, Loop)]


def planned(text: str, known: dict[str, int], **sizes: int) -> Plan:
    return make_plan(stages(text, known).optimised, sizes=sizes)


@pytest.mark.parametrize("known", [True, False], ids=["in dims", "in what is fed"])
def test_memory_grows_with_the_length_and_not_with_its_square(known: bool) -> None:
    def nbytes(length: int) -> int:
        sizes = {"T": length, "B": 1}
        plan = planned(GPT, {"T": length}) if known else planned(GPT, {}, **sizes)
        memory = lay_out(plan, sizes, 4)
        assert memory.total <= 1.2 * memory.lower_bound
        return memory.total

    assert nbytes(8192) <= 2.1 * nbytes(4096)
    assert nbytes(4096) < 4 * 4 * 4096**2 / 2  # half of one value that has both axes, for the four heads


def test_no_value_has_both_long_axes() -> None:
    plan = planned(CROSS, {}, T=1100, S=1200, B=2)
    kept = {v for call in plan.calls for v in (*call.reads, *call.writes)}
    for value in kept:
        names = [str(axis) for axis in plan.graph.nodes[value].axes]
        assert names.count("T") + names.count("S") <= 1, plan.graph.nodes[value]


def test_a_loop_for_each_attention_and_each_of_its_gradients() -> None:
    assert len(loops(planned(GPT, {}, T=1024, B=1))) == 4
    assert len(loops(planned(CROSS, {}, T=1100, S=1100, B=1))) == 4
    assert len(loops(planned(CROSS, {}, T=1100, S=60, B=1))) == 2  # attention to a short memory is stored


def test_short_lengths_and_large_batches_are_stored_as_ever() -> None:
    assert not loops(planned(GPT, {"T": 64}))
    assert not loops(planned(GPT, {}, T=64, B=1 << 20))
    assert planned(GPT, {}, T=64).is_good_for({"T": 100, "B": 9}) and not planned(GPT, {}, T=64).is_good_for({"T": 5000})


def test_what_has_no_two_long_axes_has_no_loop() -> None:
    text = """
dim B, T, D, H = 4096
model m(x[B,T,D], t[B,T,D]) -> z[B,T,D] {
  z = x |> linear(H) |> gelu |> layernorm |> linear(D)
}
train { loss = mse(z, t) }
"""
    assert not planned(text, {"T": 4096, "D": 4096}).pairs


def test_the_plan_shows_a_loop_and_its_memory() -> None:
    shown = plan_text(planned(GPT, {"T": 1100}), 4, {"B": 1})
    head = "for row(T) in range(1, 1100 + 1, 64):   # slab(T) is 64, or what is left; last(T) is the number of its last row"
    assert head in shown
    assert "[B, N, slab(T), T]" in shown and "[B, N, T, T]" not in shown


def made(text: str, **known: int) -> Stages:
    return stages(text, known)


def test_the_table_of_blocks_knows_what_a_step_takes() -> None:
    compiled = made(GPT)
    shown = table(compiled, {"T": 4096, "B": 1})
    step = training_step(shown, make_plan(compiled.optimised, sizes=shown.sizes), 4)
    assert step.memory.total <= 1.2 * step.memory.lower_bound
    assert step.memory.total < 4 * 4 * 4096**2 / 2


def test_a_loop_is_a_box_of_the_drawing() -> None:
    drawn = json.loads(drawn_text(".json", made(GPT), {"T": 1100, "B": 1}, "plan"))
    labels = {box["label"] for view in drawn["views"] for box in view["boxes"]}
    assert "1100 rows, 64 at a time" in labels or "T rows, 64 at a time" in labels


HAND = """
dim B, T, F = 3
model m(x[B,T,F], t[B,T,F]) -> (z[B,T,F]RESULT) {
  h = x |> linear(4)
  e[b,i,j] = sum[a](h[b,i,a] * h[b,j,a])
  w[b,i,j] = softmax[j WHERE](e[b,i,j])
  z[b,i,f] = sum[j](w[b,i,j] * x[b,j,f])
}
train { loss = mse(z, t) }
"""


@pytest.mark.parametrize(
    ("where", "ends_early"),
    [
        ("where j <= i", True),
        ("where j < i", True),
        ("where i >= j and j > 3", True),
        ("where j >= i", False),
        ("where j <= i or j > 3", False),
        ("", False),
    ],
)
def test_a_slab_ends_where_nothing_later_is_read(where: str, ends_early: bool) -> None:
    plan = planned(HAND.replace("WHERE", where).replace("RESULT", ""), {}, T=1100, B=1)
    assert [bool(loop.slab and loop.slab.last) for loop in loops(plan)] == [ends_early] * 2


@pytest.mark.parametrize(("result", "ends_early"), [("", True), (", w[B,T,T]", False)])
def test_weights_that_are_shown_are_computed_as_a_whole(result: str, ends_early: bool) -> None:
    graph = stages(HAND.replace("WHERE", "where j <= i").replace("RESULT", result), {}).forward
    [loop] = loops(make_plan(graph, sizes={"T": 1100, "B": 1}))
    assert loop.slab is not None and bool(loop.slab.last) == ends_early


def test_kernels_of_a_loop_are_drawn_with_what_all_slabs_compute() -> None:
    drawn = json.loads(drawn_text(".json", made(GPT), {"T": 1100, "B": 1}, "plan"))
    nodes = [node for view in drawn["views"] for node in view["nodes"]]
    scores = next(node for node in nodes if "slab(T), last(T)" in str(node.get("equations")))
    assert scores["flops"] > 0
