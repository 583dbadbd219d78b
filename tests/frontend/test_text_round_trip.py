"""parse ∘ print = identity, on generated trees and on the samples."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from syntax_trees import SPAN, expressions, files

from archspec.diagnostics import Source
from archspec.frontend import syntax as s
from archspec.frontend.format import format_source
from archspec.frontend.parse import parse, read_source
from archspec.frontend.text import print_file, text

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.arch"))
moderate = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@moderate
@given(files)
def test_printed_files_parse_to_the_same_tree(file: s.File) -> None:
    # `repr` and not `==`, for which `1` and `1.0` are equal.
    assert repr(parse(Source("generated.arch", print_file(file)))) == repr(file)


@moderate
@given(files)
def test_printed_files_are_formatted(file: s.File) -> None:
    printed = print_file(file)
    assert format_source(Source("generated.arch", printed)) == printed


@moderate
@given(expressions)
def test_printed_expressions_parse_to_the_same_tree(expression: s.Expression) -> None:
    binding = parse(Source("generated.arch", f"let a = {text(expression)}")).items[0]
    assert isinstance(binding, s.Let)
    assert repr(binding.bindings[0].value) == repr(expression)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_samples(path: Path) -> None:
    tree = parse(read_source(path))
    assert repr(parse(Source("sample", print_file(tree))).items) == repr(tree.items)


@pytest.mark.parametrize(
    "line",
    [
        "y = -x^2 + (-x)^2 - 2^-3^a",
        "y = a - (b - c) - (d + e) * f / (g / h)",
        "y = a if b else c if d else e",
        "y = (a if b else c) if (d if e else f) else g",
        "y = not a == b and not (c or d) == e",
        "y = (x |> f) + (a |> g |> h(1, p=0.1))",
        "y = x |> (f if c else g) |> (a |> b)",
        "y = (a + b)(c)[d].e",
        "y = (2)(x) + (repeat 3 { f |> g })(x)",
        "y = x |> repeat i in L + 1 { f(i) |> repeat 2 { g } }",
        "s[b,n,i,j], t: K, u[]: V = split(x[.., 4*H], [1, [], true])",
        "a[i,j] = softmax[j where j <= i or not causal](s[i, j-1, E+H])",
    ],
)
def test_text_has_no_needless_parentheses(line: str) -> None:
    tree = parse(Source("line", f"block f() -> y[] {{ {line} }}")).items[0]
    assert isinstance(tree, s.Block)
    assert text(tree.body[0]) == line


def test_numbers() -> None:
    values = [0, 3, 2**53, 0.0, 3.0, 1e-3, 1e-5, 1.5e-7, 1e16, 1e22, 1.7e308, 5e-324]
    printed = [text(s.Number(SPAN, value)) for value in values]
    assert printed == [
        "0", "3", "9007199254740992", "0.0", "3.0", "0.001", "1e-5", "1.5e-7", "1e16", "1e22", "1.7e308", "5e-324",
    ]  # fmt: skip
    assert text(s.Binary(SPAN, "^", s.Number(SPAN, -2.5), s.Number(SPAN, 2))) == "(-2.5)^2"


def test_parts_of_statements() -> None:
    tree = parse(Source("parts", "block f[K](x[B]: V, p = 0.1) -> y[] { y = g(x, q = 2 * p) }")).items[0]
    assert isinstance(tree, s.Block) and isinstance(tree.body[0], s.Assign)
    call = tree.body[0].value
    assert isinstance(call, s.Call)
    parts = [tree.tensors[0], tree.settings[0], tree.results[0], call.arguments[1], tree.body[0].targets[0]]
    assert [text(part) for part in parts] == ["x[B]: V", "p=0.1", "y[]", "q=2 * p", "y"]
