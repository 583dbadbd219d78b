"""Plans: what is fused, how kernels read, where memory lies."""

from __future__ import annotations

import ast
import math
from pathlib import Path

import pytest
from helpers import PERCEPTRON, model, stages, trained

from archspec.codegen.shapes import tile_shape
from archspec.codegen.source import kernel_source
from archspec.plan import Plan, lay_out, make_plan
from archspec.plan.groups import COLUMNS, PRODUCT, ROWS, fuse
from archspec.plan.kernel import Call, For, Loop, Pack, Product, bodies
from archspec.plan.memory import LINGER, SMALL
from archspec.plan.names import Names, safe
from archspec.plan.prepare import prepare

AVX512 = ("avx512f", "avx2", "fma")


def kinds(text: str, dims: dict[str, int]) -> list[str]:
    made = stages(text, dims)
    return [g.kind for g in fuse(prepare(made.optimised if made.has_loss else made.forward))]


def plan_of(text: str = PERCEPTRON, dims: dict[str, int] | None = None) -> Plan:
    made = stages(text, dims)
    return make_plan(made.optimised if made.has_loss else made.forward)


def test_bias_and_activation_join_the_product() -> None:
    assert kinds(model("  z = x |> linear(F) |> gelu"), {"F": 4}) == [PRODUCT]


def test_softmax_is_one_kernel() -> None:
    assert kinds(model("  z = softmax[F](x)"), {"F": 4}) == [ROWS]


def test_layernorm_is_one_kernel() -> None:
    assert kinds(model("  z = x |> layernorm"), {"F": 4}) == [ROWS]


def test_a_training_step_of_a_perceptron() -> None:
    """Two products forward; softmax, cross-entropy and their gradient in one; then sums and products backward."""
    expected = [PRODUCT, PRODUCT, ROWS, ROWS, COLUMNS, PRODUCT, PRODUCT, COLUMNS, PRODUCT]
    assert kinds(PERCEPTRON, {"F": 4, "K": 3}) == expected


def test_a_cheap_map_on_what_is_stored_anyway_is_left_to_its_readers() -> None:
    """The gradient that a norm gets is summed for its bias, so it is stored; three maps on it are not stored as well."""
    plan = plan_of(trained("  z = x |> linear(F) |> layernorm |> linear(F)", "sum(z * z)"), {"F": 4})
    products = [call for call in plan.calls if any(isinstance(s, Product) for s in call.kernel.body)]
    assert max(len(call.writes) for call in products) == 1


def test_what_divides_a_row_is_turned_over_once() -> None:
    made = stages(model("  z = x / sum[F](x * x)"), {"F": 4}).forward
    assert [len(node.axes) for node in made.nodes if node.op == "divide"] == [1]
    mean = stages(model("  m = mean[F](x)\n  z = x - m"), {"F": 4}).forward
    assert [node.operands[0].value for node in mean.nodes if node.op == "divide"]


def test_equal_layers_share_their_kernels() -> None:
    def count(depth: int) -> int:
        return len(plan_of(trained(f"  z = x |> repeat {depth} {{ linear(F) |> tanh }}", "sum(z)"), {"F": 4}).kernels)

    assert count(12) == count(4)


def test_a_column_sum_over_leading_axes() -> None:
    assert kinds(model("  s = sum[B](x)\n  z = x * s"), {"F": 4}) == [COLUMNS, ROWS]


def test_sources_are_python_and_hold_no_foreign_name() -> None:
    for kernel in plan_of().kernels:
        for precision in ("f4", "f8"):
            tree = ast.parse(kernel_source(kernel, precision, tile_shape(precision, AVX512)))
            assert len(tree.body) == 1 and isinstance(tree.body[0], ast.FunctionDef)


def test_the_source_of_a_step(golden: object) -> None:
    text = "\n\n".join(kernel_source(k, "f4", tile_shape("f4", AVX512)) for k in plan_of().kernels)
    golden("perceptron.py.txt", text)  # type: ignore[operator]


@pytest.mark.parametrize("name", ["class", "np", "F", "ﬁ", "größe", "1x", "__import__", "thread", "a b", "", "λ"])
def test_names_are_made_safe(name: str) -> None:
    made = safe(name)
    assert made.isidentifier() and made.isascii() and made not in ("class", "np", "F", "thread", "__import__")


def test_names_are_never_given_twice() -> None:
    names = Names()
    made = [names.new(n) for n in ("x", "x", "x2", "x", "ﬁ", "fi", "x_2", "t", "t", "t1", "t1")]
    assert len(set(made)) == len(made)


def test_memory_never_overlaps_in_time_and_space() -> None:
    text = trained("  z = x |> repeat 6 { linear(F) |> tanh |> layernorm }", "mean(z^2)")
    plan = plan_of(text, {"F": 8})
    memory = lay_out(plan, {"B": 5}, 4)
    spans = [(memory.offsets[v], memory.offsets[v] + memory.nbytes[v], plan.lifetimes[v]) for v in memory.offsets]
    for i, (start, stop, life) in enumerate(spans):
        for other_start, other_stop, other in spans[:i]:
            together = life[0] <= other[1] and other[0] <= life[1]
            assert not together or stop <= other_start or other_stop <= start
    assert memory.lower_bound <= memory.total <= 1.2 * memory.lower_bound


