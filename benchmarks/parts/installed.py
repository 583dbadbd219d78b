"""The bytes that a library and all that it needs take once installed. Compilers that it calls are not counted."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path
from typing import Any

from peers.crew import NEEDS

import archspec
from parts.options import Options
from parts.tables import mebibytes, table

# What pyproject.toml asks for, where archspec is not installed but run from its folder.
ARCHSPEC_NEEDS = ("numba", "numpy", "lark", "networkx", "safetensors")


def measure(options: Options) -> dict[str, Any]:
    found = {}
    for library in dict.fromkeys(NEEDS[peer] for peer in options.peers):
        names = needed(ARCHSPEC_NEEDS if library == "archspec" else (library,))
        own = {"archspec": folder_bytes(Path(archspec.__file__).parent)} if library == "archspec" else {}
        found[library] = {**own, **{name: distribution_bytes(name) for name in sorted(names)}}
    return found


def needed(names: tuple[str, ...]) -> set[str]:
    """Installed distributions that these need, and they themselves; extras are left out."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        try:
            requirements = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        if name not in found:
            found.add(name)
            waiting += [re.split(r"[^\w.-]", r, maxsplit=1)[0].lower() for r in requirements if "extra ==" not in r]
    return found


def distribution_bytes(name: str) -> int:
    paths = [Path(str(file.locate())) for file in metadata.files(name) or []]
    return sum(path.stat().st_size for path in paths if path.is_file() and path.suffix != ".pyc")


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")


def show(found: dict[str, Any], options: Options) -> str:
    rows = []
    for library, parts in found.items():
        largest = sorted(parts, key=lambda name: -parts[name])[:3]
        of_it = ", ".join(f"{name} {mebibytes(parts[name])}" for name in largest)
        rows.append([library, mebibytes(sum(parts.values())), of_it])
    return table("Installed, with all that it needs, MiB", ["", "size", "of it"], rows)
