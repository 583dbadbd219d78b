"""The node cases that the package onnx carries, as texts of models and what they must give."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import elementwise_operators
import numpy as np
import onnx
import recurrent_operators
import reduction_operators
import structure_operators
import window_operators
from onnx import helper, numpy_helper
from translation import OPERATORS, Node, Tensor, Text, Untranslatable

REGISTERED = (elementwise_operators, recurrent_operators, reduction_operators, structure_operators, window_operators)


@dataclass(frozen=True)
class Case:
    """One case: a node, its inputs, the outputs that it must give, and how exactly."""

    name: str
    node: onnx.NodeProto
    version: int
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    rtol: float
    atol: float


def collect() -> list[Case]:
    """The cases of a single node; those of several write the same functions in other nodes."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = collect_testcases(None)
    return [_case(c) for c in found if len(c.model.graph.node) == 1]


def _case(case: Any) -> Case:
    node = case.model.graph.node[0]
    inputs, outputs = case.data_sets[0]
    given = dict(zip((i.name for i in case.model.graph.input), inputs, strict=False))
    given |= {i.name: numpy_helper.to_array(i) for i in case.model.graph.initializer}
    version = next((o.version for o in case.model.opset_import if o.domain == node.domain), 0)
    ordered = tuple(_array(given.get(name)) for name in node.input)
    return Case(case.name, node, version, ordered, tuple(map(_array, outputs)), case.rtol, case.atol)


def _array(value: Any) -> Any:
    """A NumPy array where it is one; kinds that NumPy lacks, such as bfloat16, stay as they are."""
    if isinstance(value, np.generic):
        value = np.asarray(value)
    if isinstance(value, onnx.TensorProto):
        value = numpy_helper.to_array(value)
    return value


def translate(case: Case, text: Text) -> list[tuple[Tensor, Any]]:
    """Adds the node to `text`; its results, each with what it must be."""
    if case.node.op_type not in OPERATORS:
        raise Untranslatable("the operator is not translated")
    for value in (*case.inputs, *case.outputs):
        if value is not None and not isinstance(value, np.ndarray):
            raise Untranslatable("sequences, maps and optional values")
    names = [k for k, name in enumerate(case.node.output) if name]
    outputs = dict(zip(names, case.outputs, strict=True))
    attributes = {a.name: helper.get_attribute_value(a) for a in case.node.attribute}
    shown = tuple(outputs.get(k, np.zeros(1)) for k in range(len(case.node.output)))
    node = Node(text, case.node.op_type, case.inputs, attributes, shown, case.version)
    found = OPERATORS[case.node.op_type](node)
    results = found if isinstance(found, list) else [found]
    return [(results[k], outputs[k]) for k in names if results[k] is not None]


def model(text: Text, results: list[tuple[Tensor, Any]]) -> str:
    """The whole file: the results as numbers under names of their own."""
    lines, heads = list(text.lines), []
    for k, (tensor, _) in enumerate(results):
        value = f"number({tensor.name})" if tensor.kind == "truth" else f"{tensor.name} + 0"
        heads.append(f"{text.prefix}out{k}[{', '.join(tensor.axes)}]")
        lines.append(f"{text.prefix}out{k} = {value}")
    inputs = ", ".join(["unused[B]", *text.heads])
    body = "\n".join(f"  {part}" for line in lines for part in line.split("\n"))
    dims = ", ".join(["B", *(f"{name} = {size}" for name, size in text.dims.items())])
    return f"dim {dims}\nmodel m({inputs}) -> ({', '.join(heads)}) {{\n{body}\n}}\n"


def merged(parts: list[tuple[Text, list[tuple[Tensor, Any]]]]) -> tuple[Text, list[tuple[Tensor, Any]]]:
    """Several texts as one; their prefixes keep their names apart."""
    whole = Text()
    for text, _ in parts:
        whole.dims |= text.dims
        whole.weights |= text.weights
        whole.lines += text.lines
    return whole, [result for _, results in parts for result in results]
