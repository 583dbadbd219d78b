"""How long a person waits for an answer. Limits are generous: machines that run tests are busy."""

import time

import pytest

LIMIT_SECONDS = 1.0


COMMANDS = (
    "check specs/digits.arch",
    "show specs/digits.arch",
    "show specs/digits.arch --stage plan",
    "fmt --check specs/digits.arch",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_an_answer_comes_at_once(archspec, command):
    best = min(seconds(archspec, command) for _ in range(3))
    assert best < LIMIT_SECONDS


def seconds(archspec, command):
    start = time.perf_counter()
    process = archspec(*command.split())
    assert process.returncode == 0, process.stderr
    return time.perf_counter() - start
