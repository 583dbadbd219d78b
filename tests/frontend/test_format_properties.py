"""The formatter keeps what a file says, word for word, however it is laid out; where it would not, it leaves the file alone."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import REPOSITORY
from syntax_trees import files

from archspec.cli import main
from archspec.diagnostics import Source
from archspec.frontend import format as formatter
from archspec.frontend import syntax as s
from archspec.frontend.format import format_source
from archspec.frontend.layout import lay_out
from archspec.frontend.parse import parse
from archspec.frontend.text import print_file
from archspec.frontend.tokens import tokenize

FILES = sorted(
    [
        *(REPOSITORY / "specs").glob("*.arch"),
        *(REPOSITORY / "archspec" / "stdlib").glob("*.arch"),
        *(Path(__file__).parent / "samples").glob("*.arch"),
    ]
)
TEXTS = [path.read_text(encoding="utf-8") for path in FILES]
often = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
_COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|(#[^\n]*)')


def source(text: str) -> Source:
    return Source("some.arch", text)


def says(text: str) -> str:
    """The syntax tree, with `1` and `1.0` told apart."""
    return repr(parse(source(text)))


def comments(text: str) -> list[str]:
    """The comments of a text, found without the tokeniser."""
    return [match[1].rstrip() for match in _COMMENT.finditer(text) if match[1]]


def check(text: str) -> str:
    """The canonical form of a text, after a look that nothing is lost."""
    once = format_source(source(text))
    assert says(once) == says(text)
    assert comments(once) == comments(text)
    assert format_source(source(once)) == once
    assert once == "" or (once.endswith("\n") and not once.endswith("\n\n"))
    assert not any(line != line.rstrip() for line in once.split("\n"))
    return once


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_of_the_repository(path: Path) -> None:
    check(path.read_text(encoding="utf-8"))


def spaced(text: str, data: st.DataObject) -> str:
    """The same words and lines with other blanks between them."""
    gaps = st.sampled_from([" ", "  ", "\t", " \t ", "      "])
    pieces = []
    for token in tokenize(source(text), comments=True):
        if token.kind == "_NEWLINE":
            pieces.append(token.text if token.text == ";" else "\n" * token.text.count("\n"))
            continue
        pieces.append(data.draw(gaps) + token.text)
    return "".join(pieces)


@often
@given(st.sampled_from(TEXTS), st.data())
def test_blanks_do_not_count(text: str, data: st.DataObject) -> None:
    assert format_source(source(spaced(text, data))) == format_source(source(text))


def scattered(text: str, data: st.DataObject) -> str:
    """The same words with comments and line breaks thrown in wherever the grammar allows them."""
    opened, pieces = [], []
    inside = st.sampled_from([" ", " ", " ", "\n", "  # inside\n", "\n\n# own (line] {\n", '\n  # "quoted\n'])
    between = st.sampled_from(["\n", "\n", "\n\n\n", "  # after\n", "\n# before\n", ";", "\r\n", " ;; \n"])
    for token in tokenize(source(text), comments=True):
        if token.kind == "_NEWLINE":
            pieces.append(token.text if _inside(opened) else data.draw(between))
            continue
        pieces.append((data.draw(inside) if _inside(opened) else " ") + token.text)
        if token.kind in ("(", "[", "{"):
            opened.append(token.kind)
        elif token.kind in (")", "]", "}"):
            opened.pop()
        if token.kind == "COMMENT":
            pieces.append("\n")
    return "".join(pieces)


def _inside(opened: list[str]) -> bool:
    """Whether a line break means nothing here."""
    return bool(opened) and opened[-1] != "{"


@often
@given(st.sampled_from(TEXTS), st.data())
def test_comments_and_breaks_anywhere(text: str, data: st.DataObject) -> None:
    check(scattered(text, data))


@often
@given(files, st.data())
def test_random_programs_however_they_are_set(file: s.File, data: st.DataObject) -> None:
    text = print_file(file)
    assert check(spaced(text, data)) == text
    check(scattered(text, data))


# --- a layout with a mistake -------------------------------------------------------------------------------------

BROKEN = {
    "say another number": lambda text: lay_out(text).replace("a = 1", "a = 2"),
    "lose a comment": lambda text: lay_out(text).replace("  # why", ""),
    "join two lines": lambda text: lay_out(text).replace("\n", " "),
    "lose everything": lambda text: "",
    "go on changing": lambda text: lay_out(text) + "\n" * (1 + text.count("\n\n")),
    "close no bracket": lambda text: lay_out(text).replace(")", ""),
}


@pytest.mark.parametrize("mistake", BROKEN)
def test_a_mistake_of_the_layout_changes_no_file(
    mistake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.arch"
    before = "let a = 1  # why\n\n\nlet b = log( 2)\n"
    path.write_text(before)
    monkeypatch.setattr(formatter, "lay_out", BROKEN[mistake])
    assert main(["fmt", str(path)]) == 1
    message = capsys.readouterr().err
    assert f"`{path}` stays as it is: its canonical form would" in message and "report it" in message
    assert path.read_text() == before and os.listdir(tmp_path) == ["a.arch"]


# --- files -------------------------------------------------------------------------------------------------------


def test_a_file_keeps_its_mode_and_a_link_leads_on(tmp_path: Path) -> None:
    real, link = tmp_path / "real.arch", tmp_path / "link.arch"
    real.write_text("let a=1\n")
    real.chmod(0o640)
    link.symlink_to(real)
    assert main(["fmt", str(link)]) == 0
    assert link.is_symlink() and real.read_text() == "let a = 1\n"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


@pytest.mark.parametrize("before", [b"let a = 1\r\nlet b = 2\r\n", b"\xef\xbb\xbflet a = 1\nlet b = 2\n"])
def test_line_ends_and_marks_count_as_changes(tmp_path: Path, before: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.arch"
    path.write_bytes(before)
    assert main(["fmt", "--check", str(path)]) == 1 and path.read_bytes() == before
    assert main(["fmt", str(path)]) == 0 and path.read_bytes() == b"let a = 1\nlet b = 2\n"
    assert main(["fmt", "--check", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: would change\n{path}: formatted\n"


def test_one_file_with_a_mistake_does_not_keep_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad, last = (tmp_path / name for name in ("a.arch", "b.arch", "c.arch"))
    good.write_text("let a=1\n")
    bad.write_text("let a := 1\n")
    last.write_text("let c=3\n")
    assert main(["fmt", str(good), str(bad), str(tmp_path / "absent.arch"), str(last)]) == 3
    assert good.read_text() == "let a = 1\n" and last.read_text() == "let c = 3\n" and bad.read_text() == "let a := 1\n"
    message = capsys.readouterr().err
    assert "b.arch:1" in message and "absent.arch" in message


def test_a_disk_that_refuses_leaves_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.arch"
    path.write_text("let a=1\n")

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for name in ("replace", "fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, refuse)
            assert main(["fmt", str(path)]) == 1
        assert "No space left on device" in capsys.readouterr().err
        assert path.read_text() == "let a=1\n" and os.listdir(tmp_path) == ["a.arch"]
