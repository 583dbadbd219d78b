"""Errors as data, rendered in one place.

A stage that finds mistakes collects `Diagnostic` values and raises one `ArchError` with all of them. Nothing else in
archspec formats a message for people.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Source:
    """The text of one file. `path` is what messages show: relative where the user gave it so."""

    path: str
    text: str = field(repr=False)

    def line(self, number: int) -> str:
        """Line `number`, counted from 1, without its line break; empty past the end."""
        lines = self.text.split("\n")
        return lines[number - 1].rstrip("\r") if 1 <= number <= len(lines) else ""


@dataclass(frozen=True)
class Span:
    """A range of characters in a source. Lines and columns count from 1; `end_column` is exclusive."""

    source: Source = field(repr=False)
    line: int
    column: int
    end_line: int
    end_column: int

    def to(self, other: Span) -> Span:
        """The span from the start of this one to the end of `other`."""
        return Span(self.source, self.line, self.column, other.end_line, other.end_column)

    @property
    def place(self) -> str:
        return f"{self.source.path}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Diagnostic:
    """One mistake: what is wrong, where, and what to do about it.

    `code`   a letter for the stage (P syntax, S spec, D data, T training, R running, U usage) and a number
    `label`  a few words printed beside the carets
    """

    code: str
    message: str
    span: Span | None = None
    label: str = ""
    notes: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    severity: str = "error"


class ArchError(Exception):
    """One or more mistakes in what the user wrote. `str()` is the rendered message."""

    def __init__(self, diagnostics: Diagnostic | Iterable[Diagnostic]):
        self.diagnostics: tuple[Diagnostic, ...] = (
            (diagnostics,) if isinstance(diagnostics, Diagnostic) else tuple(diagnostics)
        )
        super().__init__(render_all(self.diagnostics))


def render_all(diagnostics: Sequence[Diagnostic]) -> str:
    """Every message once, in the order of their places, with a blank line between."""
    unique = list(dict.fromkeys(diagnostics))
    return "\n\n".join(render(d) for d in unique)


def render(diagnostic: Diagnostic) -> str:
    """The message as people read it:

    error[S02]: `linear` expects …
      --> specs/mnist.arch:14:9
    14 |   h2 = h1 |> linear(128)
       |              ^^^^^^ label
    note: …
    hint: …
    """
    lines = [f"{diagnostic.severity}[{diagnostic.code}]: {visible(diagnostic.message)}"]
    if diagnostic.span is not None:
        lines += _excerpt(diagnostic.span, diagnostic.label)
    lines += [f"note: {visible(note)}" for note in diagnostic.notes]
    lines += [f"hint: {visible(hint)}" for hint in diagnostic.hints]
    return "\n".join(lines)


def _excerpt(span: Span, label: str) -> list[str]:
    text = span.source.line(span.line)
    start = min(span.column - 1, len(text))
    end = min(span.end_column - 1, len(text)) if span.end_line == span.line else len(text)
    before, marked = visible(text[:start]), visible(text[start:end])
    number = str(span.line)
    carets = "^" * max(1, _width(marked))
    return [
        f"  --> {visible(span.source.path)}:{span.line}:{span.column}",
        f"{number} | {before}{marked}{visible(text[end:])}".rstrip(),
        f"{' ' * len(number)} | {' ' * _width(before)}{carets} {visible(label)}".rstrip(),
    ]


def visible(text: str) -> str:
    """`text` on one line with every control and bidirectional character written as an escape.

    A spec from a stranger must not be able to move the cursor or reorder what a terminal shows.
    """
    return "".join(_shown(c) for c in text)


def _shown(character: str) -> str:
    if character == "\t":
        return "    "
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return f"\\u{ord(character):04x}"
    return character


def _width(text: str) -> int:
    """Columns that `text` takes on a terminal: two for wide characters, none for combining ones."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def nearest(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """At most three of `known` that `name` may have been meant to be, the closest first."""
    return tuple(difflib.get_close_matches(name, sorted(set(known)), n=3, cutoff=0.6))


def did_you_mean(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """Hints for an unknown name: the near ones, or else what there is."""
    options = sorted(set(known))
    near = nearest(name, options)
    if near:
        return (f"did you mean {_alternatives(near)}?",)
    if options and len(options) <= 12:
        return (f"known: {', '.join(f'`{o}`' for o in options)}",)
    return ()


def _alternatives(names: Sequence[str]) -> str:
    quoted = [f"`{n}`" for n in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
