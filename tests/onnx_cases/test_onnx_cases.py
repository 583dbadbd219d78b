"""The operators' own test cases of ONNX, where that package is installed: translated to specs, run, compared.

A node becomes the text of a model (`translation.py` and the files of operators). The kernels of all of these run as the
Python that they are printed as; one case of each operator that is more than a formula runs compiled as well.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from functools import cache
from typing import Any

import numpy as np
import pytest
from support import REPOSITORY

pytest.importorskip("onnx")
sys.path.append(str(REPOSITORY / "tests" / "numerics"))

from absent import ABSENT
from cases import Case, collect, merged, model, translate
from elementwise_operators import BINARY, UNARY
from python_kernels import run
from translation import OPERATORS, Tensor, Text, Untranslatable

import archspec

FEWEST = 600  # texts that are made of the cases
PASS = 0.95
FAILS: dict[str, str] = {}  # case -> why it is known to fail


@cache
def cases() -> dict[str, list[Case]]:
    """The cases of each operator."""
    found = defaultdict(list)
    for case in collect():
        found[case.node.op_type].append(case)
    return dict(found)


@cache
def texts(operator: str, prefix: str = "") -> tuple[dict[str, tuple[Text, list[tuple[Tensor, Any]]]], dict[str, str]]:
    """The texts of an operator's cases by their names, and why the others have none."""
    made, refused = {}, {}
    for case in cases().get(operator, []):
        text = Text(prefix)
        try:
            made[case.name] = text, translate(case, text)
        except Untranslatable as error:
            refused[case.name] = str(error)
    return made, refused


def case_named(operator: str, name: str) -> Case:
    return next(c for c in cases()[operator] if c.name == name)


def compare(found: dict[str, np.ndarray], text: Text, results: list[tuple[Tensor, Any]], case: Case) -> None:
    for k, (_, expected) in enumerate(results):
        value = np.asarray(found[f"{text.prefix}out{k}"])
        assert value.shape == expected.shape, case.name
        # Some expected values are those of single precision.
        np.testing.assert_allclose(value, expected.astype(float), case.rtol, max(case.atol, 1e-6), err_msg=case.name)


def check(operator: str, name: str) -> None:
    """One case in the language, from text to kernels."""
    text, results = texts(operator)[0][name]
    graph = archspec.loads(model(text, results)).stages().forward
    rows = next((len(a) for a in text.inputs.values()), 1)
    weights = {f"m/{path}": array for path, array in text.weights.items()}
    compare(run(graph, {**text.inputs, "unused": np.zeros(rows)}, weights), text, results, case_named(operator, name))


@pytest.mark.parametrize("operator", OPERATORS)
def test_operator(operator):
    made, _ = texts(operator)
    if not made:
        pytest.skip("no case of it has a text")
    for name in made:
        if name not in FAILS:
            check(operator, name)


def test_known_faults():
    """Those are few, and still there."""
    made = [name for operator in OPERATORS for name in texts(operator)[0]]
    assert len(made) >= FEWEST
    assert len(FAILS) <= (1 - PASS) * len(made)
    for name in FAILS:
        operator = next(op for op in OPERATORS if name in texts(op)[0])
        with pytest.raises((AssertionError, ValueError, archspec.ArchError)):
            check(operator, name)


def test_what_has_no_text_has_a_reason():
    for operator in cases():
        assert (operator in ABSENT) != (operator in OPERATORS), operator


def is_finite(text):
    """Whether its constants can be weights, which hold no infinities."""
    return all(np.isfinite(array).all() for array in text.weights.values())


def test_one_case_of_each_compiled():
    """Side by side in one program."""
    chosen = []
    for k, operator in enumerate(op for op in OPERATORS if op not in {*UNARY, *BINARY} or op in ("Relu", "Erf", "Add")):
        made, _ = texts(operator, f"n{k}_")
        plain = [name for name, (text, _) in made.items() if not text.inputs and name not in FAILS and is_finite(text)]
        if plain:
            chosen.append((*made[plain[-1]], case_named(operator, plain[-1])))
    whole, results = merged([(text, found) for text, found, _ in chosen])
    program = archspec.loads(model(whole, results)).compile(dims={}, precision="f64")
    for path, array in whole.weights.items():
        program.weights[f"m/{path}"] = array
    outputs = iter(program.forward(unused=np.zeros(1)).values())
    for text, found, case in chosen:
        compare({f"{text.prefix}out{k}": next(outputs) for k in range(len(found))}, text, found, case)
    program.close()
