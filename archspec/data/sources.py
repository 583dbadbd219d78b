"""Tables as sources. Text, arrays and generators are in `kinds`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from archspec.data.files import Folder
from archspec.data.parameters import COUNT, DELIMITER, FLAG, TEXT, TEXTS, Parameter
from archspec.data.rows import Layout, TextFile
from archspec.data.tables import Table, open_table
from archspec.data.values import PARTS, Opener, Source
from archspec.diagnostics import Span
from archspec.records import record


@record
class SourceKind:
    """A function that opens files. `open` is given the folder, the settings by name and the span of the call.

    doc     what its rows and columns are
    reader  given the settings, the function that opens one file; None where a row needs several files, or none
    """

    open: Callable[[Folder, Mapping[str, Any], Span], Source]
    settings: tuple[Parameter, ...]
    doc: str = ""
    reader: Callable[[Mapping[str, Any]], Opener] | None = None


def open_csv(folder: Folder, settings: Mapping[str, Any], span: Span) -> Source:
    """A table of delimited text, with a file for each part that has its own."""
    paths = {"train": settings["path"]} | {part: settings[part] for part in PARTS[1:] if settings[part]}
    open_file = csv_reader(settings)
    tables = {part: open_file(path, folder.read(path, span), span) for part, path in paths.items()}
    return Source(f"{settings['path']}:{span.line}:{span.column}", tables, span)


def csv_reader(settings: Mapping[str, Any]) -> Callable[[str, bytes, Span | None], Table]:
    layout = layout_of(settings)
    return lambda path, data, span: open_table(TextFile(path, data, layout, span))


def layout_of(settings: Mapping[str, Any]) -> Layout:
    """The layout that the settings of `csv` describe. Who names the columns has no header line, unless they say so."""
    header = not settings["columns"] if settings["header"] is None else settings["header"]
    missing = frozenset(text.strip() for text in settings["missing"])
    return Layout(header, settings["delimiter"], missing, settings["columns"], settings["skip"])


SOURCES: Mapping[str, SourceKind] = {
    "csv": SourceKind(
        open_csv,
        (
            Parameter("path", TEXT),
            Parameter("header", FLAG, None),
            Parameter("delimiter", DELIMITER, ","),
            Parameter("missing", TEXTS, ("", "?", "NA", "nan")),
            Parameter("columns", TEXTS, ()),
            Parameter("skip", COUNT, 0),
            Parameter("validation", TEXT, None),
            Parameter("test", TEXT, None),
        ),
        reader=csv_reader,
    ),
}
