"""The table of `archspec show`: its figures against counts by hand, the weights' sizes and the plan."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from archspec.cli import main
from archspec.diagnostics import ArchError
from archspec.inspect import stage_text
from archspec.ir.sizes import Size
from archspec.pipeline import plan
from archspec.spec import Spec, loads
from archspec.viz.cost import formula
from archspec.viz.table import Table, table, table_json, table_text, training_step

PERCEPTRON = """
dim B, F, H, K
model net(x[B,F]) -> z[B,K] {
  z = x |> linear(H) |> relu |> linear(K)
}
train {
  loss = mean[B](sum[K](z^2))
  optimizer = adam(lr=0.1)
}
"""
LSTM = """
dim B, T, D, H
model net(x[B,T,D]) -> h[B,T,H] {
  h = x |> lstm(H)
}
"""
TRANSFORMER = """
let N = 2, L = 3
dim B, T, D = 8
model net(x[B,T,D]) -> z[B,T,D] {
  z = x |> repeat L { encoder_block(N, p=0.0) }
}
"""
B, D, F, H, K, T = (Size.symbol(name) for name in "BDFHKT")


def times(number: int, *factors: Size) -> Size:
    result = Size.number(number)
    for factor in factors:
        result = result * factor
    return result


def shown(text: str, **sizes: int) -> Table:
    return table(loads(text).stages(), sizes)


def coefficient(size: Size, *symbols: str) -> int:
    return dict(size.terms).get(tuple(sorted(symbols)), 0)


def test_a_perceptron_by_hand() -> None:
    model = shown(PERCEPTRON).blocks[0]
    assert model.parameters == F * H + H + H * K + K
    assert model.operations == times(2, B, F, H) + times(2, B, H) + times(2, B, H, K) + times(1, B, K)


def test_its_backward_pass_by_hand() -> None:
    """The gradients of both matrices and of the layer between; no gradient of the input."""
    spec = shown(PERCEPTRON, B=4, F=3, H=5, K=2)
    step = training_step(spec, plan(spec.stages.optimised), 4)
    assert coefficient(step.backward, "B", "F", "H") == 2
    assert coefficient(step.backward, "B", "H", "K") == 4


def test_an_lstm_by_hand() -> None:
    """Two products for four gates, two sums, 1 added to f, three sigmoids and a tanh; s = f c + i g; y = o tanh(s)."""
    model = shown(LSTM).blocks[0]
    assert model.parameters == times(4, D, H) + times(4, H, H) + times(4, H)
    products = times(8, B, T, D, H) + times(8, B, T, H, H)
    assert model.operations == products + times(8 + 1 + 4 + 3 + 2, B, T, H)


def test_a_transformer_by_hand() -> None:
    """Per layer: four D x D projections, two products of T x T, two maps between D and 4 D."""
    spec = shown(TRANSFORMER)
    layer_parameters = times(12, D, D) + times(4 + 4 + 1 + 4, D)  # biases of Q, K, V, O; two norms; the two maps' biases
    assert spec.parameters == times(3, layer_parameters)
    assert coefficient(spec.forward, "B", "T", "D", "D") == 3 * (4 * 2 + 2 * 2 * 4)
    assert coefficient(spec.forward, "B", "T", "T", "D") == 3 * (2 + 2)


def test_equal_copies_are_one_row() -> None:
    spec = shown(TRANSFORMER)
    (folded,) = [row for row in spec.rows if row.block.times > 1]
    assert (folded.label.strip(), folded.block.path) == ("×3", "net/z/0")
    assert spec.blocks[0].parameters == spec.parameters
    assert len([row for row in spec.rows if row.block.name == "attend"]) == 1


def test_copies_that_differ_stand_apart() -> None:
    text = TRANSFORMER.replace("encoder_block(N, p=0.0)", "linear(2*D) |> linear(D) |> glu(D)").replace("D) |> glu(D)", "H)")
    spec = shown(text.replace("D = 8", "D = 8, H = 9").replace("z[B,T,D]", "z[B,T,H]"))
    assert [row.label.strip() for row in spec.rows if row.block.name.isdigit()] == ["0", "×2"]


@pytest.mark.parametrize("text", [PERCEPTRON, LSTM, TRANSFORMER])
def test_parameters_are_the_sizes_of_the_weights(text: str) -> None:
    sizes = {"B": 2, "T": 3, "D": 8, "F": 5, "H": 6, "K": 7}
    stages = loads(text).stages({n: s for n, s in sizes.items() if re.search(rf"\b{n}\b", text)})
    arrays = [np.zeros([stages.graph.size(a) or 0 for a in s.axes]) for s in stages.graph.specs.values()]
    spec = table(stages, {})
    assert spec.parameters.evaluate(spec.sizes) == sum(a.size for a in arrays)
    assert sum(b.parameters.evaluate(spec.sizes) or 0 for b in spec.blocks) == sum(a.size for a in arrays)


def step_of(spec: Spec, **sizes: int) -> dict[str, int]:
    stages = spec.stages()
    made = table(stages, sizes)
    result: dict[str, int] = table_json(made, training_step(made, plan(stages.optimised), 4))["step"]
    return result


def test_memory_is_that_of_the_plan() -> None:
    spec = loads(PERCEPTRON.replace("F, H, K", "F = 30, H = 20, K = 10").replace("train {", "train {\n  batch = 16"))
    step = step_of(spec, B=16)
    memory = re.search(r"memory with B = 16: ([\d,]+) bytes; at least ([\d,]+)", stage_text(spec, "plan"))
    assert memory is not None
    assert [step["arena_bytes"], step["lower_bound_bytes"]] == [int(n.replace(",", "")) for n in memory.groups()]
    weights = 4 * (30 * 20 + 20 + 20 * 10 + 10)
    assert (step["weight_bytes"], step["gradient_bytes"], step["state_bytes"]) == (weights, weights, 2 * weights)
    assert step["bytes"] == step["arena_bytes"] + 4 * weights


def test_what_is_kept_lies_in_the_arena() -> None:
    spec = shown(PERCEPTRON, B=16, F=30, H=20, K=10)
    step = training_step(spec, plan(spec.stages.optimised), 4)
    assert 0 < sum(step.kept.values()) <= step.memory.total


def test_a_step_needs_all_sizes() -> None:
    with pytest.raises(ArchError, match="`B` and `K`"):
        step_of(loads(PERCEPTRON), F=3, H=4)


def test_sizes_are_those_of_open_axes() -> None:
    with pytest.raises(ArchError, match="`Q` is not an axis without a size"):
        shown(PERCEPTRON, Q=3)


def test_formulas() -> None:
    assert formula(times(24, B, D, D) + times(1, B) + Size.number(3)) == "24*B*D^2 + B + 3"
    assert formula(B - times(2000, D)) == "B - 2,000*D"
    assert formula(Size.number(0)) == "0"


def test_the_text_and_the_command(tmp_path, capsys) -> None:
    path = tmp_path / "net.arch"
    path.write_text(PERCEPTRON)
    assert main(["show", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "net(x[B, F]) -> z[B, K]"
    assert "          = F*H + H*K + H + K" in lines
    assert (
        main(["show", str(path), "--size", "F=3", "--size", "H=4", "--size", "K=2", "--size", "B=1", "--step", "--json"]) == 0
    )
    data = json.loads(capsys.readouterr().out)
    assert data["parameters"] == {"value": 26, "formula": "F*H + H*K + H + K"}
    assert {"flops_forward", "flops_backward", "bytes"} <= data["step"].keys()
    assert main(["show", str(path), "--size", "F"]) == 2
    assert "--size takes AXIS=NUMBER, not `F`" in capsys.readouterr().err


def test_every_row_fits_its_column() -> None:
    spec = shown(TRANSFORMER, B=1, T=2)
    lines = table_text(spec).splitlines()
    heading = next(line for line in lines if line.startswith("block"))
    end = heading.index("parameters") + len("parameters")
    assert all(len(line) < end or line[end] == " " for line in lines if "~ " in line)
