"""Convolutions and pooling against PyTorch: outputs, loss and all gradients, for random sizes and settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from interpreted import Interpreted
from numerics_helpers import check_gradient, compiled, randomise
from python_kernels import run as run_as_python
from reference import interpret

torch = pytest.importorskip("torch")

from torch_layers import Weights, compare  # noqa: E402

functional = torch.nn.functional
pytestmark = pytest.mark.filterwarnings("ignore:Using padding=.same.")


@dataclass(frozen=True)
class Case:
    """One layer along one axis or two: how it is called, and what PyTorch makes of it."""

    call: str
    sizes: tuple[int, ...]  # of the input: its points, then its channels
    reference: Callable[[Any, Weights], Any]  # (b, c, points) and the weights -> (b, o, points)
    kernel: tuple[int, ...] = (1,)  # the axes of W

    def torch(self, x: Any, w: Weights) -> Any:
        return torch.movedim(self.reference(torch.movedim(x, -1, 1), w), 1, -1)

    @property
    def shape(self) -> tuple[int, ...]:
        """The points and channels of the result, by PyTorch."""
        w = Weights({"w/W": torch.zeros(self.kernel), "w/b": torch.zeros(self.kernel[-1])}, "w")
        return tuple(self.torch(torch.zeros(1, *self.sizes), w).shape[1:])

    @property
    def layer(self) -> str:
        return self.call.split("(")[0]


# --- random cases ------------------------------------------------------------------------------------------------------


def pick(rng: np.random.Generator, *choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]


def settings_text(**settings: Any) -> str:
    values = {name: f'"{value}"' if isinstance(value, str) else str(value).lower() for name, value in settings.items()}
    return ", ".join(f"{name}={value}" for name, value in values.items())


def to_torch(w: Any) -> Any:
    """(points, c, o) -> (o, c, points)."""
    return torch.movedim(w, (-1, -2), (0, 1)).contiguous()


def convolution(seed: int, axes: int) -> Case:
    rng = np.random.default_rng(seed)
    size = [int(rng.integers(1, 4)) for _ in range(axes)]
    stride, dilation, groups = pick(rng, 1, 1, 2, 3), pick(rng, 1, 1, 2), pick(rng, 1, 1, 2, 3)
    padding = pick(rng, 0, 1, 2, "same") if stride == 1 else pick(rng, 0, 1, 2)
    bias, c, o = bool(rng.integers(2)), groups * int(rng.integers(1, 3)), groups * int(rng.integers(1, 3))
    points = [dilation * (s - 1) + 1 + int(rng.integers(0, 5)) for s in size]
    given = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    shape = {"size": size[0], **({"width": size[1]} if axes == 2 else {})}
    run = functional.conv1d if axes == 1 else functional.conv2d

    def reference(x: Any, w: Weights) -> Any:
        return run(x, to_torch(w["W"]), w["b"] if bias else None, **given)

    return Case(
        f"conv{axes}d({o}, {settings_text(**shape, **given, bias=bias)})", (*points, c), reference, (*size, c // groups, o)
    )


def transposed(seed: int, axes: int) -> Case:
    rng = np.random.default_rng(seed)
    size = [int(rng.integers(1, 4)) for _ in range(axes)]
    stride, dilation, padding = pick(rng, 1, 2, 3), pick(rng, 1, 1, 2), pick(rng, 0, 0, 1)
    extra = int(rng.integers(max(stride, dilation)))
    points, c, o = [int(rng.integers(3, 5)) for _ in size], int(rng.integers(1, 4)), int(rng.integers(1, 4))
    shape = {"size": size[0], **({"width": size[1]} if axes == 2 else {})}
    given = {"stride": stride, "padding": padding, "dilation": dilation}
    run = functional.conv_transpose1d if axes == 1 else functional.conv_transpose2d

    def reference(x: Any, w: Weights) -> Any:
        kernel = torch.movedim(w["W"], (-2, -1), (0, 1)).contiguous()
        return run(x, kernel, w["b"], **given, output_padding=extra)

    return Case(
        f"conv{axes}d_transposed({o}, {settings_text(**shape, **given, extra=extra)})", (*points, c), reference, (*size, c, o)
    )


def pooling(seed: int, axes: int) -> Case:
    rng = np.random.default_rng(seed)
    size = [int(rng.integers(1, 4)) for _ in range(axes)]
    stride, padding = int(rng.integers(1, 4)), int(rng.integers(0, min(size) // 2 + 1))
    points = [s + int(rng.integers(0, 5)) for s in size]
    shape = {"size": size[0], **({"width": size[1]} if axes == 2 else {})}
    given = {"stride": stride, "padding": padding}
    if rng.integers(2):
        run = functional.max_pool1d if axes == 1 else functional.max_pool2d
        return Case(f"max_pool{axes}d({settings_text(**shape, **given)})", (*points, 2), lambda x, w: run(x, size, **given))
    zeros = bool(rng.integers(2))
    mean = functional.avg_pool1d if axes == 1 else functional.avg_pool2d

    def reference(x: Any, w: Weights) -> Any:
        return mean(x, size, **given, count_include_pad=zeros)

    return Case(f"mean_pool{axes}d({settings_text(**shape, **given, zeros=zeros)})", (*points, 2), reference)


KINDS = {
    f"{make.__name__} {axes}": lambda seed, make=make, axes=axes: make(seed, axes)
    for make in (convolution, transposed, pooling)
    for axes in (1, 2)
}


# --- against PyTorch ---------------------------------------------------------------------------------------------------


def spec(*cases: Case) -> str:
    """The layers on inputs times a weight, so that these have gradients too. The mean of a whole result shows its size."""
    inputs, outputs, lines, losses = [], [], [], []
    for k, case in enumerate(cases):
        names = "ij"[: len(case.sizes) - 1]
        inputs.append(f"x{k}[B, {', '.join(f'{i.upper()}{k}' for i in names)}, C{k}]")
        outputs.append(f"z{k}[B, {', '.join(map(str, case.shape))}]")
        left = ", ".join(f"{i} in {n}" for i, n in zip((*names, "o"), case.shape, strict=True))
        read = ", ".join(f"{i} + 0" for i in (*names, "o"))
        lines += [
            f"weight v{k}[{inputs[-1].split('[B, ')[1]}",
            f"y{k} = x{k} * v{k} |> {case.call}",
            f"z{k}[b, {left}] = y{k}[b, {read}]",
        ]
        losses.append(f"mean(y{k}^2) + mean(sin(z{k}))")
    dims = [f"{name} = {size}" for k, case in enumerate(cases) for name, size in _axes(k, case)]
    body = "\n  ".join(lines)
    head = f"model m({', '.join(inputs)}) -> ({', '.join(outputs)})"
    return f"dim B, {', '.join(dims)}\n{head} {{\n  {body}\n}}\ntrain {{ loss = {' + '.join(losses)} }}\n"


def _axes(k: int, case: Case) -> list[tuple[str, int]]:
    names = [*(f"{i}{k}" for i in "IJ"[: len(case.sizes) - 1]), f"C{k}"]
    return list(zip(names, case.sizes, strict=True))


def reference(*cases: Case) -> Callable[..., Any]:
    def run(w: Weights, given: dict[str, Any]) -> Any:
        found = [c.torch(given[f"x{k}"] * w[f"v{k}"], w.at(f"y{k}", c.layer)) for k, c in enumerate(cases)]
        return {f"z{k}": z for k, z in enumerate(found)}, sum((z**2).mean() + z.sin().mean() for z in found)

    return run


def batch(seed: int, *cases: Case, rows: int = 2) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {f"x{k}": rng.normal(size=(rows, *case.sizes)) for k, case in enumerate(cases)}


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("kind", KINDS)
def test_equals_pytorch(kind, seed):
    """What the equations of the library say."""
    case = KINDS[kind](seed)
    compare(Interpreted(spec(case)), "m", reference(case), batch(seed, case), seed)


@pytest.mark.parametrize("seed", range(30, 45))
@pytest.mark.parametrize("kind", KINDS)
def test_the_kernels_say_what_the_equations_say(kind, seed):
    case = KINDS[kind](seed)
    program, inputs = Interpreted(spec(case)), batch(seed, case)
    randomise(program, seed)
    found = run_as_python(program.stages.optimised, inputs, program.weights, threads=2)
    wanted = interpret(program.stages.backward, inputs, program.weights)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-9, atol=1e-11, err_msg=name)


COMPILED = [KINDS[kind](seed) for kind in KINDS for seed in (1, 3)]


def test_compiled_equals_pytorch():
    """What runs: all of them side by side in one program."""
    program = compiled(spec(*COMPILED))
    for rows in (1, 3):
        compare(program, "m", reference(*COMPILED), batch(rows, *COMPILED, rows=rows))


def test_gradients_by_differences():
    cases = [KINDS["convolution 2"](5), KINDS["pooling 1"](6), KINDS["transposed 1"](2)]
    program = compiled(spec(*cases))
    randomise(program, 3)
    check_gradient(program, **batch(3, *cases))


# --- sizes at which channels fill vectors, taps are many, and threads have something to share ---------------------------


def grouped(size: int, channels: int, out: int, groups: int, points: int = 9, **given: Any) -> Case:
    call = f"conv2d({out}, {settings_text(size=size, groups=groups, **given)})"

    def reference(x: Any, w: Weights) -> Any:
        return functional.conv2d(x, to_torch(w["W"]), w["b"], groups=groups, **given)

    return Case(call, (points, points - 2, channels), reference, (size, size, channels // groups, out))


def upsampled(size: int, channels: int, out: int, **given: Any) -> Case:
    def reference(x: Any, w: Weights) -> Any:
        return functional.conv_transpose2d(x, torch.movedim(w["W"], (-2, -1), (0, 1)).contiguous(), w["b"], **given)

    call = f"conv2d_transposed({out}, {settings_text(size=size, **given)})"
    return Case(call, (5, 6, channels), reference, (size, size, channels, out))


WIDE = (
    grouped(3, 20, 20, 20, padding=1),
    grouped(7, 18, 18, 18, padding=3),
    grouped(3, 17, 34, 17, stride=2),
    grouped(3, 24, 36, 3, padding=1, stride=2),
    upsampled(3, 18, 20, stride=2, padding=1),
    upsampled(4, 7, 33, stride=2),
    Case("max_pool2d(3, stride=2, padding=1)", (9, 8, 20), lambda x, w: functional.max_pool2d(x, 3, 2, 1)),
    Case("mean_pool2d(3, stride=2, padding=1)", (9, 8, 20), lambda x, w: functional.avg_pool2d(x, 3, 2, 1)),
)


@pytest.mark.parametrize("case", WIDE, ids=lambda case: case.call)
def test_wide_layers_equal_pytorch(case):
    compare(compiled(spec(case)), "m", reference(case), batch(1, case, rows=3), 1)


@pytest.mark.parametrize("case", WIDE, ids=lambda case: case.call)
def test_wide_layers_have_the_same_bits_on_any_number_of_threads(case):
    found = []
    for threads in (1, 2, 3):
        program = compiled(spec(case), "f32", threads)
        randomise(program, 2)
        found.append(program.gradient(**batch(4, case, rows=5)))
    for loss, gradient in found[1:]:
        assert loss == found[0][0]
        assert all(np.array_equal(gradient[path], first) for path, first in found[0][1].items())
