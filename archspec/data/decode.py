"""Bytes of a file to text and to lines."""

from __future__ import annotations

import io

import numpy as np

from archspec.data.problems import problem, quoted
from archspec.data.ragged import Indices
from archspec.diagnostics import ArchError, Span

ENCODINGS = ("utf-8", "latin-1", "cp1252")
SAVE_AS = "save the file as UTF-8"
SAY_SO = 'say which encoding it has: `encoding="latin-1"`, or save the file as UTF-8'


def decode(path: str, data: bytes, encoding: str, span: Span | None) -> str:
    """The text of a file, without a byte order mark and with plain line breaks."""
    try:
        text = data.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError:
        raise wrong_encoding(path, data, encoding, span, SAY_SO) from None
    return text.replace("\r\n", "\n") if "\r" in text else text


def wrong_encoding(path: str, data: bytes, encoding: str, span: Span | None, hint: str) -> ArchError:
    """Looks for the line only now: files are nearly always right."""
    place = ""
    for number, line in enumerate(io.BytesIO(data), 1):
        try:
            line.decode(encoding)
        except UnicodeDecodeError as error:
            place = f": byte 0x{line[error.start]:02x} on line {number}"
            break
    return problem("D13", f"{quoted(path)} is not {encoding.upper()}{place}", span, hints=[hint])


def lines_of(text: str) -> tuple[tuple[str, ...], Indices]:
    """The lines of a text that are not blank, and the number of each, counted from 1."""
    lines = text.split("\n")
    kept = [index for index, line in enumerate(lines) if line and not line.isspace()]
    return tuple(lines[index] for index in kept), np.array(kept, np.int64) + 1
