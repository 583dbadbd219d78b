"""Format, lint and types, so that one command checks everything."""

import subprocess
import sys

import pytest
from support import REPOSITORY


@pytest.mark.parametrize("command", ["ruff format --check .", "ruff check .", "mypy"])
def test_style(command):
    process = subprocess.run(
        [sys.executable, "-m", *command.split()], cwd=REPOSITORY, capture_output=True, text=True, timeout=600, check=False
    )
    assert process.returncode == 0, process.stdout + process.stderr
