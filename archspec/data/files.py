"""Files that a spec may read: found, checked and brought into memory."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

from archspec.data.problems import problem, quoted
from archspec.diagnostics import Span, nearest
from archspec.records import record

MAX_BYTES = 1 << 30
_GZIP = b"\x1f\x8b"
_PIECE = 1 << 20
_LISTED = 1000  # entries of a folder that are looked at for a similar name


@record
class Folder:
    """Where a spec may read: its own folder and those that the user allowed."""

    root: Path
    allow: tuple[Path, ...] = ()

    def find(self, name: str, span: Span | None, is_folder: bool = False) -> Path:
        """The file or folder that `name` means, links followed, certain to lie inside an allowed folder."""
        path = _resolved(self.root, name, span)
        if not any(path.is_relative_to(allowed.resolve()) for allowed in (self.root, *self.allow)):
            hint = f"allow its folder with `--allow {path if is_folder else path.parent}`"
            raise problem("D11", f"{quoted(name)} lies outside the folder of the spec", span, hints=[hint])
        return path

    def read(self, name: str, span: Span | None) -> bytes:
        """The bytes of the file that `name` means, unpacked if it is gzipped."""
        return read(self.find(name, span), name, span)


def read(path: Path, name: str, span: Span | None) -> bytes:
    """The bytes of a file, unpacked if it is gzipped; `name` is what messages call it."""
    _check(path, name, span)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise problem("D12", f"cannot read {quoted(name)}: {error.strerror}", span) from None
    return _unpacked(data, name, span) if data.startswith(_GZIP) else data


def _resolved(root: Path, name: str, span: Span | None) -> Path:
    try:
        return (root / name).resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, a NUL character
        raise problem("D10", f"{quoted(name)} is not a usable path", span) from None


def _check(path: Path, name: str, span: Span | None) -> None:
    """Refuse what is missing, what is no plain file (a pipe would block) and what is too large."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        raise problem("D10", f"there is no file {quoted(name)}", span, hints=_similar(path, name)) from None
    if not stat.S_ISREG(status.st_mode):
        raise problem("D12", f"{quoted(name)} is not a file", span)
    if status.st_size > MAX_BYTES:
        raise problem("D24", f"{quoted(name)} has {status.st_size:,} bytes; at most {MAX_BYTES:,} are read", span)


def _similar(path: Path, name: str) -> list[str]:
    """A hint with the files beside `path` that it may have been meant to be. Endings are alike too often to count."""
    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for entry, _ in zip(entries, range(_LISTED), strict=False)]
    except (OSError, ValueError):
        return ["its folder does not exist either"]
    stems = nearest(_stem(path.name), map(_stem, names))
    near = [str(Path(name).with_name(n)) for n in sorted(names) if _stem(n) in stems][:3]
    return [f"did you mean {' or '.join(quoted(n) for n in near)}?"] if near else []


def _stem(name: str) -> str:
    return name.split(".")[0]


def _unpacked(data: bytes, name: str, span: Span | None) -> bytes:
    import gzip  # only specs with packed files pay for it
    import zlib

    plain = io.BytesIO()
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            while plain.tell() <= MAX_BYTES and (piece := stream.read(_PIECE)):
                plain.write(piece)
    except (OSError, EOFError, zlib.error):
        raise problem(
            "D12", f"{quoted(name)} is damaged: it cannot be unpacked", span, hints=["fetch the file again"]
        ) from None
    if plain.tell() > MAX_BYTES:
        raise problem("D24", f"{quoted(name)} unpacks to more than {MAX_BYTES:,} bytes", span)
    return plain.getvalue()
