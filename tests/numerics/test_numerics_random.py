"""Laws that hold of every spec, tried on random ones."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numerics_helpers import randomise, spec_of
from python_kernels import run
from random_specs import examples
from reference import interpret

from archspec.ir.verify import verify
from archspec.optimise import optimise
from archspec.optimise.copies import reading_through
from archspec.optimise.dead import remove_dead
from archspec.optimise.local import reduced
from archspec.optimise.passes import PASSES
from archspec.optimise.simplify import algebra, constants
from archspec.plan import lay_out, make_plan

SETTINGS = {"deadline": None, "derandomize": True, "database": None, "suppress_health_check": list(HealthCheck)}
COMPILED, INTERPRETED = 4, 25


def weights_of(graph, seed=0):
    rng = np.random.default_rng(seed)
    sizes = {path: [graph.size(axis) for axis in spec.axes] for path, spec in graph.specs.items()}
    return {path: 0.5 * rng.normal(size=shape) for path, shape in sizes.items()}


def assert_same(found, wanted, tolerance=1e-9):
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        scale = max(1.0, np.abs(value).max(initial=0))
        np.testing.assert_allclose(found[name], value, rtol=tolerance, atol=tolerance * scale, err_msg=name)


def alone(*rules):
    """A pass of some rules, at times of none: equal nodes become one."""

    def applied(graph):
        return reduced(graph, *rules)

    applied.__name__ = "+".join(r.__name__ for r in rules) or "equal"
    return applied


ALONE = [alone(), *(alone(rules) for rules in (reading_through, constants, algebra)), *PASSES]


@pytest.mark.parametrize("passes", [*((p,) for p in ALONE), PASSES], ids=lambda p: "+".join(f.__name__ for f in p))
@settings(max_examples=INTERPRETED, **SETTINGS)
@given(example=examples(), batch=st.integers(1, 9))
def test_no_pass_changes_what_a_graph_means(passes, example, batch):
    graph = spec_of(example.text).stages().backward
    inputs, weights = example.inputs(batch), weights_of(graph)
    wanted = interpret(graph, inputs, weights, step=1, seed=2)
    assert_same(interpret(optimise(graph, passes), inputs, weights, step=1, seed=2), wanted)


@settings(max_examples=COMPILED, **SETTINGS)
@given(example=examples(fewest_steps=4), batch=st.integers(1, 9))
def test_the_program_computes_what_the_unoptimised_graph_says(example, batch):
    """… whatever lies in scratch memory, at any number of threads."""
    spec = spec_of(example.text)
    stages = spec.stages()
    program = spec.compile(dims={}, precision="f64", threads=2, seed=2)
    others = [spec.compile(dims={}, precision="f64", threads=n, seed=2) for n in (1, 3)]
    for each in (program, *others):
        randomise(each)
    for size in (batch, 1, batch + 1):
        inputs = example.inputs(size)
        wanted = interpret(stages.backward, inputs, program.weights, seed=2)
        first = outcome(program, inputs)
        assert_same(first, wanted)
        for each in (program, *others):
            # 0xFF… is a NaN.
            each._stage("train").arena.bytes[:] = 0xFF
            each.state.gradient[...] = np.nan
            again = outcome(each, inputs)
            assert all(np.array_equal(again[name], value) for name, value in first.items())
    loss = interpret(stages.evaluation, inputs, program.weights)["loss"]
    assert program.loss(**inputs) == pytest.approx(loss, rel=1e-9)
    for each in (program, *others):
        each.close()


@settings(max_examples=INTERPRETED, **SETTINGS)
@given(example=examples(fewest_steps=2, most_steps=7, widest=5), batch=st.integers(1, 3), threads=st.integers(1, 3))
def test_the_kernels_run_as_python_compute_what_the_unoptimised_graph_says(example, batch, threads):
    stages = spec_of(example.text).stages()
    inputs, weights = example.inputs(batch), weights_of(stages.backward)
    plain = optimise(stages.backward, (remove_dead,))
    for graph, meaning in ((stages.optimised, stages.backward), (plain, stages.backward), (stages.forward, stages.forward)):
        assert_same(run(graph, inputs, weights, threads, seed=2), interpret(meaning, inputs, weights, seed=2))


@pytest.mark.parametrize("line", ["t + a", "where(t > 0, 1, a)", "where(k > 0, a, 2 * a)", "a * number(k == t)"])
@pytest.mark.parametrize(("steps", "width"), [(1, 1), (1, 3), (3, 1)])
def test_positions_along_an_axis_of_one_point_beside_a_product(line, steps, width):
    equation = line.replace("a", "sum[d](x[b,t,d] * W[d,k])")
    text = f"""
      dim B, T = {steps}, D = 2, H = {width}
      model m(x[B,T,D]) -> z[B,T,H] {{
        weight W[D,H]
        z[b,t,k] = {equation}
      }}
      train {{ loss = mean(z^2) }}
    """
    stages = spec_of(text).stages()
    inputs, weights = {"x": np.random.default_rng(0).normal(size=(2, steps, 2))}, weights_of(stages.backward)
    assert_same(run(stages.optimised, inputs, weights, 2), interpret(stages.backward, inputs, weights))


@pytest.mark.parametrize(
    "body", ["mean[H](h[t-1] @ W) + x[t]", "h[t-1] @ W - mean[H](h[t-1] @ W) + x[t]", "x[t] * (W @ v) + mean[H](h[t-1] @ W)"]
)
def test_a_product_in_a_loop_that_sums_over_its_columns_too(body):
    """Its right side is laid out ahead of the loop, with a loop of the sum that the left side does not have."""
    text = f"""
      dim B, T = 3, H = 4
      model m(x[B,T,H]) -> h[B,T,H] {{
        weight W[H,H]
        weight v[H]
        over t in T {{
          state h[B,H] = 0
          h[t] = tanh({body})
        }}
      }}
      train {{ loss = mean(h^2) }}
    """
    stages = spec_of(text).stages()
    inputs, weights = {"x": np.random.default_rng(0).normal(size=(2, 3, 4))}, weights_of(stages.backward)
    assert_same(run(stages.optimised, inputs, weights, 2), interpret(stages.backward, inputs, weights))


@pytest.mark.parametrize("steps", [1, 3, 4, 9])
@pytest.mark.parametrize("product", ["sum[j](h[b,t-1,n,j] * U[n,j,k])", "sum[j](h[b,t-1,n,j] * U[n,k,j])"])
def test_a_product_with_a_matrix_for_each_head_in_a_loop_of_many_or_few_steps(product, steps):
    """The matrices are laid out side by side ahead of the loop, with columns that fill no panel, where steps are enough."""
    text = f"""
      dim B, T, N = 2, H = 11
      model m(x[B,T,N,H]) -> h[B,T,N,H] {{
        weight U[N,H,H]
        over t in T {{
          state h[B,N,H] = 0
          h[b,t,n,k] = tanh(x[b,t,n,k] + {product})
        }}
      }}
      train {{ loss = mean(h^2) }}
    """
    stages = spec_of(text).stages()
    inputs, weights = {"x": np.random.default_rng(0).normal(size=(3, steps, 2, 11))}, weights_of(stages.backward)
    assert_same(run(stages.optimised, inputs, weights, 3), interpret(stages.backward, inputs, weights))


@pytest.mark.parametrize("left", ["u,k", "k,u", "k", "u"])
@pytest.mark.parametrize("axes", ["b,u,i,k", "b,i,u,k", "u,b,i,k", "u,b,k,i", "b,k,u,i"])
def test_sums_down_columns_with_an_axis_of_one_point_anywhere(axes, left):
    reduced = ",".join(loop for loop in "buik" if loop not in left)
    text = f"""
      dim B, U = 1, I = 9, K = 20
      model m(x[{axes.upper()}]) -> z[{left.upper()}] {{
        weight w[K]
        z[{left}] = sum[{reduced}](tanh(x[{axes}] * w[k]))
      }}
      train {{ loss = mean(z^2) }}
    """
    stages = spec_of(text).stages()
    shape = [{"b": 3, "u": 1, "i": 9, "k": 20}[loop] for loop in axes.split(",")]
    inputs, weights = {"x": np.random.default_rng(0).normal(size=shape)}, weights_of(stages.backward)
    assert_same(run(stages.optimised, inputs, weights, 2), interpret(stages.backward, inputs, weights))
    assert_same(run(stages.forward, inputs, weights, 2), interpret(stages.forward, inputs, weights))


def outcome(program, inputs):
    loss, gradient = program.gradient(**inputs)
    return {"loss": loss, **{f"gradient:{path}": value for path, value in gradient.items()}}


@settings(max_examples=INTERPRETED, **SETTINGS)
@given(example=examples(fewest_steps=3, most_steps=9), batch=st.integers(1, 40))
def test_every_stage_is_sound_and_values_that_live_together_never_share_bytes(example, batch):
    stages = spec_of(example.text).stages()
    for graph in (stages.graph, stages.forward, stages.evaluation, stages.backward, stages.optimised):
        assert verify(graph) is graph
    for graph in (stages.forward, stages.optimised):
        plan = make_plan(graph)
        verify(plan.graph)
        memory = lay_out(plan, {"B": batch}, 8)
        assert memory.offsets.keys() == plan.lifetimes.keys()
        assert memory.lower_bound <= memory.total
        places = [(memory.offsets[v], memory.nbytes[v], *plan.lifetimes[v]) for v in memory.offsets]
        for i, (a, a_size, a_first, a_last) in enumerate(places):
            assert a % 64 == 0
            assert 0 <= a < a + a_size <= memory.total
            for b, b_size, b_first, b_last in places[:i]:
                if a_first <= b_last and b_first <= a_last:
                    assert a + a_size <= b or b + b_size <= a


def test_planning_takes_no_longer_for_values_that_are_read_often():
    """Thirty lines that each read the one before three times: walking every way through them would never end."""
    lines = "\n".join(f"  h{i + 1} = h{i} * h{i} + h{i}" for i in range(30))
    text = f"dim B, D = 3\nmodel m(x[B,D]) -> h30[B,D] {{\n  h0 = 0.1 * x\n{lines}\n}}"
    assert len(make_plan(spec_of(text).stages().forward).calls) == 1
