"""Text in files: one long text, lines, labelled lines, many files, pairs of files. One function for each source."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NoReturn

import numpy as np

from archspec.data.columns import Column, Opened, Part, Texts, joined
from archspec.data.decode import decode, lines_of
from archspec.data.files import MAX_BYTES, Folder
from archspec.data.problems import counted, problem, quoted
from archspec.data.ragged import Indices
from archspec.data.values import PARTS, Source
from archspec.diagnostics import Span

MAX_FILES = 200_000
Settings = Mapping[str, Any]
OpenFile = Callable[[str, bytes, Span | None], Opened]


def one_file_each(reader: Callable[[Settings], OpenFile]) -> Callable[[Folder, Settings, Span], Source]:
    """The function that opens a source with one file for each part that has its own."""

    def open_files(folder: Folder, settings: Settings, span: Span) -> Source:
        open_file = reader(settings)
        paths = {"train": settings["path"]} | {part: settings[part] for part in PARTS[1:] if settings[part]}
        parts = {part: open_file(path, folder.read(path, span), span) for part, path in paths.items()}
        return Source(f"{settings['path']}:{span.line}:{span.column}", parts, span)

    return open_files


def text_reader(settings: Settings) -> OpenFile:
    """One long text."""

    def open_file(path: str, data: bytes, span: Span | None) -> Opened:
        text = _filled(path, decode(path, data, settings["encoding"], span), span)
        return Opened(path, ("text",), lambda wanted, seed: Part({"text": (text,)}, np.ones(1, np.int64)), is_text=True)

    return open_file


def lines_reader(settings: Settings) -> OpenFile:
    """A row for each line that is not blank."""

    def open_file(path: str, data: bytes, span: Span | None) -> Opened:
        texts, lines = lines_of(_filled(path, decode(path, data, settings["encoding"], span), span))
        return Opened(path, ("text",), lambda wanted, seed: Part({"text": texts}, lines))

    return open_file


def _filled(path: str, text: str, span: Span | None) -> str:
    if not text or text.isspace():
        raise problem("D14", f"{quoted(path)} is empty", span)
    return text


# --- labelled lines --------------------------------------------------------------------------------------------------


def labelled_reader(settings: Settings) -> OpenFile:
    """A label and a text on each line."""

    def open_file(path: str, data: bytes, span: Span | None) -> Opened:
        texts, lines = lines_of(_filled(path, decode(path, data, settings["encoding"], span), span))
        rows = [_labelled(text, settings["separator"], path, line, span) for text, line in zip(texts, lines, strict=True)]
        labels = tuple(_coarse(label, settings["coarse"]) for label, _ in rows)
        columns: dict[str, Column] = {"label": labels, "text": tuple(text for _, text in rows)}
        return Opened(path, ("label", "text"), lambda wanted, seed: Part(columns, lines))

    return open_file


def _labelled(line: str, separator: str, path: str, number: int, span: Span | None) -> tuple[str, str]:
    """The label and the text of a line. A blank as separator stands for any run of blanks."""
    label, *rest = line.split(None, 1) if separator == " " else line.split(separator, 1)
    if not rest:
        missing = (
            "no text after its label" if separator == " " else f"no {quoted(repr(separator)[1:-1])} between label and text"
        )
        raise problem("D15", f"line {number} of {quoted(path)} has {missing}", span)
    if not label.strip() or not rest[0].strip():
        what = "text" if label.strip() else "label"
        raise problem("D15", f"line {number} of {quoted(path)} has an empty {what}", span)
    return label, rest[0]


def _coarse(label: str, mark: str | None) -> str:
    return label.split(mark, 1)[0] if mark else label


# --- many files ------------------------------------------------------------------------------------------------------

_LABELS: Mapping[str, Callable[[PurePosixPath], str]] = {
    "file": lambda path: path.stem,
    "folder": lambda path: path.parent.name,
    "ending": lambda path: path.suffix.removeprefix("."),
}
LABELS = tuple(_LABELS)


def open_folder(folder: Folder, settings: Settings, span: Span) -> Source:
    """The lines of many files, or a row for each file, with a label from its name."""
    patterns = {"train": settings["path"]} | {part: settings[part] for part in PARTS[1:] if settings[part]}
    parts = {part: _open_files(folder, pattern, settings, span) for part, pattern in patterns.items()}
    return Source(f"{settings['path']}:{span.line}:{span.column}", parts, span)


def _open_files(folder: Folder, pattern: str, settings: Settings, span: Span) -> Opened:
    found = sorted(matching(folder, pattern, span))
    if not found:
        raise problem("D10", f"no file matches {quoted(pattern)}", span)
    pieces, total = [], 0
    for name in found:
        data = folder.read(name, span)
        total += len(data)
        if total > MAX_BYTES:
            raise problem("D24", f"the files of {quoted(pattern)} have more than {MAX_BYTES:,} bytes", span)
        pieces.append(_rows_of_file(name, decode(name, data, settings["encoding"], span), settings))
    if not any(texts for _, texts, _ in pieces):
        raise problem("D14", f"the files of {quoted(pattern)} are empty", span)
    labels = tuple(label for label, texts, _ in pieces for _ in texts)
    columns: dict[str, Column] = {"label": labels, "text": joined([texts for _, texts, _ in pieces])}
    lines = np.concatenate([lines for _, _, lines in pieces])
    return Opened(pattern, ("label", "text"), lambda wanted, seed: Part(columns, lines))


def _rows_of_file(name: str, text: str, settings: Settings) -> tuple[str, Texts, Indices]:
    """The label of a file, its texts and their lines. Blank files have none."""
    label = _LABELS[settings["label"]](PurePosixPath(name))
    if settings["whole"]:
        texts = (text,) if text.strip() else ()
        return label, texts, np.ones(len(texts), np.int64)
    return label, *lines_of(text)


def matching(folder: Folder, pattern: str, span: Span) -> Iterator[str]:
    """The files whose names fit a pattern, `*` and `?` in any part of its path."""
    names = [""]
    *folders, last = PurePosixPath(pattern).parts or ("",)
    for piece in folders:
        names = [name for start in names for name in _entries(folder, start, piece, span, is_file=False)]
    for start in names:
        yield from _entries(folder, start, last, span, is_file=True)


def _entries(folder: Folder, start: str, piece: str, span: Span, is_file: bool) -> list[str]:
    """What a part of a pattern matches below `start`; links are followed only into allowed folders."""
    if not set(piece) & set("*?") and not is_file:
        return [str(PurePosixPath(start, piece))]
    path = folder.find(start or ".", span, is_folder=True)
    try:
        with os.scandir(path) as entries:
            names = [e.name for e in entries if _fits(e.name, piece) and (e.is_file() if is_file else e.is_dir())]
    except OSError:
        return []
    if len(names) > MAX_FILES:
        raise problem("D24", f"{counted(len(names), 'file')} in {quoted(start or '.')}; at most {MAX_FILES:,} are read", span)
    return [str(PurePosixPath(start, name)) for name in names]


def _fits(name: str, piece: str) -> bool:
    """Whether a name fits; as in a shell, hidden ones only where the pattern says so."""
    return fnmatch.fnmatchcase(name, piece.replace("[", "[[]")) and name.startswith(".") <= piece.startswith(".")


# --- pairs of files --------------------------------------------------------------------------------------------------


def open_pairs(folder: Folder, settings: Settings, span: Span) -> Source:
    """Two files whose lines belong together, or one with a TAB between the sides, for each part."""
    first = settings["source"] if settings["target"] is None else (settings["source"], settings["target"])
    files = {"train": first} | {part: settings[part] for part in PARTS[1:] if settings[part]}
    parts = {part: _open_pair(folder, names, settings["encoding"], span) for part, names in files.items()}
    return Source(f"{settings['source']}:{span.line}:{span.column}", parts, span)


def _open_pair(folder: Folder, names: str | tuple[str, str], encoding: str, span: Span) -> Opened:
    """A pair with a blank side is left out: there is nothing to learn from it."""
    files = (names,) if isinstance(names, str) else names
    texts = [_all_lines(decode(name, folder.read(name, span), encoding, span)) for name in files]
    sides = _divided(files[0], texts[0], span) if len(texts) == 1 else texts
    if len(sides[0]) != len(sides[1]):
        _fail_pair(files[0], files[-1], len(sides[0]), len(sides[1]), span)
    kept = [row for row, pair in enumerate(zip(*sides, strict=True)) if all(text.strip() for text in pair)]
    if not kept:
        raise problem("D14", f"{' and '.join(map(quoted, files))} have no line with text on both sides", span)
    columns: dict[str, Column] = {"source": tuple(sides[0][k] for k in kept), "target": tuple(sides[1][k] for k in kept)}
    lines = np.array(kept, np.int64) + 1
    return Opened(files[0], ("source", "target"), lambda wanted, seed: Part(columns, lines))


def _divided(path: str, lines: Sequence[str], span: Span) -> list[list[str]]:
    """The two sides of lines; what stands after a second TAB is left out."""
    rows = [(line.split("\t") if line.strip() else ["", ""]) for line in lines]
    for number, row in enumerate(rows, 1):
        if len(row) < 2:
            raise problem("D15", f"line {number} of {quoted(path)} has no TAB between its sides", span)
    return [[row[side] for row in rows] for side in (0, 1)]


def _all_lines(text: str) -> list[str]:
    lines = text.split("\n")
    return lines[:-1] if not lines[-1] else lines


def _fail_pair(source: str, target: str, first: int, second: int, span: Span) -> NoReturn:
    message = f"{quoted(source)} has {counted(first, 'line')} and {quoted(target)} has {second:,}"
    raise problem("D22", message, span, hints=["line by line they must belong together"])
