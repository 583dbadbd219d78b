"""Makes the modules of tests/ importable from every folder of tests, and gives them the command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support import REPOSITORY, command_environment

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def archspec() -> Command:
    """`archspec(*arguments, cwd=…, NAME=value …)` runs the command in a process of its own, with more environment."""

    def run(*arguments: object, cwd: Path = REPOSITORY, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "archspec", *map(str, arguments)]
        env = command_environment() | environment
        return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False)

    return run
