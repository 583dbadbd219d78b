"""Lowering: names, axes, weights, sharing, repetition, what is decided when the spec is read."""

from __future__ import annotations

import pytest
from helpers import model, stages, trained

from archspec.diagnostics import ArchError
from archspec.spec import loads


def weights(text: str, dims: dict[str, int] | None = None) -> dict[str, str]:
    graph = stages(text, dims).graph
    return {path: graph.nodes[v].shape for path, v in graph.weights.items()}


def test_weight_paths_come_from_the_names() -> None:
    text = model("  h = x |> repeat 2 { linear(H) |> relu }\n  z = h |> linear(F) |> linear(F)", head="let H = 8\ndim B, F")
    assert weights(text, {"F": 4}) == {
        "net/h/0/linear/W": "[F, H]",
        "net/h/0/linear/b": "[H]",
        "net/h/1/linear/W": "[H, H]",
        "net/h/1/linear/b": "[H]",
        "net/z/linear/W": "[H, F]",
        "net/z/linear/b": "[F]",
        "net/z/linear_2/W": "[F, F]",
        "net/z/linear_2/b": "[F]",
    }


def test_a_named_layer_is_shared() -> None:
    text = model("  layer f = linear(F)\n  a = f(x)\n  z = f(a) + a")
    assert list(weights(text, {"F": 4})) == ["net/f/W", "net/f/b"]


def test_axes_are_one_by_their_polynomials() -> None:
    text = model("  a = x |> linear(2*H)\n  b = x |> linear(H + H)\n  z = (a + b) |> linear(F)", head="let H = 3\ndim B, F")
    assert weights(text, {"F": 4})["net/z/linear/W"] == "[2*H, F]"


def test_equal_sizes_under_different_names_do_not_align() -> None:
    text = model("  a = x |> linear(H)\n  b = x |> linear(8)\n  z = (a + b) |> linear(F)", head="let H = 8\ndim B, F")
    with pytest.raises(ArchError, match=r"cannot align \[B, H\] with \[B, 8\]"):
        stages(text, {"F": 4})


def test_repeat_counts_with_its_index() -> None:
    text = model("  z = x |> repeat i in 3 { linear(F * (i + 1)) } |> linear(F)")
    shapes = [s for p, s in weights(text, {"F": 2}).items() if p.endswith("W")]
    assert shapes == ["[F, F]", "[F, 2*F]", "[2*F, 3*F]", "[3*F, F]"]


def test_repeat_zero_times_is_the_input() -> None:
    assert weights(model("  z = x |> repeat 0 { linear(F) } |> relu"), {"F": 2}) == {}


def test_branches_are_decided_when_the_spec_is_read() -> None:
    text = model(
        "  if deep {\n    h = x |> linear(F)\n  } else {\n    h = x\n  }\n  z = h |> relu",
        head="let deep = false\ndim B, F",
    )
    assert weights(text, {"F": 2}) == {}
    deep = loads(text, set={"deep": True}).stages({"F": 2}).graph
    assert list(deep.weights) == ["net/h/linear/W", "net/h/linear/b"]


def test_a_requirement_speaks_with_the_values() -> None:
    text = """dim B, F
block heads(x[.., D], N) -> y[.., D] {
  require D % N == 0 : "heads must divide the width: D={D}, N={N}"
  y = x
}
model net(x[B,F]) -> z[B,F] {
  z = x |> heads(3)
}
"""
    with pytest.raises(ArchError, match="heads must divide the width: D=8, N=3"):
        stages(text, {"F": 8})
    stages(text, {"F": 9})


def test_a_signature_fixes_the_order_of_axes() -> None:
    text = """dim B, F
block turned(x[A, D]) -> y[D, A] {
  y = 2 * x
}
model net(x[B,F]) -> z[F,B] {
  z = x |> turned
}
"""
    graph = stages(text, {"F": 2}).graph
    assert graph.nodes[graph.outputs["z"]].shape == "[F, B]"


def test_a_user_block_goes_before_the_library() -> None:
    text = "block relu(x[..]) -> y[..] {\n  y = 3 * x\n}\n" + model("  z = x |> relu")
    graph = stages(text, {"F": 2}).graph
    assert graph.nodes[graph.outputs["z"]].op == "multiply"


def test_all_mistakes_of_a_model_are_reported_and_none_twice() -> None:
    text = model("  a = x |> lineer(F)\n  b = a + 1\n  c = x |> reluu\n  z = b + c")
    with pytest.raises(ArchError) as caught:
        stages(text, {"F": 2})
    assert [d.message for d in caught.value.diagnostics] == ["unknown name `lineer`", "unknown name `reluu`"]


def test_settings_are_replaced_and_checked() -> None:
    text = model("  z = x |> linear(H) |> linear(F)", head="let H = 8\ndim B, F")
    graph = loads(text, set={"H": 5}).stages({"F": 2}).graph
    assert graph.sizes["H"] == 5
    with pytest.raises(ArchError, match="no setting `h`"):
        loads(text, set={"h": 5}).stages({"F": 2})
    with pytest.raises(ArchError, match="whole number"):
        loads(text, set={"H": 5.5}).stages({"F": 2})


def test_a_loss_is_one_number() -> None:
    with pytest.raises(ArchError, match="must be one number"):
        stages(trained("  z = x |> linear(F)", "z * 2"), {"F": 2})
