"""The command: what it prints where, its exit codes, and the folder that a run leaves."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.numpy import load_file
from support import REPOSITORY, command_environment

import archspec as package
from archspec.cli import main

COMMAND = (sys.executable, "-m", "archspec")
DIGITS = REPOSITORY / "specs" / "digits.arch"
FILES = {"spec.arch", "settings.json", "data.json", "metrics.jsonl", "weights.safetensors", "examples.json", "report.html"}
SMALL = """
let H = 4, steps = 3, lr = 1e-2
dim B, F, K
model small(x[B,F]) -> z[B,K] {
  z = x |> linear(H) |> tanh |> linear(K)
}
data {
  source  = csv("small.csv")
  x[B,F]  = source["a", "b"]
  y[B]: K = source["kind"]
  split   = holdout(test=0.25)
}
train {
  loss    = cross_entropy(z, y)
  metrics = [accuracy(z, y)]
  optimizer = adam(lr=lr)
  batch   = 4
  steps   = steps
}
"""
TABLE = "a,b,kind\n" + "".join(f"{i % 7},{i % 5},{'even' if i % 2 == 0 else 'odd'}\n" for i in range(20))


@pytest.fixture
def small(tmp_path):
    """A spec that trains in a moment, beside its data."""
    (tmp_path / "small.csv").write_text(TABLE)
    (tmp_path / "small.arch").write_text(SMALL)
    return tmp_path


def changed(folder, old, new):
    path = folder / "changed.arch"
    assert old in SMALL
    path.write_text(SMALL.replace(old, new))
    return path


# --- exit codes ------------------------------------------------------------------------------------------------------


def test_done(archspec, small):
    process = archspec("check", "small.arch", cwd=small)
    assert (process.returncode, process.stdout, process.stderr) == (0, "small.arch: no mistakes found\n", "")


def test_failed_while_running(archspec, small):
    process = archspec("run", "small.arch", "--set", "lr=1e38", "--set", "steps=50", "--out", "out", cwd=small)
    assert process.returncode == 1
    assert "error[R04]: step " in process.stderr and "not finite" in process.stderr
    assert not (small / "out" / "weights.safetensors").exists()


def test_what_is_not_finite_is_named(archspec, small):
    changed(small, "cross_entropy(z, y)", "mean(log(z - 100))")
    process = archspec("run", "changed.arch", cwd=small)
    assert process.returncode == 1
    assert process.stderr.splitlines()[-5:-3] == ["error[R04]: step 1: `train/loss` is not finite", "  --> changed.arch:14:13"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", "error[U01]: the following arguments are required"),
        ("rnu small.arch", "did you mean `run`?"),
        ("run", "error[U01]: the following arguments are required: spec"),
        ("run small.arch --precision f16", "error[U01]: argument --precision: invalid choice: 'f16'"),
        ("run small.arch --set H", "error[U01]: --set takes NAME=VALUE, not `H`"),
        ("run small.arch --threads 0.5", "error[U01]: argument --threads"),
        ("run small.arch --seed -1", "error[U03]: `seed` must be a whole number of at least 0"),
        ("run small.arch --threads 1000", "error[U03]: `threads` must be a whole number from 1 to 256"),
        ("check small.arch --set h=3", "error[U02]: the spec has no setting `h`"),
        ("check small.arch --model large", "error[U02]: the spec has no model `large`"),
        ("check small.arch --set H=0.5", "error[U02]: `H` is a whole number and cannot be set to 0.5"),
    ],
)
def test_usage(small, monkeypatch, capsys, arguments, expected):
    monkeypatch.chdir(small)
    assert main(arguments.split()) == 2
    output, messages = capsys.readouterr()
    assert output == "" and expected in messages


def test_the_process_ends_with_the_code(archspec):
    process = archspec("rnu")
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr.endswith("hint: did you mean `run`?\n")


@pytest.mark.parametrize("command", ["check", "run", "show"])
def test_mistakes_in_the_spec(archspec, small, command):
    changed(small, "linear(K)", "liner(K)")
    process = archspec(command, "changed.arch", cwd=small)
    assert (process.returncode, process.stdout) == (3, "")
    assert "error[S01]: unknown name `liner`" in process.stderr
    assert "changed.arch:5:33" in process.stderr


def test_syntax_errors_are_mistakes_in_the_spec(archspec, small):
    changed(small, "|> tanh", "|> |> tanh")
    assert archspec("check", "changed.arch", cwd=small).returncode == 3


@pytest.mark.parametrize(("old", "new"), [("small.csv", "smal.csv"), ('"a", "b"', '"a", "c"'), ('"a", "b"', '"a", "kind"')])
def test_mistakes_in_the_data(archspec, small, old, new):
    changed(small, old, new)
    process = archspec("run", "changed.arch", cwd=small)
    assert (process.returncode, process.stdout) == (4, "")
    assert "error[D" in process.stderr


def test_data_outside_of_the_folder_must_be_allowed(archspec, small):
    (small / "inner").mkdir()
    path = changed(small, "small.csv", "../small.csv").rename(small / "inner" / "spec.arch")
    refused = archspec("check", path, cwd=small)
    assert refused.returncode == 4
    assert "error[D11]" in refused.stderr and "--allow" in refused.stderr
    assert archspec("check", path, "--allow", small, cwd=small).returncode == 0


def test_a_closed_pipe_is_no_error(small):
    command = f"{sys.executable} -m archspec show small.arch --stage backward | head -1"
    process = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], cwd=small, env=command_environment(), capture_output=True, text=True
    )
    assert (process.returncode, process.stderr) == (0, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "small.arch", "--set", "H=\udcff"),
        ("predict", "run", "--input", "a=\udcff"),
        ("generate", "run", "--prompt", "\udcff"),
    ],
)
def test_arguments_that_are_no_text(small, monkeypatch, capsys, arguments):
    """A byte that is no UTF-8 reaches Python as half a character."""
    monkeypatch.chdir(small)
    assert main(arguments) == 2
    assert "\\udcff` is not UTF-8 text" in capsys.readouterr().err


def test_a_spec_whose_name_is_no_text(archspec, small):
    (small / "small.arch").rename(small / "\udcff.arch")
    process = archspec("run", "\udcff.arch", "--quiet", cwd=small)
    assert (process.returncode, process.stderr) == (0, "")
    assert json.loads((small / "runs/\\udcff/1/settings.json").read_text())["spec"] == "\\udcff.arch"


# --- what is printed where -------------------------------------------------------------------------------------------


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
@pytest.mark.parametrize("buffered", ["", "1"])
def test_output_that_cannot_be_written(small, buffered):
    environment = {**command_environment(), "PYTHONUNBUFFERED": buffered}
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "show", "small.arch"], cwd=small, env=environment, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert done.stderr == "error[R05]: cannot read or write the output: No space left on device\n"


@pytest.mark.parametrize("nobody_hears", ["2>&-", "2>/dev/full"])
def test_a_run_goes_on_where_nobody_can_hear_it(small, nobody_hears):
    line = f"{shlex.join(COMMAND)} run small.arch {nobody_hears}"
    done = subprocess.run(line, cwd=small, env=command_environment(), capture_output=True, text=True, shell=True)
    assert done.returncode == 0
    assert "saved in runs/small/1" in done.stdout


def test_the_result_goes_to_stdout_and_the_rest_to_stderr(archspec, small):
    process = archspec("run", "small.arch", "--out", "out", cwd=small)
    assert process.returncode == 0
    lines = process.stdout.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == ["train.loss", "train.accuracy", "test.loss", "test.accuracy"]
    assert lines[-1] == "saved in out"
    assert process.stderr.splitlines()[-1].startswith("epoch   1  train.loss ")


def test_quiet(archspec, small):
    process = archspec("run", "small.arch", "--out", "out", "--quiet", cwd=small)
    assert process.stderr == ""


def test_json(archspec, small):
    process = archspec("run", "small.arch", "--out", "out", "--json", "--quiet", cwd=small)
    result = json.loads(process.stdout)
    assert result["folder"] == "out"
    assert set(result["metrics"]) == {"train.loss", "train.accuracy", "test.loss", "test.accuracy"}


def test_compiling_is_announced_when_it_happens(archspec, small, tmp_path_factory):
    cache = str(tmp_path_factory.mktemp("cache") / "kernels")
    cold = archspec("run", "small.arch", "--out", "a", cwd=small, ARCHSPEC_CACHE=cache)
    warm = archspec("run", "small.arch", "--out", "b", cwd=small, ARCHSPEC_CACHE=cache)
    assert "compiling " in cold.stderr and "compiling " not in warm.stderr
    assert cold.stdout.replace("saved in a", "") == warm.stdout.replace("saved in b", "")


def test_no_color_changes_nothing(archspec, small):
    plain = archspec("check", "small.arch", cwd=small)
    assert archspec("check", "small.arch", cwd=small, NO_COLOR="1").stdout == plain.stdout
    assert "\033" not in plain.stdout + archspec("run", "small.arch", cwd=small).stderr


def test_set_replaces_a_let(archspec, small):
    process = archspec("show", "small.arch", "--set", "H=9", cwd=small)
    assert process.returncode == 0
    assert "parameters: 47" in process.stdout.splitlines()  # 2 * 9 + 9 and 9 * 2 + 2


def test_version(archspec):
    assert archspec("--version").stdout == f"archspec {package.__version__}\n"


# --- the folder of a run ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits_run(archspec, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    process = archspec("run", DIGITS, "--out", folder, "--seed", 3, "--threads", 2)
    assert process.returncode == 0, process.stderr
    return folder


def test_files(digits_run):
    assert {path.name for path in digits_run.iterdir()} == FILES
    assert (digits_run / "spec.arch").read_bytes() == DIGITS.read_bytes()
    settings = json.loads((digits_run / "settings.json").read_text())
    assert settings["settings"] == {"H": 100, "lr": 0.002}
    assert settings["dims"] == {"F": 64, "K": 10}
    assert settings["options"] == {"precision": "f32", "device": "cpu", "seed": 3}
    assert settings["data"] == {"train": 1348, "test": 449}
    assert settings["classes"] == {"K": list("0123456789")}
    *epochs, final = [json.loads(line) for line in (digits_run / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in epochs] == list(range(1, 41))
    assert final["final"] and not final["interrupted"] and final["step"] == 1720


def test_the_saved_weights_are_those_of_the_run(digits_run):
    """Loaded into a fresh program they give the figures that the run reported."""
    spec = package.load(DIGITS)
    data, program = spec.data(seed=3), spec.compile()
    saved = load_file(digits_run / "weights.safetensors")
    assert set(saved) == set(program.weights)
    for path, array in saved.items():
        program.weights[path] = array
    rows = data.parts["test"]
    x, y = (data.field(name).array[rows] for name in "xy")
    figures = program.figures(x=x, y=y)
    final = json.loads((digits_run / "metrics.jsonl").read_text().splitlines()[-1])
    assert figures["loss"] == pytest.approx(final["test.loss"], rel=1e-6)
    scores = program.forward(x=x)["z"]
    assert np.mean(scores.argmax(axis=1) == y) == pytest.approx(final["test.accuracy"], rel=1e-6)


def test_the_bits_do_not_hang_on_threads_or_folder(archspec, digits_run, tmp_path):
    for threads, folder in ((1, "one"), (3, "three")):
        archspec("run", DIGITS, "--out", tmp_path / folder, "--seed", 3, "--threads", threads, cwd=tmp_path, PYTHONHASHSEED="7")
        assert (tmp_path / folder / "weights.safetensors").read_bytes() == (digits_run / "weights.safetensors").read_bytes()
        last = (tmp_path / folder / "metrics.jsonl").read_text().splitlines()[-1]
        assert last == (digits_run / "metrics.jsonl").read_text().splitlines()[-1]


def test_another_seed_gives_other_weights(archspec, small):
    for seed in (0, 1):
        archspec("run", "small.arch", "--seed", seed, "--out", str(seed), cwd=small)
    first, second = (load_file(small / str(seed) / "weights.safetensors") for seed in (0, 1))
    assert not np.array_equal(first["small/z/linear/W"], second["small/z/linear/W"])


def test_nothing_is_overwritten(archspec, small):
    assert archspec("run", "small.arch", "--out", "out", cwd=small).returncode == 0
    before = {path.name: path.read_bytes() for path in (small / "out").iterdir()}
    second = archspec("run", "small.arch", "--out", "out", "--seed", "1", cwd=small)
    assert second.returncode == 1
    assert "error[R05]: out exists already" in second.stderr
    assert {path.name: path.read_bytes() for path in (small / "out").iterdir()} == before


def test_runs_are_numbered(archspec, small):
    folders = [archspec("run", "small.arch", cwd=small).stdout.splitlines()[-1] for _ in range(2)]
    assert folders == ["saved in runs/small/1", "saved in runs/small/2"]


def test_a_folder_that_cannot_be_made(archspec, small):
    process = archspec("run", "small.arch", "--out", "small.csv/out", cwd=small)
    assert process.returncode == 1
    assert "error[R05]: cannot make small.csv/out" in process.stderr


# --- interruption ------------------------------------------------------------------------------------------------------


def started(folder):
    """A run that would last for hours, once it has trained for an epoch."""
    command = [sys.executable, "-m", "archspec", "run", "small.arch", "--set", "steps=1000000000", "--out", "out"]
    process = subprocess.Popen(
        command, cwd=folder, env=command_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    metrics = folder / "out" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.exists() and metrics.stat().st_size):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_and_saved(small, number):
    process = started(small)
    process.send_signal(number)
    output, messages = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "ending after this step" in messages
    assert output.splitlines()[-1] == "saved in out"
    assert {path.name for path in (small / "out").iterdir()} == FILES - {"examples.json"}
    final = json.loads((small / "out" / "metrics.jsonl").read_text().splitlines()[-1])
    assert final["interrupted"] and final["step"] > 0
    assert all(np.isfinite(array).all() for array in load_file(small / "out" / "weights.safetensors").values())


def test_killed(small):
    """Nothing half-written is left behind."""
    process = started(small)
    process.kill()
    process.communicate(timeout=60)
    assert {path.name for path in (small / "out").iterdir()} == FILES - {"weights.safetensors", "examples.json", "report.html"}


# --- fmt -------------------------------------------------------------------------------------------------------------


def test_fmt(archspec, tmp_path):
    path = tmp_path / "model.arch"
    path.write_text("dim B,F\nmodel m( x[B , F] )->y[B,F] {\n y=x+1\n}\n")
    would = archspec("fmt", "--check", path)
    assert (would.returncode, would.stdout) == (1, f"{path}: would change\n")
    assert path.read_text().startswith("dim B,F\n")
    assert archspec("fmt", path).returncode == 0
    assert path.read_text() == "dim B, F\nmodel m(x[B,F]) -> y[B,F] {\n  y = x + 1\n}\n"
    again = archspec("fmt", "--check", path)
    assert (again.returncode, again.stdout) == (0, "")


def test_fmt_leaves_a_spec_with_mistakes_alone(archspec, tmp_path):
    path = tmp_path / "model.arch"
    path.write_text("dim B,\nmodel {")
    assert archspec("fmt", path).returncode == 3
    assert path.read_text() == "dim B,\nmodel {"
    assert os.listdir(tmp_path) == ["model.arch"]
