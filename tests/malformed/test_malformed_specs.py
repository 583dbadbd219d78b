"""Every file in tests/malformed/spec gives exactly the messages in the text file beside it.

ARCHSPEC_UPDATE=1 writes the text files anew; read the difference before you keep it.
"""

import itertools
import os
import re
import time
from pathlib import Path

import pytest

import archspec
from archspec import ArchError, lower
from archspec.diagnostics import LONGEST_TEXT, MOST_SHOWN, WIDEST_LINE

FOLDER = Path(__file__).parent / "spec"
SPECS = sorted(path.stem for path in FOLDER.glob("*.arch"))
# What `--set` gives to the specs whose mistake it is.
SET = {
    "set_block": {"act": "gelu"},
    "set_bool": {"H": 1},
    "set_fraction": {"H": 2.5},
    "set_huge": {"H": 10**30},
    "set_kind": {"H": "wide"},
    "set_nan": {"p": float("nan")},
    "set_negative": {"H": -3},
    "unknown_setting": {"Hidden": 3},
}
SECONDS = 10  # a bound against hangs, on a busy machine too


def mistakes_of(text: str, **options) -> ArchError:
    start = time.perf_counter()
    with pytest.raises(ArchError) as caught:
        archspec.loads(text, **options).check()
    assert time.perf_counter() - start < SECONDS
    return caught.value


def model(*lines: str, inputs: str = "x[B,F]", result: str = "z[B,F]", before: str = "") -> str:
    """A spec with one model of some lines."""
    body = "".join(f"  {line}\n" for line in lines)
    return f"dim B, F\n{before}model m({inputs}) -> {result} {{\n{body}}}\n"


@pytest.mark.parametrize("name", SPECS)
def test_messages(name, monkeypatch):
    monkeypatch.chdir(FOLDER)
    with pytest.raises(ArchError) as caught:
        archspec.load(f"{name}.arch", set=SET.get(name)).check()
    message, expected = f"{caught.value}\n", FOLDER / f"{name}.txt"
    if os.environ.get("ARCHSPEC_UPDATE"):
        expected.write_text(message, "utf-8")
    assert message == expected.read_text("utf-8")
    for diagnostic in caught.value.diagnostics:
        assert not diagnostic.message[:1].isupper()
        assert diagnostic.span is None or (FOLDER / diagnostic.span.source.path).is_file(), "a place in the user's files"


def test_every_code_has_an_example():
    known = set(re.findall(r"\b[STG]\d\d\b", lower.__doc__))
    shown = {c for name in SPECS for c in re.findall(r"^error\[([STG]\d\d)", (FOLDER / f"{name}.txt").read_text("utf-8"), re.M)}
    assert shown <= known
    assert known - shown == {"S15"}  # an axis without a size is a mistake only where a program is made


def test_no_message_without_its_spec():
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(SPECS)


# --- sizes -------------------------------------------------------------------------------------------------------


def test_a_long_line_is_shown_in_part():
    error = mistakes_of(model(f"z = f({'x, ' * 30_000}oops)", before="block f(x[..]) -> y[..] {\n  y = x\n}\n"))
    assert len(str(error)) < 3 * WIDEST_LINE
    line, carets = str(error).split("\n")[2:4]
    assert line[carets.index("^") : carets.rindex("^") + 1] == "oops"


@pytest.mark.parametrize(
    "text",
    [
        model(f'require 1 > 2 : "{"long " * 1900}"', "z = x"),
        f'import "{"a" * 9000}"\n',
        f'import "{"a/" * 4500}"\n',
        model("z = x + " + "n" * 200),
    ],
)
def test_long_texts_are_cropped(text):
    assert len(str(mistakes_of(text))) < 3 * LONGEST_TEXT


def test_of_very_many_mistakes_the_first_are_shown():
    error = mistakes_of(model(*(f"z{i} = x + oops{i}" for i in range(5000)), "z = x"))
    assert str(error).count("error[") == MOST_SHOWN
    assert str(error).endswith("and more: the first mistakes are shown")


