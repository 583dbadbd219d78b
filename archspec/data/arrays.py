"""Arrays in files: idx, the format of MNIST, and NumPy's npz. Nothing in them is ever unpickled."""

from __future__ import annotations

import io
import math
import re
import struct
from collections.abc import Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from archspec.data.columns import Column, Opened, Part
from archspec.data.files import MAX_BYTES, Folder
from archspec.data.problems import counted, problem, quoted, similar_columns
from archspec.data.texts import OpenFile
from archspec.data.values import PARTS, Source
from archspec.diagnostics import Span

if TYPE_CHECKING:
    from zipfile import ZipFile

MAX_ARRAYS = 1000
MAX_AXES = 8
Settings: TypeAlias = Mapping[str, Any]
Array: TypeAlias = NDArray[Any]

# --- idx -------------------------------------------------------------------------------------------------------------

# The third byte of the file says of what its numbers are: http://yann.lecun.com/exdb/mnist
_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def open_idx(folder: Folder, settings: Settings, span: Span) -> Source:
    """Images and their labels, in a pair of files for each part."""
    pairs = {"train": (settings["images"], settings["labels"])}
    pairs |= {part: settings[part] for part in PARTS[1:] if settings[part]}
    parts = {part: _open_idx(folder, *names, span) for part, names in pairs.items()}
    return Source(f"{settings['images']}:{span.line}:{span.column}", parts, span)


def _open_idx(folder: Folder, images: str, labels: str, span: Span) -> Opened:
    names = {"image": images, "label": labels}
    columns: dict[str, Column] = {c: read_idx(name, folder.read(name, span), span) for c, name in names.items()}
    rows = {names[column]: len(array) for column, array in columns.items()}
    _check_rows(rows, span)
    return Opened(images, ("image", "label"), lambda wanted, seed: Part(columns, _count(rows[images])), noun="image", span=span)


def read_idx(path: str, data: bytes, span: Span | None) -> Array:
    """The array in an idx file: two zeros, a type, the number of axes, their sizes, the numbers."""
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _IDX_TYPES or not 0 < data[3] <= MAX_AXES:
        raise problem("D28", f"{quoted(path)} is not an idx file", span, hints=["its first bytes say so"])
    dtype, start = np.dtype(_IDX_TYPES[data[2]]), 4 + 4 * data[3]
    shape = tuple(int.from_bytes(data[k : k + 4], "big") for k in range(4, start, 4))
    _check_filled(path, shape, "", span)
    nbytes = start + math.prod(shape) * dtype.itemsize
    if nbytes != len(data):
        message = f"{quoted(path)} is damaged: {_shape(shape)} needs {nbytes:,} bytes, and it has {len(data):,}"
        raise problem("D28", message, span, hints=["fetch the file again"])
    return _usable(path, np.frombuffer(data, dtype, offset=start).reshape(shape), "", span)


# --- npz -------------------------------------------------------------------------------------------------------------


def npz_reader(settings: Settings) -> OpenFile:
    """The arrays of an archive by their names; the first axis of each is the rows."""

    def open_file(path: str, data: bytes, span: Span | None) -> Opened:
        names = _members(path, data, span)
        return Opened(path, names, lambda wanted, seed: _read_npz(path, data, wanted, span), noun="row", span=span)

    return open_file


def _members(path: str, data: bytes, span: Span | None) -> tuple[str, ...]:
    """The names of the arrays, their sizes within bounds."""
    import zipfile  # only specs with archives pay for it

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        raise problem("D28", f"{quoted(path)} is not an npz file", span) from None
    if len(members) > MAX_ARRAYS or sum(member.file_size for member in members) > MAX_BYTES:
        raise problem("D24", f"{quoted(path)} holds more than {MAX_ARRAYS:,} arrays or {MAX_BYTES:,} bytes", span)
    names = tuple(member.filename.removesuffix(".npy") for member in members if member.filename.endswith(".npy"))
    if not names:
        raise problem("D14", f"{quoted(path)} holds no arrays", span)
    return names


