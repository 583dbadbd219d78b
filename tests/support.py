"""What tests of the whole program share: the repository, the environment of its command, the folder of real data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def command_environment() -> dict[str, str]:
    """The environment in which `python -m archspec` is this archspec, whatever the folder."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "100", "TERM": "dumb"}


def real_data(name: str) -> Path:
    """A file or folder of real data; the test is skipped where it is absent. ARCHSPEC_TEST_DATA says where to look."""
    folder = Path(os.environ.get("ARCHSPEC_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / name).exists():
        pytest.skip(f"no {name} in {folder}; ARCHSPEC_TEST_DATA names another folder")
    return folder / name
