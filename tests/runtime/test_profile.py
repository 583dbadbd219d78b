"""A profile: the bits of the run stay, the times add up, the figures are those of the spec."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support import REPOSITORY

from archspec.diagnostics import ArchError
from archspec.profile import profile_data, read_profile
from archspec.running import run
from archspec.runtime.clock import Clock
from archspec.runtime.executor import Table
from archspec.runtime.floor import Speed
from archspec.runtime.profile import Profiler
from archspec.runtime.program import Program
from archspec.spec import loads
from archspec.viz.timing import profile_text, seconds_text

PERCEPTRON = """
dim B, F = 256, H = 512, K = 16
model net(x[B,F]) -> z[B,K] {
  z = x |> linear(H) |> relu |> linear(K)
}
train {
  loss = mean[B](sum[K](z^2))
  optimizer = adam(lr=0.01)
  clip = norm(1.0)
  batch = 64
}
"""
RECURRENT = """
dim B, T, D = 8, H = 8
model net(x[B,T,D]) -> h[B,T,H] { h = x |> lstm(H) }
train { loss = mean(h^2) }
"""


def program(text: str, threads: int = 1) -> Program:
    return loads(text).compile(threads=threads)


def steps(made: Program, count: int, *shape: int) -> Profiler:
    """`count` steps on rows of random numbers, timed."""
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    profiler, arrays = Profiler(made), made.check_arrays({"x": x})
    for _ in range(count):
        profiler.step_rows(arrays, np.arange(len(x)))
    return profiler


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("text", "shape"), [(PERCEPTRON, (64, 256)), (RECURRENT, (4, 9, 8))])
def test_the_bits_are_those_of_a_run_without(text: str, shape: tuple[int, ...], threads: int) -> None:
    timed, plain = program(text, threads), program(text)
    steps(timed, 4, *shape)
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    for _ in range(4):
        plain.step_rows(plain.check_arrays({"x": x}), np.arange(len(x)))
    np.testing.assert_array_equal(timed.state.weights, plain.state.weights)


def test_kernels_take_what_the_step_takes() -> None:
    """Their times, each measured by itself, add up to what the clock on the wall says of the whole table."""
    profiler = steps(program(PERCEPTRON), 40, 64, 256)
    step = profiler.step_seconds()
    kernels = sum(t.seconds * t.weight for t in profiler.timings())
    assert kernels == pytest.approx(step["kernels"], rel=1e-3)
    assert 0.9 * (step["step"] - step["host"]) < kernels < step["step"] - step["host"]
    assert step["kernels"] + step["driver"] + step["host"] == pytest.approx(step["step"])


def test_a_model_without_weights_has_a_profile() -> None:
    profiler = steps(program("dim B\nmodel net(x[B]) -> z[B] { z = 2 * x }\ntrain { loss = mean(z^2) }"), 2, 4)
    assert all(timing.stage != "update" for timing in profiler.timings())


def test_a_loop_over_time_is_one_entry_for_each_kernel() -> None:
    made = program(RECURRENT)
    data = profile_data(steps(made, 4, 4, 9, 8), "f32")
    in_loop = [c for c in data["calls"] if c["times"] == 9]
    assert in_loop and data["sizes"] == {"D": 8, "H": 8, "B": 4, "T": 9}
    assert len([c for c in data["calls"] if c["stage"] == "train"]) == len(made.step_stages()["train"].plan.calls)


def test_figures_by_hand() -> None:
    data = profile_data(steps(program(PERCEPTRON), 4, 64, 256), "f32")
    first = data["calls"][0]
    assert first["flops"] == 2 * 64 * 256 * 512 + 2 * 64 * 512
    assert first["bytes"] == 4 * (64 * 256 + 256 * 512 + 512 + 64 * 512)
    assert first["floor"] >= first["flops"] / data["machine"]["flops_per_second"]
    assert {c["stage"] for c in data["calls"]} == {"train", "norm", "update"}
    assert sum(first["lines"].values()) == pytest.approx(first["seconds"])


def test_the_floor_is_the_slower_of_both() -> None:
    speed = Speed(1e9, ((1000, 1e9), (4000, 1e8)))
    assert speed.seconds(2e9, 0) == 2
    assert speed.seconds(0, 500) == 500 / 1e9
    assert speed.seconds(0, 8000) == 8000 / 1e8


def test_barriers_stand_before_the_clock() -> None:
    words = np.array([[7, 1, 5, 6], [8, 0, 9, 0]], np.int64)
    seen: list[np.ndarray] = []
    made = program(RECURRENT)
    assert made.measures is not None
    clock = Clock(made.measures().stamp, 1)
    clock.running = True
    clock.run(Table(words), lambda table: seen.append(table.words))
    assert seen[0][:, 1].tolist() == [1, 0, 0, 0, 0, 0]
    assert seen[0][[1, 4], 0].tolist() == [7, 8] and seen[0][1, 2:4].tolist() == [5, 6]


def test_a_run_leaves_its_profile(tmp_path: Path) -> None:
    result = run(REPOSITORY / "specs" / "digits.arch", {"H": 4}, out=tmp_path / "run", profile=True)
    assert result.profile is not None
    assert read_profile(tmp_path / "run" / "profile.json") == json.loads(json.dumps(result.profile))
    assert "As written" in (tmp_path / "run" / "graph.html").read_text()
    text = profile_text(result.profile)
    assert "digits.arch:9" in text and "the update of the weights" in text
    assert all(len(line) < 160 for line in text.splitlines())


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"calls": [], "sizes": {"B": 1.5}, "step": {}}', '{"calls": [3], "sizes": {}, "step": {}}']
)
def test_another_file_is_no_profile(tmp_path: Path, text: str) -> None:
    (tmp_path / "profile.json").write_text(text)
    with pytest.raises(ArchError, match="is not a profile"):
        read_profile(tmp_path / "profile.json")


def test_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ArchError, match="No such file"):
        read_profile(tmp_path / "profile.json")


@pytest.mark.parametrize(
    ("seconds", "text"), [(1.234, "1.23 s"), (0.0123, "12.3 ms"), (4.5e-4, "450 µs"), (9.99e-10, "1 ns"), (3e-8, "30 ns")]
)
def test_seconds(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text
