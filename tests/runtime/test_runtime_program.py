"""Programs as their users call them: shapes, refusals, batches of any size, the same bits on any number of threads."""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from archspec.diagnostics import ArchError
from archspec.runtime.program import Program
from archspec.runtime.stage import aligned
from archspec.spec import loads

TEXT = """
let H = 17, p = 0.0
dim B, F, K

model net(x[B,F]) -> z[B,K], h[B,H] {
  layer f = linear(F)
  a = f(x) |> tanh
  b = f(a) + x
  c = a * b - max[F](b)
  h = (c + a) |> linear(H) |> gelu |> dropout(p)
  z = h |> linear(K)
}

data {
  source = csv("none.csv")
  x[B,F] = source["x*"]
  y[B]: K = source["y"]
}

train {
  loss = cross_entropy(z, y)
  metrics = [accuracy(z, y)]
  optimizer = adam(lr=1e-2)
  clip = norm(1.0)
}
"""
DIMS = {"F": 7, "K": 3}


def program(threads: int = 1, precision: str = "f32", **settings: float) -> Program:
    return loads(TEXT, set=settings).compile(DIMS, precision, threads=threads, seed=3)


def batch(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"x": rng.normal(size=(rows, 7)), "y": rng.integers(0, 3, rows)}


@pytest.fixture(scope="module")
def one() -> Program:
    return program()


def test_forward_gives_every_result_by_name(one: Program) -> None:
    results = one.forward(x=batch(5)["x"])
    assert {name: array.shape for name, array in results.items()} == {"z": (5, 3), "h": (5, 17)}


@pytest.mark.parametrize("rows", [1, 2, 33, 5])
def test_batches_of_any_size_run_the_same_code(one: Program, rows: int) -> None:
    inputs = batch(rows)
    together = one.forward(x=inputs["x"])["z"]
    alone = np.concatenate([one.forward(x=inputs["x"][i : i + 1])["z"] for i in range(rows)])
    np.testing.assert_array_equal(together, alone)


def test_the_gradient_is_that_of_the_loss(one: Program) -> None:
    double = program(precision="f64")
    inputs = batch(9)
    loss, gradient = double.gradient(**inputs)
    assert loss == pytest.approx(double.loss(**inputs), abs=1e-12)
    for path, g in gradient.items():
        start = double.weights[path]
        where = tuple(np.unravel_index(np.abs(g).argmax(), g.shape))
        moved = start.copy()
        moved[where] += 1e-6
        double.weights[path] = moved
        up = double.loss(**inputs)
        moved[where] -= 2e-6
        double.weights[path] = moved
        down = double.loss(**inputs)
        double.weights[path] = start
        assert (up - down) / 2e-6 == pytest.approx(g[where], rel=1e-5, abs=1e-8), path


def fingerprint(threads: int, steps: int = 30) -> str:
    made = program(threads, p=0.3)
    for i in range(steps):
        made.step(**batch(32 if i % 5 else 7, seed=i))
        if i == 10:
            time.sleep(0.05)  # long enough for the workers to go to sleep
    digest = hashlib.sha256(b"".join(w.tobytes() for w in made.weights.values())).hexdigest()
    made.close()
    return digest


def test_the_bits_do_not_hang_on_the_threads() -> None:
    assert len({fingerprint(threads) for threads in (1, 2, 3, 4, 1)}) == 1


def test_dropout_is_a_function_of_the_step() -> None:
    made = program(p=0.5)
    inputs = batch(16)
    first, again = made.gradient(**inputs), made.gradient(**inputs)
    assert first[0] == again[0]
    assert made.loss(**inputs) == made.loss(**inputs) != first[0]
    made.step(**inputs)
    assert made.steps_done == 1


def test_training_lowers_the_loss(one: Program) -> None:
    inputs = batch(64)
    before = one.loss(**inputs)
    for _ in range(200):
        one.step(**inputs)
    assert one.loss(**inputs) < 0.5 * before
    assert one.figures(**inputs)["accuracy"] > 0.8


def test_weights_are_checked(one: Program) -> None:
    path = "net/z/linear/W"
    one.weights[path] = np.ones((17, 3))
    assert one.weights[path].sum() == 51
    with pytest.raises(ArchError, match=r"shape \[17, 3\], not \[3, 17\]"):
        one.weights[path] = np.ones((3, 17))
    with pytest.raises(ArchError, match="did you mean `net/z/linear/W`"):
        one.weights["net/z/liner/W"] = np.ones((17, 3))
    with pytest.raises(ArchError, match="holds numbers"):
        one.weights[path] = np.full((17, 3), "a")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"x": np.ones((2, 6)), "y": np.zeros(2, int)}, "has 7 along F and is given 6"),
        ({"x": np.ones(7), "y": np.zeros(2, int)}, r"has the axes \[B, F\] and is given 1"),
        ({"x": np.ones((2, 7)), "y": np.zeros(3, int)}, "has 2 along B and is given 3"),
        ({"x": np.ones((0, 7)), "y": np.zeros(0, int)}, "is empty along B"),
        ({"x": np.ones((2, 7)), "y": np.array([0, 3])}, "holds numbers from 0 to 2 and is given 0 to 3"),
        ({"x": np.ones((2, 7)), "y": np.array([0, -1])}, "holds numbers from 0 to 2"),
        ({"x": np.ones((2, 7)), "y": np.array([0.0, 1.0])}, "holds whole numbers"),
        ({"x": np.full((2, 7), "a"), "y": np.zeros(2, int)}, "holds numbers and is given <U1"),
        ({"x": np.ones((2, 7))}, "the input `y` is missing"),
        ({"x": np.ones((2, 7)), "y": np.zeros(2, int), "w": 1}, "there is no input `w`"),
    ],
)
def test_wrong_inputs_are_refused(one: Program, inputs: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ArchError, match=message):
        one.loss(**inputs)


