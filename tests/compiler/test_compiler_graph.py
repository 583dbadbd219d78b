"""Graphs: sizes, the verifier, differentiation and the passes, each without the stages after it."""

from __future__ import annotations

import pytest
from helpers import model, stages, trained
from hypothesis import given, settings
from hypothesis import strategies as st

from archspec.differentiate import differentiate, for_evaluation, for_training
from archspec.ir.build import Builder, Loops
from archspec.ir.graph import Graph, Operand
from archspec.ir.sizes import Axis, Size
from archspec.ir.verify import BrokenGraph, verify
from archspec.optimise.copies import reading_through
from archspec.optimise.dead import remove_dead
from archspec.optimise.local import reduced
from archspec.optimise.simplify import algebra, constants
from archspec.records import replace

numbers = st.integers(-5, 5)
polynomials = st.recursive(
    st.one_of(numbers.map(Size.number), st.sampled_from("ABC").map(Size.symbol)),
    lambda inner: st.tuples(inner, inner, st.sampled_from("+-*")).map(
        lambda t: {"+": t[0] + t[1], "-": t[0] - t[1], "*": t[0] * t[1]}[t[2]]
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(polynomials, polynomials, numbers, numbers, numbers)
def test_sizes_are_a_ring(p: Size, q: Size, a: int, b: int, c: int) -> None:
    values = {"A": a, "B": b, "C": c}
    x, y = p.evaluate(values), q.evaluate(values)
    assert x is not None and y is not None
    assert (p + q).evaluate(values) == x + y
    assert (p * q).evaluate(values) == x * y
    assert (p - p) == Size.number(0)
    assert p.known(values).constant == x


def test_division_is_exact_or_a_symbol() -> None:
    h = Size.symbol("H")
    assert (h * Size.number(4)).divide(Size.number(4)) == h
    assert str(h.divide(Size.symbol("N"))) == "(H/N)"
    assert str((h.divide(Size.number(2)) - Size.number(4)).divide(Size.number(2))) == "(((H/2)-4)/2)"
    assert str((h * Size.number(3)).divide(Size.symbol("N") * Size.number(2))) == "(3*H/(2*N))"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), numbers, st.integers(1, 5)), min_size=1, max_size=3), st.integers(0, 40))
def test_quotients_rounded_down(steps: list[tuple[int, int, int]], t: int) -> None:
    size, value = Size.symbol("T"), t
    for factor, offset, by in steps:
        size, value = (size * Size.number(factor) + Size.number(offset)).floor_divide(by), (value * factor + offset) // by
    assert size.evaluate({"T": t}) == value
    assert size.known({"T": t}).constant == value
    assert size.roots <= {"T"}


def test_quotients_rounded_down_are_written_in_one_way() -> None:
    t, two, three = Size.symbol("T"), Size.number(2), Size.number(3)
    assert str(t.floor_divide(2)) == "floor(T/2)"
    assert (t * two + three).floor_divide(2) == t + Size.number(1)
    assert t.floor_divide(2).floor_divide(2) == t.floor_divide(4) == (t * two + Size.number(1)).floor_divide(8)


def vector() -> tuple[Builder, Loops]:
    builder = Builder()
    loops = Loops(builder, (Axis.named("B"), Axis.named("D")))
    return builder, loops


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def test_the_verifier_finds_a_wrong_axis() -> None:
    builder, loops = vector()
    x = loops.term(builder.input("x", loops.axes))
    builder.outputs["y"] = (x * 2.0).value
    graph = verify(builder.graph())
    broken = list(graph.nodes)
    broken[-1] = replace(broken[-1], operands=(Operand(0, (1, 0)), broken[-1].operands[1]))
    with pytest.raises(BrokenGraph, match="walks along"):
        verify(replace(graph, nodes=tuple(broken)))
    broken[-1] = replace(broken[-1], operands=(Operand(9, (0, 1)), broken[-1].operands[1]))
    with pytest.raises(BrokenGraph, match="does not come before"):
        verify(replace(graph, nodes=tuple(broken)))


def test_dropout_is_a_mask_in_training_and_nothing_in_evaluation() -> None:
    graph = stages(model("  z = x |> dropout(0.5)"), {"F": 2}).graph
    assert "random" in ops(for_training(graph)) and "dropout" not in ops(for_training(graph))
    evaluated = for_evaluation(graph)
    assert evaluated.nodes[evaluated.outputs["z"]].op == "input"


def test_the_gradient_of_a_matrix_product() -> None:
    text = trained("  z = x |> linear(F, bias=false)", "sum(z)")
    graph = remove_dead(reduced(differentiate(stages(text, {"F": 2}).graph), reading_through))
    gradient = graph.nodes[graph.outputs["gradient:net/z/linear/W"]]
    assert gradient.op == "contract" and str(gradient.reduced[0]) == "B"


def test_a_weight_that_the_loss_does_not_hang_on_gets_zeros() -> None:
    text = trained("  a = x |> linear(F)\n  z = x * 2", "sum(z)")
    graph = verify(differentiate(stages(text, {"F": 2}).graph))
    assert {n for n in graph.outputs if n.startswith("gradient:")} == {
        "gradient:net/a/linear/W",
        "gradient:net/a/linear/b",
    }


def test_common_subexpressions_are_computed_once() -> None:
    builder, loops = vector()
    x = loops.term(builder.input("x", loops.axes))
    builder.outputs["y"] = ((x * x) + (x * x)).value
    graph = remove_dead(reduced(builder.graph()))
    assert ops(graph) == ["input", "multiply", "add"]


def test_two_dropouts_are_not_one() -> None:
    text = model("  z = (x |> dropout(0.5)) + (x |> dropout(0.5))")
    graph = reduced(for_training(stages(text, {"F": 2}).graph))
    assert ops(graph).count("random") == 2


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda x: x + 0.0, ["input"]),
        (lambda x: 1.0 * x, ["input"]),
        (lambda x: x.apply("negate").apply("negate"), ["input"]),
        (lambda x: (x * 2.0) * 3.0, ["input", "constant", "multiply"]),
        (lambda x: x + (-x), ["input", "subtract"]),
        (lambda x: x.apply("power", x.loops.number(2.0)), ["input", "square"]),
        (lambda x: x.apply("power", x.loops.number(0.5)), ["input", "sqrt"]),
    ],
)
def test_algebra(build: object, expected: list[str]) -> None:
    builder, loops = vector()
    x = loops.term(builder.input("x", loops.axes))
    builder.outputs["y"] = build(x).value  # type: ignore[operator]
    graph = remove_dead(reduced(builder.graph(), constants, algebra))
    assert sorted(ops(graph)) == sorted(expected)


def test_a_transpose_is_read_through() -> None:
    builder, loops = vector()
    x = builder.input("x", loops.axes)
    turned = loops.materialise(loops.term(x), (1, 0))
    back = Loops(builder, (loops.axes[1], loops.axes[0]))
    builder.outputs["y"] = (back.term(turned) * 2.0).value
    graph = remove_dead(reduced(builder.graph(), reading_through))
    assert ops(graph) == ["input", "constant", "multiply"]
    assert graph.nodes[-1].operands[0].index == (1, 0)


def test_a_map_of_a_broadcast_is_done_before_it() -> None:
    builder, loops = vector()
    s = builder.input("s", ())
    wide = loops.materialise(loops.term(s), (0, 1))
    builder.outputs["y"] = (-loops.term(wide)).value
    graph = remove_dead(reduced(builder.graph(), reading_through))
    assert ops(graph) == ["input", "negate", "copy"]
    assert graph.nodes[1].axes == ()