def _read_npz(path: str, data: bytes, wanted: frozenset[str], span: Span | None) -> Part:
    import zipfile

    missing = sorted(wanted - set(names := _members(path, data, span)))
    if missing:
        message = f"{quoted(path)} has no array {quoted(missing[0])}"
        raise problem("D06", message, span, hints=similar_columns(missing[0], names))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        columns: dict[str, Column] = {name: _read_member(path, archive, name, span) for name in sorted(wanted)}
    rows = {name: len(array) for name, array in columns.items()}
    _check_rows(rows, span)
    return Part(columns, _count(next(iter(rows.values()), 0)))


# https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html; NumPy itself would evaluate the header.
_HEADER = re.compile(rb"\{'descr': (.+), 'fortran_order': (True|False), 'shape': \(([0-9, ]*)\),? *\} *\n?")
_NUMBERS = re.compile(rb"'([<>|=]?(?:b1|[iu][1248]|f[248]))'")
_LONGEST_HEADER = 10_000


def _read_member(path: str, archive: ZipFile, name: str, span: Span | None) -> Array:
    from zipfile import BadZipFile
    from zlib import error as zlib_error

    try:
        with archive.open(f"{name}.npy") as file:
            shape, order, dtype = _header(file)
            nbytes = math.prod(shape) * dtype.itemsize if dtype else 0
            body = file.read() if dtype and nbytes <= MAX_BYTES else b""
            if dtype and len(body) != nbytes:
                raise EOFError
    except (ValueError, EOFError, OSError, RuntimeError, NotImplementedError, BadZipFile, zlib_error, struct.error):
        raise problem("D28", f"array {quoted(name)} of {quoted(path)} is damaged", span) from None
    if not dtype:
        hint = "objects are never read: they could run code"
        raise problem("D28", f"array {quoted(name)} of {quoted(path)} does not hold numbers", span, hints=[hint])
    _check_filled(path, shape, f"array {quoted(name)} of ", span)
    array: Array = np.frombuffer(body, dtype).reshape(shape, order=order)
    return _usable(path, array, f"array {quoted(name)} of ", span)


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], Literal["C", "F"], np.dtype[Any] | None]:
    """Shape, order and type, None where that is none of numbers; before any memory is asked for."""
    start = file.read(8)
    if start[:6] != b"\x93NUMPY" or start[6:] not in (b"\1\0", b"\2\0"):
        raise ValueError
    (length,) = struct.unpack("<H", file.read(2)) if start[6] == 1 else struct.unpack("<I", file.read(4))
    found = _HEADER.fullmatch(file.read(min(length, _LONGEST_HEADER)))
    if not found:
        raise ValueError
    shape = tuple(int(size) for size in found[3].split(b",") if size.strip())
    numbers = _NUMBERS.fullmatch(found[1])
    return shape, "F" if found[2] == b"True" else "C", np.dtype(numbers[1].decode()) if numbers else None


# --- both ------------------------------------------------------------------------------------------------------------


def _usable(path: str, array: Array, what: str, span: Span | None) -> Array:
    """`array` in the byte order of this machine, certain to hold finite numbers."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise problem("D28", f"{what}{quoted(path)} holds a number that is not finite", span)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _check_filled(path: str, shape: Sequence[int], what: str, span: Span | None) -> None:
    if not shape or 0 in shape:
        raise problem("D14", f"{what}{quoted(path)} has no rows", span)
    if len(shape) > MAX_AXES:
        raise problem("D24", f"{what}{quoted(path)} has {len(shape)} axes; at most {MAX_AXES} are read", span)


def _check_rows(rows: Mapping[str, int], span: Span | None) -> None:
    if len(set(rows.values())) > 1:
        sides = [f"{quoted(name)} has {counted(count, 'row')}" for name, count in rows.items()]
        raise problem("D22", ", ".join(sides), span, hints=["row by row they must belong together"])


def _count(rows: int) -> NDArray[np.int64]:
    return np.arange(1, rows + 1, dtype=np.int64)


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(f"{size:,}" for size in shape)
