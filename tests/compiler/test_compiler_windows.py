"""Windows of strided, transposed and grouped convolutions: what the gradient and the passes make of them, and their plans."""

from __future__ import annotations

import math

import pytest
from helpers import stages, trained

from archspec.ir.build import Builder, Loops
from archspec.ir.graph import Graph, Node
from archspec.ir.sizes import ONE, Axis
from archspec.optimise.copies import in_memory_order, reading_through
from archspec.optimise.dead import remove_dead
from archspec.optimise.local import reduced
from archspec.plan import Plan, make_plan
from archspec.plan.kernel import Blocks, For, Product, bodies

SIZES = {"B": 2, "I": 8, "J": 6, "C": 4}
SIGNATURE = "x[B,I,J,C]) -> l[B]"


def summed(call: str) -> Graph:
    """The step of a spec whose loss is the mean of the squares of what a layer makes of weighted inputs."""
    body = f"  weight v[I,J,C]\n  y = x * v |> {call}\n  l[b] = sum[i,j,c](y[b,i,j,c]^2)"
    text = trained(body, "mean(l)", SIGNATURE, "dim B, I, J, C")
    return stages(text, {name: size for name, size in SIZES.items() if name != "B"}).optimised


def divides(node: Node) -> bool:
    return node.op == "window" and any(place.divisor != ONE for place in node.attribute("places"))


def elements(graph: Graph, node: Node) -> int:
    return math.prod(a.size.evaluate({**graph.sizes, "B": SIZES["B"]}) or 0 for a in node.loops)


def statements(plan: Plan) -> list[object]:
    found, stack = [], [call.kernel.body for call in plan.calls]
    while stack:
        for statement in stack.pop():
            found.append(statement)
            stack += bodies(statement)
    return found


@pytest.mark.parametrize(
    "call",
    [
        "conv2d(8, stride=2, padding=1)",
        "conv2d(8, size=4, stride=3)",
        "conv2d_transposed(8, stride=2, padding=1, extra=1)",
        "conv2d_transposed(8, size=4, width=2, stride=2)",
    ],
)
def test_products_with_a_stride_are_products_without_division(call: str) -> None:
    """No window divides, in the gradient neither, and no place is looked for by comparison."""
    graph = summed(call)
    assert not [node for node in graph.nodes if divides(node)]
    assert not [node for node in graph.nodes if node.op == "equal"]


def test_few_taps_are_not_multiplied_by_zeros() -> None:
    """Where most of the points between two taps get nothing, the product is made for the taps alone."""
    graph = summed("conv2d(8, size=1, stride=3)")
    largest = max(elements(graph, node) for node in graph.nodes if node.op == "contract")
    assert largest == 2 * 3 * 2 * 4 * 8


def test_overlapping_pooling_reads_each_window_once() -> None:
    """The gradient of a pooling with a stride goes by phases: nothing divides."""
    graph = summed("max_pool2d(3, stride=2, padding=1)")
    assert not [node for node in graph.nodes if divides(node)]


@pytest.mark.parametrize("groups", [2, 4])
def test_groups_are_parts_of_an_axis(groups: int) -> None:
    """Channels fall into groups and are put together by reshapes: nothing is added up over groups, or larger than patches."""
    graph = summed(f"conv2d(8, padding=1, groups={groups})")
    assert not [node for node in graph.nodes if node.op == "sum" and graph.nodes[node.operands[0].value].op == "window"]
    patches = 2 * 8 * 6 * 9 * 4 * 8 // groups
    assert max(elements(graph, node) for node in graph.nodes if node.op != "window") <= patches


def test_a_depthwise_convolution_is_no_matrix_product() -> None:
    """Its vectors run along the channels; the gradient of its weights adds up all taps in one walk."""
    plan = make_plan(summed("conv2d(4, padding=1, groups=4, bias=false)"))
    found = statements(plan)
    assert not [s for s in found if isinstance(s, Product)]
    blocks = [s for s in found if isinstance(s, Blocks)]
    assert any(isinstance(inner, For) and inner.variable.startswith("u") for s in blocks for inner in s.body)


def test_a_map_is_made_in_the_order_of_memory() -> None:
    """v[c,b] = (x[b,c] - m[c])^2 summed over b walks x row by row."""
    builder, axes = Builder(), (Axis.named("B"), Axis.named("C"))
    x, m = builder.input("x", axes), builder.input("m", axes[1:])
    loops = Loops(builder, (axes[1], axes[0]))
    squares = (loops.term(x, (1, 0)) - loops.term(m, (0,))).apply("square")
    builder.outputs["y"] = loops.reduce("sum", squares, [1]).value
    written = builder.graph()
    graph = remove_dead(reduced(written, reading_through, rewrite=in_memory_order(written)))
    assert [node.shape for node in graph.nodes if node.op in ("subtract", "square")] == ["[B, C]"] * 2
    (total,) = [node for node in graph.nodes if node.op == "sum"]
    assert total.operands[0].index == (1, 0)
