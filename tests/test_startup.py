"""How long a person waits for an answer, in processor time against that of loading NumPy, which every answer needs:
machines that run tests are busy with other things."""

import os
import resource
import subprocess
import sys

import pytest

LIMIT = 5.0
REPEATS = 4
COMMANDS = {
    "check specs/digits.arch": LIMIT,
    "show specs/digits.arch": LIMIT,
    "show specs/digits.arch --stage plan": 2 * LIMIT,
    "show specs/digits.arch --stage gradient": LIMIT,
    "fmt --check specs/digits.arch": LIMIT,
    "viz specs/digits.arch --stage graph -o {folder}/digits.html": LIMIT,
}


@pytest.mark.parametrize(("command", "limit"), COMMANDS.items())
def test_an_answer_comes_at_once(archspec, tmp_path, command, limit):
    words = command.format(folder=tmp_path).split()
    assert min(ratio(archspec, words) for _ in range(REPEATS)) < limit


def ratio(archspec, words):
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    numpy = seconds(lambda: subprocess.run([sys.executable, "-c", "import numpy"], env=environment))
    return seconds(lambda: archspec(*words)) / numpy


def seconds(run):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert process.returncode == 0, process.stderr
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
