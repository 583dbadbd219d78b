"""The benchmark of training runs, and its specs are what their peers are said to be."""

import json
import subprocess
import sys

import pytest
from support import REPOSITORY, command_environment

BENCHMARKS = REPOSITORY / "benchmarks"


@pytest.fixture
def workloads(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from peers.workloads import WORKLOADS

    return WORKLOADS


@pytest.mark.parametrize("name", ["perceptron", "tiny", "lstm", "gpt", "cnn"])
def test_a_spec_has_no_mistakes_and_the_parameters_of_its_workload(archspec, workloads, tmp_path, name):
    from parts.folders import lay_out

    spec = lay_out(workloads[name], tmp_path)
    assert archspec("check", spec).returncode == 0
    shown = json.loads(archspec("show", spec, "--json").stdout)
    assert shown["parameters"]["value"] == workloads[name].parameters(workloads[name].sizes)


def test_it_measures_and_shows_again_what_it_has_measured(tmp_path):
    measured = train("--only", "perceptron", "--parts", "step,inference", "--json", str(tmp_path / "found.json"))
    assert "A training step" in measured and "A forward pass" in measured
    found = json.loads((tmp_path / "found.json").read_text())
    seconds = found["parts"]["step"]["found"]["perceptron"]["threads"]["1"]["archspec"]["seconds"]
    assert len(seconds) == 2 and min(seconds) > 0
    assert train("--show", str(tmp_path / "found.json")) == measured


def train(*arguments):
    quick = ["--peers", "archspec", "--threads", "1", "--rounds", "2", "--turn", "0.01"]
    command = [sys.executable, str(BENCHMARKS / "train.py"), *quick, *arguments]
    done = subprocess.run(command, env=command_environment(), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
