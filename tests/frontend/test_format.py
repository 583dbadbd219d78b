"""The canonical form."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from syntax_trees import files

from archspec.diagnostics import ArchError, Source
from archspec.frontend import syntax as s
from archspec.frontend.format import format_source
from archspec.frontend.parse import parse, read_source
from archspec.frontend.text import print_file

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.arch"))


def formatted(text: str) -> str:
    return format_source(Source("test.arch", text))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_samples_keep_their_meaning(path: Path) -> None:
    source = read_source(path)
    result = format_source(source)
    assert parse(Source("formatted", result)).items == parse(source).items
    assert formatted(result) == result


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(files, st.data())
def test_comments_and_blanks_anywhere_between_lines(file: s.File, data: st.DataObject) -> None:
    lines = print_file(file).split("\n")
    before = st.sampled_from(["", "  # a comment", "\t", "\r", "#"])
    after = st.sampled_from(["", "  ", " # why"])
    disturbed = "\n".join(f"{data.draw(before)}\n {line}{data.draw(after)}" for line in lines).replace("\r\n", "\n")
    once = formatted(disturbed)
    assert formatted(once) == once
    assert once.count("#") == disturbed.count("#")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("let a=1,b = 2~log( 1 ,2 )", "let a = 1, b = 2 ~ log(1, 2)"),
        ("dim B,T ?,K=3", "dim B, T?, K = 3"),
        ('import"a.arch"as b', 'import "a.arch" as b'),
        ("let a = - x ^ 2 - -y", "let a = -x^2 - -y"),
        ("let a = h [ t - 1 ] + x[ b , n ] + W[D,4 * H] + x[..]", "let a = h[t-1] + x[b,n] + W[D, 4*H] + x[..]"),
        ("let a = f (x , p = 0.1) (y)", "let a = f(x, p=0.1)(y)"),
        ("let a = [ 1,- 2 ,n - 1 ]", "let a = [1, -2, n - 1]"),
        ("let a = not(b)and c if(d)else[e]", "let a = not (b) and c if (d) else [e]"),
        ("let a = x|>repeat 3{f|>g}", "let a = x |> repeat 3 { f |> g }"),
        ("block f[ K ](x[B]:V,p = 1)->(y[.., D]){}", "block f[K](x[B]: V, p=1) -> (y[.., D]) {}"),
        ("let a = where (x[j where (c)],-1,where)", "let a = where(x[j where (c)], -1, where)"),
        ("let a = 1   # why  \t", "let a = 1  # why"),
        ("let a = 1; let b = 2;", "let a = 1\nlet b = 2"),
    ],
)
def test_lines(source: str, expected: str) -> None:
    assert formatted(source) == expected + "\n"


def test_statements() -> None:
    source = 'block f() -> y[] { require a==b:"m" ; weight W[D , H]~zeros   frozen\n\n\n\n y:K=3 }'
    assert formatted(source) == (
        'block f() -> y[] {\n  require a == b : "m"\n  weight W[D,H] ~ zeros frozen\n\n  y: K = 3\n}\n'
    )


def test_bodies_stay_on_one_line_or_stand_on_their_own() -> None:
    source = "block f() -> y[] {\n if a { b = 1 } else { c = 1; d = 2 }\n  over t in T { h[t] = 1\n } }"
    assert formatted(source) == (
        "block f() -> y[] {\n  if a { b = 1 } else {\n    c = 1\n    d = 2\n  }\n  over t in T {\n    h[t] = 1\n  }\n}\n"
    )


def test_the_authors_line_breaks_stay() -> None:
    source = "block f() -> y[] {\ny = x\n|> f(\na,  # first\n\ng(b,\nc))\n# then\n|> repeat 3 {\nh\n\n|> k }\n# last\n\n}\n"
    assert formatted(source) == (
        "block f() -> y[] {\n"
        "  y = x\n"
        "    |> f(\n"
        "      a,  # first\n"
        "      g(b,\n"
        "        c))\n"
        "    # then\n"
        "    |> repeat 3 {\n"
        "      h\n"
        "        |> k\n"
        "    }\n"
        "  # last\n"
        "}\n"
    )


def test_comments_stay() -> None:
    source = "\n\n# head\n\n\n\nblock f() -> y[] { # open\n\n  # in\n\n\n  y = 1 # value\n} # close\n# end"
    assert formatted(source) == ("# head\n\nblock f() -> y[] {  # open\n\n  # in\n\n  y = 1  # value\n}  # close\n# end\n")


def test_sections_align_their_settings() -> None:
    source = (
        'data { source = csv("a")\n x[B,F] = source["p*"]\n\n split = tail(0.1)\n}\n'
        'train {\n a = f(\n 1)\n bb = 2\n ccc = 3 # three\n "*.b" { decay = 0 }\n "*.g" {\n decay = 0\n lr = 1\n }\n'
        " x[B,T]: V, y[B,T]: V = 3\n dddd = x\n |> f\n e = 4\n}"
    )
    assert formatted(source) == (
        "data {\n"
        '  source = csv("a")\n'
        '  x[B,F] = source["p*"]\n'
        "\n"
        "  split = tail(0.1)\n"
        "}\n"
        "train {\n"
        "  a = f(\n"
        "    1)\n"
        "  bb  = 2\n"
        "  ccc = 3  # three\n"
        '  "*.b" { decay = 0 }\n'
        '  "*.g" {\n'
        "    decay = 0\n"
        "    lr    = 1\n"
        "  }\n"
        "  x[B,T]: V, y[B,T]: V = 3\n"
        "  dddd = x\n"
        "    |> f\n"
        "  e = 4\n"
        "}\n"
    )


def test_numbers_and_strings_stay_as_written() -> None:
    assert formatted('let a = 1_000 + 1E-3 + 007, b = "\\t\t"') == 'let a = 1_000 + 1E-3 + 007, b = "\\t\t"\n'


def test_line_ends_become_newlines() -> None:
    assert formatted("let a = 1 # x\r\n\r\n\r\nlet b = 2\r\n") == "let a = 1  # x\n\nlet b = 2\n"


def test_nothing_stays_nothing() -> None:
    assert formatted("") == formatted("\n \n") == ""


def test_a_file_with_mistakes_is_refused() -> None:
    with pytest.raises(ArchError):
        formatted("let a := 1")
