"""Windows, joins, gathers and recurrences, built by hand: gradients against differences, compiled code against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from graph_runner import run_compiled
from python_kernels import run as run_as_python
from reference import interpret

from archspec.differentiate import differentiate
from archspec.ir.build import Builder, Loops, Term
from archspec.ir.graph import INT, Graph, Place, WeightSpec
from archspec.ir.sizes import Axis, Size
from archspec.ir.verify import verify
from archspec.optimise import optimise

NUMBER = Size.number


def weight(builder: Builder, path: str, *axes: Axis) -> int:
    return builder.weight(WeightSpec(path, axes, None, False))


def total(builder: Builder, value: int) -> None:
    """The loss: a sum in which every element has its own factor."""
    node = builder.node(value)
    loops = Loops(builder, node.axes)
    term = loops.term(value)
    for k in range(len(node.axes)):
        term = term * (loops.position(k).apply("number") + 0.5)
    builder.outputs["loss"] = loops.reduce("sum", term.apply("sin") * term, range(len(node.axes))).value


def convolution(stride: int, padding: int, dilation: int) -> Graph:
    b = Builder()
    batch, t, c, o, out, k = (
        Axis.named("B"),
        Axis(NUMBER(9)),
        Axis.named("C"),
        Axis.named("O"),
        Axis.named("P"),
        Axis(NUMBER(3)),
    )
    x, w = weight(b, "x", Axis(NUMBER(2)), t, c), weight(b, "W", k, c, o)
    places = [Place.loop(0), Place(((1, NUMBER(stride)), (2, NUMBER(dilation))), NUMBER(-padding)), Place.loop(3)]
    window = b.window(x, (Axis(NUMBER(2)), out, k, c), places)
    loops = Loops(b, (Axis(NUMBER(2)), out, o, k, c))
    total(b, loops.contract(loops.term(window, (0, 1, 3, 4)), loops.term(w, (3, 4, 2)), (0, 1, 2)).value)
    b.sizes = {"C": 2, "O": 3, "P": (9 + 2 * padding - dilation * 2 - 1) // stride + 1}
    assert batch
    return verify(b.graph())


def embedding() -> Graph:
    b = Builder()
    batch, t, v, d = map(Axis.named, "BTVD")
    ids = b.input("ids", (batch, t), INT, v)
    table = weight(b, "E", v, d)
    loops = Loops(b, (batch, t, d))
    total(b, loops.gather(loops.term(ids, (0, 1)), table, 0, (2,), (0, 1, 2)).value)
    b.sizes = {"V": 5, "D": 3}
    return verify(b.graph())


def joined() -> Graph:
    """A join of a computed value, a weight and a slice; the middle of it is read again."""
    b = Builder()
    n, d = Axis(NUMBER(4)), Axis.named("D")
    x, y = weight(b, "x", n, d), weight(b, "y", n, d)
    loops = Loops(b, (n, d))
    whole = b.concat([loops.term(x).apply("tanh").value, y, b.slice(x, 1, NUMBER(0), d)], 1, Axis(d.size * NUMBER(3)))
    middle = b.slice(whole, 1, d.size, Axis(d.size * NUMBER(2)))
    total(b, b.reshape(middle, (n, Axis(NUMBER(2)), d)))
    b.sizes = {"D": 3}
    return verify(b.graph())


def recurrence(reverse: bool, shared: bool) -> Graph:
    """h[t] = tanh(x[t] W + g[t-1] U), g[t] = sigmoid(g[t-1]) + h[t-1]; or both states from one value."""
    b = Builder()
    t, n, h = map(Axis.named, "TBH")
    x = b.input("x", (n, t, h))
    w, u, start = weight(b, "W", h, h), weight(b, "U", h, h), weight(b, "start", h)
    loops = Loops(b, (t, n, h, h))
    first = Loops(b, (n, h))
    before_h = b.delay((t, n, h), 0, first.materialise(first.term(start, (1,)), (0, 1)), reverse)
    before_g = b.delay((t, n, h), 0, None, reverse)
    keep = (0, 1, 2)
    mixed = loops.contract(loops.term(x, (1, 0, 3)), loops.term(w, (3, 2)), keep)
    mixed = mixed + loops.contract(loops.term(before_g, (0, 1, 3)), loops.term(u, (3, 2)), keep)
    new_h = mixed.apply("tanh") * 0.9
    new_g = loops.term(before_g, keep).apply("sigmoid") + loops.term(before_h, keep)
    b.links = {before_h: new_h.value, before_g: new_h.value if shared else new_g.value}
    total(b, (new_h + new_g).value)
    b.sizes = {"H": 3}
    return verify(b.graph())


def nested() -> Graph:
    """A recurrence over S inside of one over T: the inner one begins with the outer state."""
    b = Builder()
    t, s, n, h = Axis.named("T"), Axis.named("S"), Axis.named("B"), Axis.named("H")
    x, y = b.input("x", (n, t, h)), b.input("y", (n, s, h))
    u = weight(b, "U", h, h)
    outer = b.delay((t, n, h), 0)
    inner = b.delay((t, s, n, h), 1, outer)
    deep = Loops(b, (t, s, n, h, h))
    carried = deep.contract(deep.term(inner, (0, 1, 2, 4)), deep.term(u, (4, 3)), (0, 1, 2, 3))
    step = (carried + deep.term(y, (2, 1, 3))).apply("tanh")
    last = b.pick(step.value, 1, s.size - NUMBER(1))
    flat = Loops(b, (t, n, h))
    new = flat.term(last) * 0.5 + flat.term(x, (1, 0, 2))
    b.links = {inner: step.value, outer: new.value}
    total(b, new.value)
    b.sizes = {"H": 2}
    return verify(b.graph())


def inputs_of(graph: Graph, rng: np.random.Generator, steps: int) -> dict[str, np.ndarray]:
    sizes = {**graph.sizes, "B": 3, "T": steps, "S": 2}
    found = {}
    for name, value in graph.inputs.items():
        node = graph.nodes[value]
        shape = [axis.size.evaluate(sizes) for axis in node.axes]
        found[name] = rng.integers(0, 5, shape) if node.dtype == INT else rng.normal(size=shape)
    return found


GRAPHS = {
    **{f"conv{args}": convolution(*args) for args in [(1, 0, 1), (1, 1, 1), (2, 1, 1), (3, 0, 2), (1, 4, 2)]},
    "embedding": embedding(),
    "joined": joined(),
    "forwards": recurrence(False, False),
    "backwards": recurrence(True, False),
    "one value, two states": recurrence(False, True),
    "nested": nested(),
}


def cases(graph: Graph, steps: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    rng = np.random.default_rng(steps)
    inputs = inputs_of(graph, rng, steps)
    sizes = {**graph.sizes}
    return inputs, {p: rng.normal(size=[a.size.evaluate(sizes) for a in s.axes]) for p, s in graph.specs.items()}


@pytest.mark.parametrize("name", GRAPHS)
def test_gradients_agree_with_differences(name):
    graph = GRAPHS[name]
    inputs, weights = cases(graph, 3)
    found = interpret(verify(differentiate(graph)), inputs, weights)
    for path, array in weights.items():
        for place in list(np.ndindex(*array.shape))[:12]:
            losses = []
            for step in (1e-6, -1e-6):
                moved = {**weights, path: array.copy()}
                moved[path][place] += step
                losses.append(interpret(graph, inputs, moved)["loss"])
            assert found[f"gradient:{path}"][place] == pytest.approx((losses[0] - losses[1]) / 2e-6, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("name", GRAPHS)
def test_kernels_compute_what_the_graph_says(name, steps):
    graph = GRAPHS[name]
    inputs, weights = cases(graph, steps)
    backward = differentiate(graph)
    expected = interpret(backward, inputs, weights)
    for made in (backward, optimise(backward)):
        for found in (run_as_python(made, inputs, weights, threads=3), run_compiled(made, inputs, weights, threads=2)):
            for output, array in expected.items():
                np.testing.assert_allclose(found[output], array, rtol=1e-9, atol=1e-9, err_msg=output)


@pytest.mark.parametrize("name", GRAPHS)
def test_bits_do_not_hang_on_threads(name):
    graph = optimise(differentiate(GRAPHS[name]))
    inputs, weights = cases(graph, 4)
    first, *others = (run_compiled(graph, inputs, weights, threads) for threads in (1, 2, 3, 4))
    for other in others:
        assert all(np.array_equal(first[name], other[name]) for name in first)


def test_a_term_is_read_along_its_loops():
    b = Builder()
    x = weight(b, "x", Axis.named("D"))
    assert isinstance(Loops(b, (Axis.named("D"),)).term(x), Term)
