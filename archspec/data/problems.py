"""Mistakes in a `data` section and in the files that it names.

D01 unknown name               D09 size of an axis          D17 not a number
D02 unknown function           D10 file not found           D18 missing cells
D03 settings of a call         D11 file outside the folder  D19 labels
D04 not possible in `data`     D12 file cannot be read      D20 number of labels
D05 wrong kind of value        D13 not UTF-8                D21 split
D06 unknown column             D14 no rows                  D22 sources of different length
D07 numbers of columns differ  D15 damaged rows             D23 result is not finite
D08 axes of a field            D16 header                   D24 too large
D25 sequences, vocabularies    D26 ragged axes              D27 text too short, or uncut
D28 arrays in files
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from archspec.diagnostics import ArchError, Diagnostic, Span, did_you_mean

_SHOWN = 40  # characters of a data file's text that a message repeats
_PLURALS = {"axis": "axes", "entry": "entries"}
_COMPARED = 2000  # columns that are looked at for a similar name


def problem(
    code: str,
    message: str,
    span: Span | None,
    *,
    label: str = "",
    notes: Iterable[str] = (),
    hints: Iterable[str] = (),
) -> ArchError:
    """One mistake, to raise."""
    return ArchError(Diagnostic(code, message, span, label, tuple(notes), tuple(hints)))


def quoted(text: str) -> str:
    """`text` in backticks, shortened. Rendering a message escapes what a terminal must not see."""
    return f"`{text}`" if len(text) <= _SHOWN else f"`{text[:_SHOWN]}…`"


def listed(texts: Iterable[str], limit: int = 8) -> str:
    """The first few of `texts`, quoted, and how many more there are."""
    every = list(texts)
    more = f" and {len(every) - limit} more" if len(every) > limit else ""
    return ", ".join(quoted(t) for t in every[:limit]) + more


def counted(count: int, noun: str) -> str:
    """`1 row`, `2 rows`, `3 classes`."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {_PLURALS.get(noun, noun + ('es' if noun.endswith('s') else 's'))}"


def similar_columns(name: str, columns: Sequence[str]) -> tuple[str, ...]:
    """Hints for an unknown column. Comparing long names takes time in the square of their length, so it is bounded."""
    if len(name) > _SHOWN:
        return ()
    compared = [column for column in columns[:_COMPARED] if len(column) <= _SHOWN]
    return did_you_mean(name, compared) or (f"its columns: {listed(columns)}",)


class Problems:
    """The mistakes found so far, so that one run reports them all."""

    def __init__(self) -> None:
        self.found: list[Diagnostic] = []

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Keep the mistakes that the body raises instead of stopping at them."""
        try:
            yield
        except ArchError as error:
            self.found += error.diagnostics

    def stop_if_any(self) -> None:
        """Raise every mistake found, in the order of their places in the spec."""
        if self.found:
            raise ArchError(sorted(self.found, key=_position)) from None


def _position(diagnostic: Diagnostic) -> tuple[int, int]:
    span = diagnostic.span
    return (span.line, span.column) if span else (0, 0)