def test_small_values_are_not_written_over_at_once() -> None:
    """Threads that have read one go on to the next kernels without waiting for each other."""
    plan = plan_of()
    memory = lay_out(plan, {"B": 32}, 4)
    spans = {v: (memory.offsets[v], memory.offsets[v] + memory.nbytes[v]) for v in memory.offsets}
    for value, (start, stop) in spans.items():
        death = plan.lifetimes[value][1]
        after = [spans[v] for v in spans if death < plan.lifetimes[v][0] <= death + LINGER]
        assert memory.nbytes[value] > SMALL or all(stop <= below or above <= start for below, above in after)


def test_results_are_written_in_place_where_nobody_reads_on() -> None:
    text = model("  s = x |> linear(F)\n  t = max[B](s)\n  u = exp(s * t)\n  z = u |> linear(F)")
    plan = plan_of(text, {"F": 8})
    assert any(set(call.reads) & set(call.writes) for call in plan.calls)


def test_folder_of_goldens_is_complete() -> None:
    assert (Path(__file__).parent / "golden" / "perceptron.py.txt").exists()


CONVOLUTION = """
dim B, I, J, C
model m(x[B,I,J,C]) -> z[B] {
  h = x |> conv2d(4, size=1) |> conv2d(8, padding="same") |> relu |> max_pool2d
  z[b] = sum[p,q,o](h[b,p,q,o] * h[b,p,q,o])
}
data { source = npz("none.npz")
  x[B,I,J,C] = source["x"]
  y[B] = source["y"] }
train { loss = mse(z, y) }
"""


def test_a_convolution_stores_no_patches() -> None:
    """Nothing is larger than the widest tensor with its border, in the gradient neither; windows are read where they lie."""
    plan = plan_of(CONVOLUTION, {"I": 12, "J": 12, "C": 3})
    computed = {v for call in plan.calls for v in call.writes}
    elements = [math.prod(a.size.evaluate({**plan.graph.sizes, "B": 1}) for a in plan.graph.nodes[v].axes) for v in computed]
    assert max(elements) <= 14 * 14 * 8
    assert any(p.kind == "offsets" for call in plan.calls for p in call.kernel.parameters)


def test_pooling_is_one_walk_and_stores_no_windows() -> None:
    """The largest value of each window and how often it occurs, which its gradient needs; what it was found by is compared
    again, not stored."""
    plan = plan_of(CONVOLUTION, {"I": 12, "J": 12, "C": 3})
    (pool,) = [call for call in plan.calls if "written out" in _kinds(call.kernel.body)]
    assert [plan.graph.nodes[v].shape for v in pool.writes] == ["[B, (I/2), (J/2), 8]"] * 2


def _kinds(body) -> set[str]:
    found = {s.kind for s in body if isinstance(s, For)}
    return found.union(*(_kinds(inner) for s in body for inner in bodies(s)))


@pytest.mark.parametrize(("steps", "prefetches"), [(256, True), (255, False)])
def test_what_is_added_to_long_sums_is_fetched_while_these_are_made(steps: int, prefetches: bool) -> None:
    """A tile of few steps is done before it would be there; what all rows share, the bias, is near."""
    text = f"""
dim B, D = {steps}, H = 32
model m(x[B,D], other[B,H]) -> z[B,H] {{
  z = (x |> linear(H)) + other
}}
"""
    [kernel] = plan_of(text, {}).kernels
    source = kernel_source(kernel, "f4", tile_shape("f4", AVX512))
    found = [line.strip() for line in source.split("\n") if "prefetch(" in line]
    assert found == (["prefetch(at(other, m*32 + first))"] if prefetches else [])


RECURRENT = """
let H = 8
dim B, T, F
model m(x[B,T,F]) -> z[B,T,H] {
  z = x |> LAYER
}
train { loss = sum(z) }
"""


@pytest.mark.parametrize("layer", ["lstm(H)", "gru(H)", "rnn(H)"])
def test_what_a_loop_multiplies_by_is_laid_out_once_before_it(layer: str) -> None:
    """Every step multiplies by U, backwards by U^T; the loop reads panels of it, made right before."""
    plan = plan_of(RECURRENT.replace("LAYER", layer), {"T": 5, "F": 4})
    loops = [(i, item) for i, item in enumerate(plan.items) if isinstance(item, Loop)]
    assert [loop.reverse for _, loop in loops] == [False, True]
    for at, loop in loops:
        products = [call for call in calls_of(loop) if any(isinstance(s, Product) for s in call.kernel.body)]
        assert products and all(s.ahead for call in products for s in call.kernel.body if isinstance(s, Product))
        before = {
            v: i for i, item in enumerate(plan.items[:at]) if isinstance(item, Call) and is_pack(item) for v in item.writes
        }
        read = before.keys() & {v for call in products for v in call.reads}
        assert len(read) == len(products) and all(at - len(read) <= before[v] for v in read)
    assert not any("copy" in kernel.name for kernel in plan.kernels)


def test_a_loop_of_few_steps_lays_out_nothing() -> None:
    plan = plan_of(RECURRENT.replace("LAYER", "rnn(H)"), {"T": 3, "F": 4})
    assert any(isinstance(item, Loop) for item in plan.items) and not any(is_pack(call) for call in plan.calls)


def is_pack(call: Call) -> bool:
    return any(isinstance(s, Pack) for s in call.kernel.body)


def calls_of(loop: Loop) -> list[Call]:
    return [call for item in loop.items for call in ([item] if isinstance(item, Call) else calls_of(item))]
