"""Rows of delimited text, one at a time, each with the line that it starts on."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import NoReturn

from archspec.data.decode import SAVE_AS, wrong_encoding
from archspec.data.problems import problem, quoted
from archspec.diagnostics import Span
from archspec.records import field, record

MAX_ROW = 1 << 24  # characters; room for 100,000 columns of long numbers
_BLANKS = re.compile(r'("(?:[^"]|"")*")|[ \t]+')


@record
class Layout:
    """How a table is written. `delimiter=" "` means any run of blanks and tabs."""

    header: bool = True
    delimiter: str = ","
    missing: frozenset[str] = frozenset(("", "?", "NA", "nan"))
    columns: tuple[str, ...] = ()
    skip: int = 0


@record
class TextFile:
    """A file in memory. `path` is what messages call it, `span` where the spec names it."""

    path: str
    data: bytes = field(repr=False)
    layout: Layout
    span: Span | None = field(compare=False, repr=False)


def read_rows(file: TextFile) -> Iterator[tuple[int, list[str]]]:
    """The line and the cells of each row that is not blank, the header among them."""
    feed = _Feed(file)
    reader = csv.reader(feed, delimiter=file.layout.delimiter, strict=True)
    line = file.layout.skip + 1
    try:
        for cells in reader:
            if cells and not (len(cells) == 1 and cells[0].isspace()):
                yield line, cells
            line = file.layout.skip + reader.line_num + 1
            feed.room = MAX_ROW
    except UnicodeDecodeError:
        raise wrong_encoding(file.path, file.data, "utf-8", file.span, SAVE_AS) from None
    except (csv.Error, _TooLongError) as error:
        _fail_row(file, line, error)


class _TooLongError(Exception):
    """A row has more than MAX_ROW characters."""


class _Feed:
    """The lines of a file for the CSV reader; never more than MAX_ROW characters for one row."""

    def __init__(self, file: TextFile) -> None:
        self.stream = io.TextIOWrapper(io.BytesIO(file.data), "utf-8-sig", newline="")
        self.room = MAX_ROW
        self.joins_blanks = file.layout.delimiter == " "
        self.skip = file.layout.skip

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        for _ in range(self.skip):
            self._line()
            self.room = MAX_ROW
        self.skip = 0
        return _joined(self._line()) if self.joins_blanks else self._line()

    def _line(self) -> str:
        line = self.stream.readline(self.room + 1)
        self.room -= len(line)
        if self.room < 0:
            raise _TooLongError
        if not line:
            raise StopIteration
        return line


def _joined(line: str) -> str:
    """`line` with one blank for each run of blanks outside quotes, none at its ends."""
    if '"' not in line:
        return " ".join(line.split())
    return _BLANKS.sub(lambda match: match[1] or " ", line.strip())


def _fail_row(file: TextFile, line: int, error: Exception) -> NoReturn:
    message = f"the row that starts on line {line} of {quoted(file.path)} cannot be read"
    if isinstance(error, _TooLongError):
        raise problem("D24", f"{message}: it has more than {MAX_ROW:,} characters", file.span)
    if "unexpected end" in str(error):
        raise problem("D15", f"{message}: its quotes are not closed", file.span)
    if "field limit" in str(error):
        raise problem("D15", f"{message}: one of its cells is too long", file.span, hints=["a quote may not be closed"])
    raise problem("D15", f"{message}: a closing quote must be followed by the delimiter", file.span)
