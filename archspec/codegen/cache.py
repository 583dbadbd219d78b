"""Compiled kernels on disk, found by their content.

The name of an entry is a hash of everything that its machine code hangs on: the kernel's source, the tile, the CPU and
its features, archspec's own code generator and op records, the versions of Numba, llvmlite and Python. So an entry can
never be stale. Object files are executed: the folder belongs to the user alone, and one that others can write to is
refused. Each file carries a checksum; a damaged one is compiled again.
"""

from __future__ import annotations

import hashlib
import os
import platform
import stat
import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path

from archspec.codegen.machine import this_machine
from archspec.diagnostics import ArchError, Diagnostic

ENVIRONMENT = "ARCHSPEC_CACHE"
PACKAGE = Path(__file__).parent.parent


def key_of(*parts: object) -> str:
    """The name of the entry for code that hangs on `parts`."""
    digest = hashlib.sha256()
    for part in (_foundation(), *parts):
        text = repr(part).encode()
        digest.update(len(text).to_bytes(8, "little") + text)
    return digest.hexdigest()


@cache
def _foundation() -> str:
    """What all entries hang on, as one hash."""
    digest = hashlib.sha256()
    machine = this_machine()
    versions = [version(name) for name in ("numba", "llvmlite", "numpy")]
    digest.update(repr((machine, versions, platform.python_version(), platform.machine())).encode())
    for folder in ("codegen", "ops"):
        for path in sorted((PACKAGE / folder).glob("*.py")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@cache
def cache_folder() -> Path | None:
    """The folder of compiled kernels, made if need be; None where ARCHSPEC_CACHE is `off`."""
    wanted = os.environ.get(ENVIRONMENT)
    if wanted == "off":
        return None
    if wanted:
        folder = Path(wanted)
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(base) / "archspec"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        _refuse(folder, error.strerror or "it cannot be made")
    _check_private(folder)
    return folder


def _check_private(folder: Path) -> None:
    """Compiled code is run, so nobody else may be able to put any there."""
    info = folder.stat()
    if hasattr(os, "getuid") and info.st_uid != os.getuid():
        _refuse(folder, "it belongs to another user")
    if info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        _refuse(folder, "others can write to it")


def _refuse(folder: Path, reason: str) -> None:
    hint = f"make it private (chmod 700), or choose another with {ENVIRONMENT}=FOLDER, or {ENVIRONMENT}=off"
    raise ArchError(Diagnostic("R01", f"the cache of compiled kernels {folder} is refused: {reason}", hints=(hint,)))


def load(key: str) -> bytes | None:
    """The object file of an entry; None where there is none or where it is damaged."""
    folder = cache_folder()
    if folder is None:
        return None
    try:
        data = (folder / f"{key}.o").read_bytes()
    except OSError:
        return None
    checksum, code = data[:32], data[32:]
    return code if hashlib.sha256(key.encode() + code).digest() == checksum else None


def save(key: str, code: bytes) -> None:
    """Adds an entry: written beside and renamed, so that no reader meets half of one. A full disk is no error."""
    folder = cache_folder()
    if folder is None:
        return
    try:
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=".new-")
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(key.encode() + code).digest() + code)
        os.replace(temporary, folder / f"{key}.o")
    except OSError:
        return
