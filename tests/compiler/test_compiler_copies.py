"""Copies of a `repeat` that are the copy before moved on, against the same spec with every copy laid out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archspec.diagnostics import ArchError
from archspec.lower import copies as copies_of_repeat
from archspec.lower import expressions, scope
from archspec.pipeline import Stages
from archspec.plan import emission, make_plan
from archspec.spec import Spec, load, loads

SPECS = Path(__file__).parents[2] / "specs"
EVERY = 1 << 30
TRAIN = "train { loss = mean(square(z)) }"


def everything(stages: Stages) -> Any:
    """All that lowering makes, with what equality of nodes leaves out."""
    graph = stages.graph
    nodes = [(node, repr(node.origin), repr(node.origin.span)) for node in graph.nodes]
    specs = [(path, spec, repr(spec.span)) for path, spec in graph.specs.items()]
    tables = [list(t.items()) for t in (graph.inputs, graph.weights, graph.outputs, graph.links)]
    return nodes, specs, tables, dict(graph.sizes)


def moved(spec: Spec, dims: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Checks a spec; gives for each `repeat` of more than three copies how many of them were not laid out."""
    found: list[int] = []
    make = expressions.moved_on

    def counted(marks: Any, paths: Any, copies: int, context: Any) -> int | None:
        last = make(marks, paths, copies, context)
        found.append(copies - 3 if last is not None else 0)
        return last

    with monkeypatch.context() as patch:
        patch.setattr(expressions, "moved_on", counted)
        short = everything(spec.stages(dims))
        patch.setattr(expressions, "LAID_OUT", EVERY)
        assert everything(spec.stages(dims)) == short
    return found


def check(body: str, monkeypatch: pytest.MonkeyPatch, blocks: str = "") -> list[int]:
    text = f"dim B, T, D = 6, H = 5\n{blocks}\nmodel m(x[B,T,D]) -> z[B,T,D] {{\n{body}\n}}\n{TRAIN}\n"
    return moved(loads(text), {}, monkeypatch)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("z = x |> repeat 9 { linear(D) |> gelu |> dropout(0.1) }", [6]),
        ("z = x |> repeat i in 9 { linear(D) |> dropout(0.1) }", [6]),
        ("z = x |> repeat i in 9 { linear(D) |> dropout(0.1 * i) }", []),
        ("z = x |> repeat 9 { encoder_block(2, p=0.1) } |> layernorm", [6]),
        ("z = x |> repeat 9 { lstm(H) |> linear(D) }", [6]),
        ("z = x |> repeat 5 { repeat 6 { linear(D) |> tanh } |> repeat 3 { linear(D) } |> linear(D) }", [3, 3, 3, 2]),
        ("layer f = linear(D)\nz = x |> repeat 7 { f |> tanh }", [4]),
        ("layer f = linear(D)\nz = x |> repeat 7 { f |> dropout(0.1) }", [4]),
        ("a = x |> repeat 7 { linear(D) } |> repeat 7 { linear(D) }\nz = a + x |> repeat 7 { tanh }", [4, 4, 4]),
        ("z = x |> repeat 3 { linear(D) }", []),
        ("y = x |> linear(D)\nz = x |> repeat 7 { more(y) }", [4]),
        ("y = x |> linear(D)\nlayer g = more\nz = x |> repeat 7 { g(y) }", [4]),
        ("layer g = drops\nz = x |> repeat 7 { g }", [0]),
        ("z = x |> repeat 6 { grown }  |> linear(D)", [3]),
    ],
)
def test_copies_are_as_laid_out(body: str, expected: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = """
block more(x[B,T,D], y[B,T,D]) -> z[B,T,D] { z = linear(x, D) + y }
block drops(x[B,T,D]) -> z[B,T,D] { z = x |> dropout(0.5) }
block grown(x[B,T,D]) -> z[B,T,D] {
  weight W[D,D]
  c = sum[T](x) * number(iota[D])
  z = (x @ W) + c
}
"""
    assert check(body, monkeypatch, blocks) == expected


@pytest.mark.parametrize("name", ["gpt", "transformer", "resnet", "vit", "tagger", "digits_deep", "perceptron", "encoder"])
def test_specs_in_depth(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = load(SPECS / f"{name}.arch", set={"L": 7})
    assert all(moved(spec, dict(spec.data().dims), monkeypatch))


STAGES = [
    "linear(D)",
    "tanh",
    "layernorm",
    "dropout(0.1)",
    "f",
    "g",
    "more(x)",
    "lstm(D)",
    "encoder_block(2)",
    "linear(H) |> linear(D)",
]


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_stack(data: st.DataObject) -> None:
    """Random stacks, one inside of the other."""

    def stack(depth: int) -> str:
        index = data.draw(st.sampled_from(["", "i in "]))
        named = [f"dropout(0.1 * i / {depth + 2})"] if index else []
        parts = data.draw(st.lists(st.sampled_from([*STAGES, *named]), min_size=1, max_size=4))
        if depth < 2 and data.draw(st.booleans()):
            parts.insert(data.draw(st.integers(0, len(parts))), stack(depth + 1))
        return f"repeat {index}{data.draw(st.integers(1, 9 - 2 * depth))} {{ {' |> '.join(parts)} }}"

    body = f"layer f = linear(D)\nlayer g = noisy\nz = x |> {stack(0)} |> {stack(1)}"
    blocks = """
block more(x[B,T,D], y[B,T,D]) -> z[B,T,D] { z = linear(x, D) + y }
block noisy(x[B,T,D]) -> z[B,T,D] { z = x |> dropout(0.5) |> linear(D) }
"""
    with pytest.MonkeyPatch.context() as patch:
        check(body, patch, blocks)


@pytest.mark.parametrize(("copies", "width"), [(400, 6), (90, 16_384)], ids=["nodes", "elements"])
def test_limits_are_met_where_they_were(copies: int, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    body = f"z = x |> repeat {copies} {{ linear(D) |> tanh |> linear(D) }}"
    text = f"dim B, D = {width}\nmodel m(x[B,D]) -> z[B,D] {{ {body} }}"
    for module in (copies_of_repeat, scope):
        monkeypatch.setattr(module, "MAX_NODES", 2000)
    with pytest.raises(ArchError) as short:
        loads(text).stages()
    monkeypatch.setattr(expressions, "LAID_OUT", EVERY)
    with pytest.raises(ArchError) as long:
        loads(text).stages()
    assert str(short.value) == str(long.value)


@pytest.mark.parametrize("name", ["gpt", "transformer", "resnet", "reviews_attention", "seq2seq", "experts", "variational"])
def test_a_kernel_met_again_is_the_one_that_is_made_anew(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = load(SPECS / f"{name}.arch")
    graph = spec.stages(dict(spec.data().dims)).optimised
    remembered = make_plan(graph)
    monkeypatch.setattr(emission._Piece, "key", lambda piece: piece)
    assert make_plan(graph).items == remembered.items