def test_similar_names_are_sought_among_some():
    mistakes_of("".join(f"let v{i} = u{i}\n" for i in range(20_000)) + model("z = x"))


@pytest.mark.parametrize("step", ["{0} * {0}", "({0} + A) * ({0} + B)", "({0} + A) / ({0} + B)", "{0} / B - {0} / A"])
def test_sizes_do_not_grow_without_bound(step):
    names = ["A", *(f"s{i}" for i in range(60))]
    lets = "".join(f"let {new} = {step.format(old)}\n" for old, new in itertools.pairwise(names))
    mistakes_of(f"dim A, B\n{lets}model m(x[A]) -> z[A] {{\n  z = x * s59\n}}\n")


@pytest.mark.parametrize("body", ["dropout(0.1)", "repeat 0 { relu }", "twice"])
def test_repeats_in_repeats_end(body):
    twice = "block twice(x[..]) -> y[..] {\n  y = x\n}\n"
    error = mistakes_of(model(f"z = x |> repeat 10000 {{ repeat 10000 {{ {body} }} }}", "y = z", before=twice))
    assert [d.code for d in error.diagnostics] == ["S10"]


def test_calls_of_any_depth_end():
    nested = "x"
    for _ in range(24):
        nested = f"((x + {nested}))"
    block = "block f(x[..], n) -> y[..] {{\n  if n > 0 {{\n    y = {}\n  }} else {{\n    y = x\n  }}\n}}\n"
    shallow = block.format("x |> f(n - 1)")
    archspec.loads(model("z = f(x, 35)", before=shallow)).check()
    for deep in (shallow, block.format(nested.replace("x)", "f(x, n - 1))", 1))):
        error = mistakes_of(model("z = f(x, 1000)", before=deep))
        assert [d.code for d in error.diagnostics] == ["S10"]


def test_imports_are_bounded(tmp_path):
    (tmp_path / "large.arch").write_text("#" * 900_000)
    for level in range(20):
        below = f'import "{level + 1}.arch" as n' if level < 19 else 'import "large.arch" as n'
        (tmp_path / f"{level}.arch").write_text(f"{below}a\n{below}b\n")
    error = mistakes_of('import "0.arch" as n\n' + model("z = x"), folder=tmp_path)
    assert {d.code for d in error.diagnostics} == {"S11"}


def test_nothing_outside_the_folder_is_imported(tmp_path):
    (tmp_path / "inside").mkdir()
    (tmp_path / "secret.arch").write_text("let secret := 1")
    (tmp_path / "inside" / "link.arch").symlink_to(tmp_path / "secret.arch")
    for path in ("../secret.arch", str(tmp_path / "secret.arch"), "link.arch", "./../inside/../secret.arch"):
        error = mistakes_of(f'import "{path}"\n', folder=tmp_path / "inside")
        assert error.diagnostics[0].code == "S11"
        assert "secret :=" not in str(error)


def test_a_folder_called_stdlib_is_the_users(tmp_path):
    (tmp_path / "stdlib").mkdir()
    (tmp_path / "stdlib" / "layers.arch").write_text("block f(x[..]) -> y[..] {\n  y = x + oops\n}\n")
    error = mistakes_of('import "stdlib/layers.arch"\n' + model("z = f(x)"), folder=tmp_path)
    assert [d.span.place for d in error.diagnostics] == ["stdlib/layers.arch:2:11"]


def test_keys_of_any_kind_are_refused():
    for settings in ({"__class__": 1}, {3: 4}, {"": 0}):
        assert mistakes_of(model("z = x"), set=settings).diagnostics[0].code == "U02"
    for given in (None, [1], object(), {}, float("inf")):
        assert mistakes_of("let H = 3\n" + model("z = x"), set={"H": given}).diagnostics[0].code == "U02"
    for size in (0, -1, True, 2.0, "3", None):
        with pytest.raises(ArchError):
            archspec.loads(model("z = x")).stages(dims={"F": size})
