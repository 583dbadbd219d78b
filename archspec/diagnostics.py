"""Errors as data, rendered in one place.

A stage that finds mistakes collects `Diagnostic` values and raises one `ArchError` with all of them. Nothing else in
archspec formats a message for people.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cached_property

from archspec.records import field, record

MOST_SHOWN = 100  # messages of one error
LONGEST_TEXT = 800  # characters of a message, a note or a hint
WIDEST_LINE = 240  # characters of a line of the source
SIMILAR = 0.65  # how alike two names are, from 0 to 1, for one to be suggested in place of the other
LONGEST_COMPARED, MOST_COMPARED = 100, 1000  # names, when a similar one is sought: it takes time in their product


@record
class Source:
    """The text of one file. `path` is what messages show: relative where the user gave it so."""

    path: str
    text: str = field(repr=False)

    def line(self, number: int) -> str:
        """Line `number`, counted from 1, without its line break; empty past the end."""
        return self._lines[number - 1].rstrip("\r") if 1 <= number <= len(self._lines) else ""

    @cached_property
    def _lines(self) -> list[str]:
        return self.text.split("\n")


@record
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


@record
class Diagnostic:
    """One mistake: what is wrong, where, and what to do about it.

    `code`   a letter for the stage (P syntax, S spec, D data, T training, G generating, R running, U usage) and a number
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
        found = (diagnostics,) if isinstance(diagnostics, Diagnostic) else diagnostics
        self.diagnostics: tuple[Diagnostic, ...] = _in_order(found)
        super().__init__(render_all(self.diagnostics))


def _in_order(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """One diagnostic for each place, the first found there, in the order of the places. Files keep their order.

    A second message at the same words is nearly always a consequence of the first.
    """
    first: dict[object, Diagnostic] = {}
    for d in diagnostics:
        first.setdefault(d.span or d.message, d)
    files = {d.span.source.path: None for d in first.values() if d.span}
    rank = {path: number for number, path in enumerate(files)}
    return tuple(sorted(first.values(), key=lambda d: (rank[d.span.source.path], d.span.line, d.span.column) if d.span else ()))


def render_all(diagnostics: Sequence[Diagnostic]) -> str:
    """Every message, with a blank line between; of very many, the first."""
    rest = ["and more: the first mistakes are shown"] if len(diagnostics) > MOST_SHOWN else []
    return "\n\n".join([*(render(d) for d in diagnostics[:MOST_SHOWN]), *rest])


def render(diagnostic: Diagnostic) -> str:
    """The message as people read it:

    error[S02]: `linear` expects …
      --> specs/mnist.arch:14:9
    14 |   h2 = h1 |> linear(128)
       |              ^^^^^^ label
    note: …
    hint: …
    """
    lines = [f"{diagnostic.severity}[{diagnostic.code}]: {_cropped(diagnostic.message)}"]
    if diagnostic.span is not None:
        lines += _excerpt(diagnostic.span, diagnostic.label)
    lines += [f"note: {_cropped(note)}" for note in diagnostic.notes]
    lines += [f"hint: {_cropped(hint)}" for hint in diagnostic.hints]
    return "\n".join(lines)


def _cropped(text: str) -> str:
    """`text` as it is shown, without its middle where it is very long."""
    half = LONGEST_TEXT // 2
    return visible(text if len(text) <= LONGEST_TEXT else f"{text[:half]} … {text[-half:]}")


def _excerpt(span: Span, label: str) -> list[str]:
    before, marked, after = (visible(part) for part in _around(span))
    number = str(span.line)
    carets = "^" * max(1, _width(marked))
    return [
        f"  --> {_cropped(span.source.path)}:{span.line}:{span.column}",
        f"{number} | {before}{marked}{after}".rstrip(),
        f"{' ' * len(number)} | {' ' * _width(before)}{carets} {_cropped(label)}".rstrip(),
    ]


def _around(span: Span) -> tuple[str, str, str]:
    """The line of `span`: what stands before it, in it and after it. Of a very long line, the part around the span."""
    text = span.source.line(span.line)
    start = min(span.column - 1, len(text))
    end = min(span.end_column - 1, len(text)) if span.end_line == span.line else len(text)
    if len(text) <= WIDEST_LINE:
        return text[:start], text[start:end], text[end:]
    left = max(0, start - WIDEST_LINE // 4)
    right = left + WIDEST_LINE
    before, after = "…" * (left > 0) + text[left:start], text[end : max(end, right)] + "…" * (right < len(text))
    return before, text[start : min(end, right)], after if end < right else "…"


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
    """At most three of `known` that `name` may have been meant to be, the closest first; `ReLU` is close to `relu`."""
    if len(name) > LONGEST_COMPARED:
        return ()
    options = [o for o in sorted(set(known))[:MOST_COMPARED] if len(o) <= LONGEST_COMPARED]
    spelled = {option.lower(): option for option in options}
    exact = difflib.get_close_matches(name, options, n=3, cutoff=SIMILAR)
    return tuple(exact) or tuple(spelled[o] for o in difflib.get_close_matches(name.lower(), spelled, n=3, cutoff=SIMILAR))


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