def test_a_model_without_loss_has_none() -> None:
    made = loads("dim B, F\nmodel net(x[B,F]) -> z[B,F] {\n  z = x |> linear(F)\n}\n").compile({"F": 7})
    assert made.forward(x=np.ones((2, 7)))["z"].shape == (2, 7)
    with pytest.raises(ArchError, match="no `train` section"):
        made.loss(x=np.ones((2, 7)))


def test_an_open_weight_axis_is_named() -> None:
    with pytest.raises(ArchError, match="the axis `F` of the weight `net/z/linear/W` has no size"):
        loads("dim B, F\nmodel net(x[B,F]) -> z[B,F] {\n  z = x |> linear(F)\n}\n").compile({})


def test_options_are_checked() -> None:
    spec = loads(TEXT)
    for options, message in [
        ({"precision": "f16"}, "unknown precision"),
        ({"device": "tpu"}, "unknown device"),
        ({"threads": 0}, "`threads` must be"),
        ({"seed": -1}, "`seed` must be"),
        ({"model": "other"}, "no model `other`"),
    ]:
        with pytest.raises(ArchError, match=message):
            spec.compile(DIMS, **options)


def test_a_closed_program_runs_on_the_callers_thread() -> None:
    made = program(threads=2)
    before = made.loss(**batch(9))
    made.close()
    assert made.loss(**batch(9)) == before


def test_weights_answer_as_mappings_do(one: Program) -> None:
    path = "net/z/linear/W"
    assert path in one.weights
    assert "net/z" not in one.weights
    assert 3 not in one.weights
    assert one.weights.get("net/z") is None
    with pytest.raises(KeyError, match="no weight `net/z`"):
        one.weights["net/z"]
    for wrong in (np.nan, np.inf, 1e39):
        with pytest.raises(ArchError, match="holds finite numbers of float32"):
            one.weights[path] = np.full((17, 3), wrong)


def test_inputs_that_are_no_arrays_are_refused(one: Program) -> None:
    y = np.zeros(2, int)
    with pytest.raises(ArchError, match="the input `x` cannot be read as an array"):
        one.loss(x=[[1.0] * 7, [1.0] * 6], y=y)
    with pytest.raises(ArchError, match="the input `x` holds numbers that are too large for float32"):
        one.loss(x=np.full((2, 7), 1e39), y=y)
    with pytest.raises(ArchError, match="too large for float32"):
        one.check_arrays({"x": np.full((2, 7), 1e39), "y": y})
    assert np.isnan(one.loss(x=np.full((2, 7), np.nan), y=y))


def test_numbers_of_numpy_are_numbers() -> None:
    sizes = {"F": np.int64(7), "K": np.array([0, 2]).max() + 1}
    made = loads(TEXT, set={"H": np.int32(5), "p": np.float32(0.5)}).compile(sizes, threads=np.int64(1), seed=np.uint8(3))
    assert made.weights["net/h/linear/b"].shape == (5,)
    np.testing.assert_array_equal(made.weights["net/f/W"], program(H=5).weights["net/f/W"])


@pytest.mark.parametrize("size", [0, -1, "7", 7.0, True, None, 2**60])
def test_sizes_are_checked(size: object) -> None:
    with pytest.raises(ArchError) as error:
        loads(TEXT).compile({"F": size, "K": 3})
    assert str(error.value) == f"error[U02]: the size of `F` must be a whole number of at least 1, not {size!r}"


def test_a_size_that_contradicts_the_spec() -> None:
    with pytest.raises(ArchError) as error:
        loads("dim B, F = 3\nmodel net(x[B,F]) -> z[B] {\n  z = sum[F](x)\n}\n").compile({"F": 5})
    assert [d.message for d in error.value.diagnostics] == ["the spec says F = 3, the data or caller 5"]


def test_memory_that_there_is_not() -> None:
    with pytest.raises(ArchError, match=r"error\[R07\]: there is no memory for 1,152,921,504.6 GB\nhint: smaller axes"):
        aligned(2**60)


def test_threads_of_python_take_turns(one: Program) -> None:
    batches = [batch(3000, seed)["x"] for seed in range(4)]
    alone = [one.forward(x=x)["z"] for x in batches]

    def often(number: int) -> list[bool]:
        return [np.array_equal(one.forward(x=batches[number])["z"], alone[number]) for _ in range(40)]

    with ThreadPoolExecutor(4) as pool:
        assert all(map(all, pool.map(often, range(4))))


MANY_WEIGHTS = """
dim B, V = 60000, K = 3
model net(w[B]: V) -> z[B,K] { z = w |> embed(16) |> batchnorm |> linear(K) }
data { source = csv("none.csv"); w[B]: V = source["w"]; y[B]: K = source["y"] }
train { loss = cross_entropy(z, y)
 optimizer = sgd(lr=1e-2)
 clip = CLIP }
"""


def test_the_norm_of_many_weights_leaves_what_a_step_returns() -> None:
    """The squares of their gradients are summed in more memory than the few values of the model take."""
    found = []
    for clip in ("norm(1e6)", "value(1e6)"):
        made = loads(MANY_WEIGHTS.replace("CLIP", clip)).compile({}, threads=1)
        inputs = {"w": np.arange(2), "y": np.arange(2)}
        losses = made.step(**inputs), made.step_rows(made.check_arrays(inputs), np.arange(2))
        found.append((losses, {p: a.copy() for p, a in made.weights.items() if a.size < 100}))
    (first, running), (second, expected) = found
    assert first == second
    for path, array in expected.items():
        np.testing.assert_array_equal(running[path], array)
