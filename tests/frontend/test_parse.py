"""What the parser makes of each form of the language, and its bounds."""

from pathlib import Path

import pytest

from archspec.diagnostics import ArchError, Source
from archspec.frontend import syntax as s
from archspec.frontend.parse import parse, read_source
from archspec.frontend.text import text

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.arch"))


def parse_text(source: str) -> s.File:
    return parse(Source("test.arch", source))


def body(*lines: str) -> tuple[s.Statement, ...]:
    """The statements that `lines` are in a block."""
    block = parse_text("block f() -> y[] {\n" + "\n".join(lines) + "\n}\n").items[0]
    assert isinstance(block, s.Block)
    return block.body


def value(expression: str) -> s.Expression:
    let = parse_text(f"let a = {expression}").items[0]
    assert isinstance(let, s.Let)
    return let.bindings[0].value


def grouped(node: s.Expression) -> str:
    """An expression with parentheses around every operation."""
    if isinstance(node, s.Binary):
        return f"({grouped(node.left)} {node.operator} {grouped(node.right)})"
    if isinstance(node, s.Unary):
        return f"({node.operator} {grouped(node.operand)})"
    if isinstance(node, s.Pipe):
        return f"({grouped(node.value)} |> {grouped(node.stage)})"
    if isinstance(node, s.Conditional):
        return f"({grouped(node.then)} if {grouped(node.condition)} else {grouped(node.otherwise)})"
    return text(node)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_samples_parse(path: Path) -> None:
    assert parse(read_source(path)).items


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("a |> b if c else d |> e", "((a |> (b if c else d)) |> e)"),
        ("a if b else c if d else e", "(a if b else (c if d else e))"),
        ("a or b and not c == d", "(a or (b and (not (c == d))))"),
        ("not not a", "(not (not a))"),
        ("a + b - c", "((a + b) - c)"),
        ("a - b * c @ d % e / f", "(a - ((((b * c) @ d) % e) / f))"),
        ("a < b + c", "(a < (b + c))"),
        ("-a * b", "((- a) * b)"),
        ("-a^b", "(- (a ^ b))"),
        ("a^-b^c", "(a ^ (- (b ^ c)))"),
        ("a^b^c", "(a ^ (b ^ c))"),
        ("a - -b", "(a - (- b))"),
        ("-a.b[c](d)^2", "(- (a.b[c](d) ^ 2))"),
    ],
)
def test_precedence(expression: str, expected: str) -> None:
    assert grouped(value(expression)) == expected


@pytest.mark.parametrize(
    ("literal", "expected"),
    [
        ("0", 0), ("1_000", 1000), ("9007199254740992", 2**53), ("1e3", 1000.0), ("1e-3", 0.001),
        ("1_0.2_5", 10.25), ("2.5E+2", 250.0), ("007", 7),
    ],
)  # fmt: skip
def test_numbers(literal: str, expected: float) -> None:
    number = value(literal)
    assert isinstance(number, s.Number)
    assert repr(number.value) == repr(expected)


def test_where_is_a_word_only_after_axes() -> None:
    assert grouped(value("where(a, b, c) + where")) == "(where(a, b, c) + where)"
    index = value("softmax[.., j where where(a, j)]")
    assert isinstance(index, s.Index)
    assert len(index.indices) == 2 and index.where == value("where(a, j)")


def test_strings() -> None:
    assert value(r'"a\"b\\n\n\t#{é"') == s.String(value("1").span, 'a"b\\n\n\t#{é')
    assert isinstance(value('"\0\u202e"'), s.String)


def test_names_are_kept_as_written() -> None:
    for name in ("ﬁ", "µ", "x_1", "Ωmega", "变量", "x٣"):
        assert value(name) == s.Name(value("1").span, name)


def test_statements() -> None:
    kinds = [
        ("let a = 1, b = 2 ~ log(1, 2)", s.Let),
        ("weight W[] ~ zeros frozen", s.Weight),
        ("layer e = embed(V, D)", s.Layer),
        ("require a == b", s.Require),
        ("a, b[i]: K = c", s.Assign),
        ("over t in T reversed carry { state h[B] = 0; h[t] = 1 }", s.Over),
        ("if a { } else if b { c = 1 } else { c = 2 }", s.If),
    ]
    statements = body(*(line for line, _ in kinds))
    assert [type(statement) for statement in statements] == [kind for _, kind in kinds]


def test_else_if_nests() -> None:
    (statement,) = body("if a { } else if b { c = 1 } else { c = 2 }")
    assert isinstance(statement, s.If)
    (inner,) = statement.otherwise
    assert isinstance(inner, s.If)
    assert len(inner.then) == len(inner.otherwise) == 1


