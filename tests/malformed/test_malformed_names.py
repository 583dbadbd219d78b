"""Names that mean something elsewhere, and strings that would end other strings, are names and strings here."""

from __future__ import annotations

import ast
import builtins
import re

import numpy as np
import pytest

import archspec
from archspec.codegen.machine import product_shape
from archspec.codegen.source import kernel_source
from archspec.inspect import stage_text
from archspec.plan import make_plan

# Python's words and builtins, names that generated code uses, letters that Python would fold into others, long ones.
WORDS = """
__import__ None_ class def F thread tile ﬁ fi größe print os exec self numba I i0 w acc range float arena ｘ x ª a ℌ H _ __
ᵃ gradient out return yield async scratch nb µ μ Ω args room own share uniform __builtins__ f_string number at
"""
NAMES = [*WORDS.split(), "n" * 200, "n" * 199 + "m", "ж" * 200]
COMMENT = 'it\'s """ \\ {B} {0} {x.__class__} \u202egnorw\u202c <b>&amp;</b> #'
STRING = COMMENT.replace("\\", "\\\\ \\n \\t").replace('"', '\\"')
SPEC = """
import "{path}" as __doc__
dim B, class, __name__
block lambda(exec[.., D], yield) -> def[.., D] {{
  require D > 0 : "{string}"
  weight import_[D] ~ ones  # {comment}
  def = exec * import_ + yield
}}
model np(stdin[B,class]) -> result[B,__name__] {{
  weight eval[class,__name__] ~ normal
{lines}
  result = ({last} |> __doc__.globals) @ eval
}}
train {{
  loss = mean(result ^ 2)  # {comment}
  "*eval" {{ decay = 0 }}
}}
"""
DIMS = {"class": 3, "__name__": 2}


def lines() -> str:
    """A chain of equations, each named by one of NAMES."""
    forms = ["{0} |> lambda({1})", "tanh({0} + {1})", *["{0} * 0.5 - {1}"] * 11]
    pairs = zip(("stdin", *NAMES), NAMES, strict=False)
    return "\n".join(f"  {name} = {forms[k % 13].format(before, k)}" for k, (before, name) in enumerate(pairs))


def result(weights, x):
    """The same in NumPy."""
    for k, name in enumerate(NAMES):
        if k % 13 == 0:
            x = x * weights[f"np/{name}/lambda/import_"] + k
        else:
            x = np.tanh(x + k) if k % 13 == 1 else x * 0.5 - k
    return 2 * x @ weights["np/eval"]


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    (folder / 'q"""\n{x}.arch').write_text('block globals(x[..]) -> y[..] {\n  y = x * 2  # """\n}\n')
    text = SPEC.format(path='q\\"\\"\\"\\n{x}.arch', string=STRING, comment=COMMENT, lines=lines(), last=NAMES[-1])
    return archspec.loads(text, folder=folder, name='<a """ \\ \n name>')


def test_they_compute_the_right_numbers(spec):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 3))
    program = spec.compile(dims=DIMS, precision="f64")
    try:
        for path in program.weights:
            program.weights[path] = rng.normal(size=program.weights[path].shape)
        weights = {path: program.weights[path] for path in program.weights}
        expected = result(weights, x)
        np.testing.assert_allclose(program.forward(stdin=x)["result"], expected, rtol=1e-9)
        loss, gradient = program.gradient(stdin=x)
        np.testing.assert_allclose(loss, np.mean(expected**2), rtol=1e-9)
        assert set(gradient) == set(weights)
    finally:
        program.close()


def test_generated_code_holds_nothing_but_kernels(spec):
    stages = spec.stages(DIMS)
    allowed = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
    builtin = {"range", "min", "max", "len", "int", "float", "bool"}
    for graph in (stages.forward, stages.evaluation, stages.optimised):
        for kernel in make_plan(graph).kernels:
            (function,) = ast.parse(kernel_source(kernel, "f8", product_shape(kernel, "f8"))).body
            assert isinstance(function, ast.FunctionDef)
            for node in ast.walk(function):
                assert not isinstance(node, ast.Import | ast.ImportFrom | ast.Lambda | ast.Global)
                name = node.id if isinstance(node, ast.Name) else node.arg if isinstance(node, ast.arg) else "np"
                assert allowed.match(name), name
                assert name in builtin or not hasattr(builtins, name), name
                assert not isinstance(node, ast.Attribute) or (isinstance(node.value, ast.Name) and node.attr[0] != "_")


def test_every_stage_can_be_shown(spec):
    for stage in ("graph", "backward", "optimised", "plan", "code"):
        assert "\u202e" not in stage_text(spec, stage, DIMS)


def test_odd_but_valid_specs():
    """What looks like a mistake and is none."""
    swapped = "dim B, F, K\nmodel m(x[F,B]) -> z[B,K] {\n  weight W[K,F] ~ normal\n  z = W @ x\n}\n"
    numbered = (
        "dim B, F\nblock linear_2(x[.., D]) -> y[.., D] {\n  weight W[D] ~ ones\n  y = x * W\n}\n"
        "model m(x[B,F]) -> z[B,F] {\n  z = x |> linear(F) |> linear_2 |> linear(F)\n}\n"
    )
    quotient = "let D = 6, N = 2\ndim B, F\nmodel m(x[B,F]) -> z[B,D / N] {\n  z = x |> linear(D / N)\n}\n"
    x = np.arange(6.0).reshape(2, 3)
    for text, paths in ((swapped, {"m/W"}), (quotient, {"m/z/linear/W", "m/z/linear/b"}), (numbered, None)):
        program = archspec.loads(text).compile(dims={"F": 2 if text is swapped else 3} | ({"K": 4} if text is swapped else {}))
        z = program.forward(x=x)["z"]
        weights = {path: program.weights[path] for path in program.weights}
        program.close()
        assert paths is None or set(weights) == paths
        if text is swapped:
            np.testing.assert_allclose(z, (weights["m/W"] @ x).T, rtol=1e-5)
        elif text is quotient:
            np.testing.assert_allclose(z, x @ weights["m/z/linear/W"], rtol=1e-5)
        else:
            a, b, c = (weights[f"m/z/{n}/W"] for n in ("linear", "linear_2", "linear_3"))
            np.testing.assert_allclose(z, (x @ a * b) @ c, rtol=1e-5)
