"""Every file in tests/malformed/syntax gives exactly the messages in the text file beside it.

ARCHSPEC_UPDATE=1 writes the text files anew; read the difference before you keep it.
"""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archspec.diagnostics import ArchError, Source
from archspec.frontend.parse import parse, read_source
from archspec.frontend.tokens import tokenize

FOLDER = Path(__file__).parents[1] / "malformed" / "syntax"
SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.arch"))


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.arch")))
def test_messages(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    with pytest.raises(ArchError) as caught:
        parse(read_source(f"{name}.arch"))
    expected = FOLDER / f"{name}.txt"
    if os.environ.get("ARCHSPEC_UPDATE"):
        expected.write_text(f"{caught.value}\n", "utf-8")
    assert f"{caught.value}\n" == expected.read_text("utf-8")


def words_of(path: Path) -> list[str]:
    return [token.text for token in tokenize(Source("", path.read_text("utf-8")))]


WORDS = sorted({word for path in SAMPLES for word in words_of(path)} | {"'", '"', "$", ".", "?", "&&", ";", "²"})


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SAMPLES).map(words_of), st.data())
def test_broken_samples_are_explained(words: list[str], data: st.DataObject) -> None:
    """A sample with some words changed is taken or refused, whatever the explanations have to look at."""
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(words) - 1))
        words[position : position + data.draw(st.integers(0, 2))] = data.draw(st.lists(st.sampled_from(WORDS), max_size=2))
    text = " ".join(words)
    try:
        parse(Source("broken.arch", text))
    except ArchError as error:
        lines = text.count("\n") + 1
        for diagnostic in error.diagnostics:
            assert diagnostic.span is not None
            assert 1 <= diagnostic.span.line <= lines


def test_a_slice_is_explained_with_the_lines_of_the_file() -> None:
    source = Source("slice.arch", "let a := 1\n\nblock f(x[B]) -> y[B] {\n  y = x linear(H)\n}\nlet b := 1\n")
    with pytest.raises(ArchError) as caught:
        parse(source, range(3, 6))
    assert [d.span.line for d in caught.value.diagnostics if d.span] == [4]
