"""Files read from disk."""

from __future__ import annotations

import os
import stat

from archspec.diagnostics import ArchError, Diagnostic, Source, Span

LARGEST_FILE = 1_000_000


def read_source(path: str | os.PathLike[str]) -> Source:
    """The text of a file. A byte order mark is dropped; lines may end in CRLF.

    Raises ArchError when there is no such file, when it cannot be read, is too large or is not UTF-8.
    """
    data = _read(os.fspath(path)).removeprefix(b"\xef\xbb\xbf")
    shown = as_text(os.fspath(path))
    if len(data) > LARGEST_FILE:
        raise ArchError(too_large(shown))
    try:
        return Source(shown, data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ArchError(_not_utf8(shown, data, error.start)) from None


def check_text(text: str) -> None:
    """Raises ArchError where a string of Python's holds what no UTF-8 file can: half a character."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        message = f"U+{ord(text[error.start]):04X} is half a character and cannot be written as UTF-8 text"
        raise ArchError(Diagnostic("P12", message, hints=("decode the text as UTF-8",))) from None


def as_text(path: str) -> str:
    """A path as text that can be written anywhere: a byte that is no UTF-8 becomes its number, `\\udcff`."""
    return path.encode("utf-8", "backslashreplace").decode()


def too_large(path: str) -> Diagnostic:
    hints = ("split it, and `import` one part from the other",)
    return Diagnostic("P10", f"`{path}` is larger than a spec may be, {LARGEST_FILE} bytes", hints=hints)


def _read(path: str) -> bytes:
    """The bytes of a regular file, at most a few more than are allowed."""
    try:
        # Opening a pipe would wait for whoever writes to it, so the kind of file is looked at first.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ArchError(_not_a_file(path))
        with open(path, "rb") as file:
            return file.read(LARGEST_FILE + 4)
    except (OSError, ValueError) as error:
        raise ArchError(_unreadable(path, error)) from None


def _not_a_file(path: str) -> Diagnostic:
    what = "a folder" if os.path.isdir(path) else "not a regular file"
    return Diagnostic("P11", f"`{path}` is {what}", hints=("give the path of an `.arch` file",))


def _unreadable(path: str, error: OSError | ValueError) -> Diagnostic:
    if isinstance(error, FileNotFoundError):
        return Diagnostic("P11", f"there is no file `{path}`")
    reason = error.strerror.lower() if isinstance(error, OSError) and error.strerror else str(error)
    return Diagnostic("P11", f"`{path}` cannot be read: {reason}")


def _not_utf8(path: str, data: bytes, offset: int) -> Diagnostic:
    line_start = data.rfind(b"\n", 0, offset) + 1
    line = data.count(b"\n", 0, offset) + 1
    column = len(data[line_start:offset].decode("utf-8")) + 1
    span = Span(Source(path, data.decode("utf-8", "replace")), line, column, line, column + 1)
    hints = ("save the file as UTF-8",)
    return Diagnostic("P12", f"the byte 0x{data[offset]:02x} is not UTF-8 text", span, hints=hints)