def test_signature() -> None:
    file = parse_text('block f[K, N](x[.., D], w[]: V, H, p=0.1,) -> (h[B], c[]: K) { }\nimport "a" as b\ndim T?, K = 3')
    block, imported, dim = file.items
    assert isinstance(block, s.Block) and isinstance(imported, s.Import) and isinstance(dim, s.Dim)
    assert (block.kind, block.name, [a.id for a in block.axes]) == ("block", "f", ["K", "N"])
    assert [tensor.name for tensor in block.tensors] == ["x", "w"]
    assert [setting.name for setting in block.settings] == ["H", "p"]
    assert [result.name for result in block.results] == ["h", "c"]
    assert block.name_span.column == 7
    assert imported.alias == "b"
    assert [(entry.name, entry.ragged) for entry in dim.entries] == [("T", True), ("K", False)]


def test_results_with_and_without_parentheses() -> None:
    assert parse_text("block f() -> a[B], b[C] { }") == parse_text("block f() -> (a[B], b[C]) { }")


def test_newlines_count_only_between_statements() -> None:
    lines = (
        "block f() -> y[B] {\n\n  y = g(\n    a,\n\n    [1,\n 2]) # why\n"
        " # where\n    |> h\n |> repeat L {\n k\n |> m }\n\n}\n\n"
    )
    flat = "block f() -> y[B] { y = g(a, [1, 2]) |> h |> repeat L { k |> m } }"
    assert parse_text(lines) == parse_text(flat) == parse_text(lines.replace("\n", "\r\n"))


def test_semicolons_separate() -> None:
    assert body("a = 1; b = 2;") == body("a = 1", "b = 2")


def test_spans() -> None:
    source = Source("test.arch", "let a = 1\nblock f() -> y[] {\n  y = g(x,\n    é + 12)\n}\n")
    block = parse(source).items[1]
    assert isinstance(block, s.Block) and isinstance(block.body[0], s.Assign)
    call = block.body[0].value
    assert isinstance(call, s.Call)
    total = call.arguments[1].value
    assert isinstance(total, s.Binary)
    spans = [block.span, block.body[0].span, call.span, call.arguments[1].span, total.right.span]
    assert [(p.line, p.column, p.end_line, p.end_column) for p in spans] == [
        (2, 1, 5, 2), (3, 3, 4, 12), (3, 7, 4, 12), (4, 5, 4, 11), (4, 9, 4, 11),
    ]  # fmt: skip


def test_a_slice_of_lines_has_the_spans_of_the_file() -> None:
    source = Source("test.arch", "let a = 1\n\nblock f() -> y[] {\n  y = 1\n}\nlet b = ) # not read\n")
    (item,) = parse(source, range(3, 6)).items
    assert (item.span.line, item.span.column, item.span.end_line) == (3, 1, 5)
    assert parse(source, range(1, 3)).items == parse_text("let a = 1").items
    with pytest.raises(ArchError, match=r"test\.arch:6:9"):
        parse(source, range(6, 7))


def test_an_empty_file_has_no_items() -> None:
    assert parse_text("").items == parse_text(" \n# nothing\n\n").items == ()


@pytest.mark.parametrize(
    "source",
    [
        "let x = " + "+".join(["1"] * 50_000),
        "let x = x" + " |> f" * 10_000,
        "let x = " + "(" * 10_000 + "1" + ")" * 10_000,
        "let x = " + "(" * 10_000,
        "let x = " + "[" * 10_000 + "]" * 10_000,
        "let x = " + "-" * 10_000 + "1",
        "let x = " + "not " * 10_000 + "a",
        "let x = " + "^".join(["1"] * 10_000),
        "let x = " + "f(" * 5_000 + ")" * 5_000,
        "let x = " + "a if b else " * 5_000 + "c",
        "let x = a" + ".b" * 5_000,
        "block f() -> y[] { " + "if a { " * 5_000 + "}" * 5_001,
        "block f() -> y[] { if a { } " + "else if b { } " * 5_000 + "}",
        "let x = " + "9" * 10_000,
        "let x" + "x" * 10_000 + " = 1",
        'let x = "' + "x" * 10_001 + '"',
        "let x = 1\n" * 100_001,
    ],
    ids=range(17),
)
def test_bounds(source: str) -> None:
    with pytest.raises(ArchError) as caught:
        parse_text(source)
    assert caught.value.diagnostics[0].code in ("P04", "P10")


def test_what_is_just_inside_the_bounds() -> None:
    parse_text("let x = " + "+".join(["1"] * 101))
    parse_text("let x = " + "(" * 99 + "1" + ")" * 99)
    parse_text("let x = " + "f(" * 99 + "1" + ")" * 99)
    parse_text("let " + "x" * 200 + ' = "' + "x" * 10_000 + '"')


def test_trees_at_the_bound_can_be_compared_and_printed() -> None:
    source = "let x = " + "f(" * 50 + "+".join(["1"] * 50) + ")" * 50
    tree = parse_text(source)
    assert tree == parse_text(source)
    assert repr(tree)
    assert text(tree.items[0]).replace(" ", "") == source.replace(" ", "")
