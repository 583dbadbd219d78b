"""What a trained model says about new texts and rows: against the program itself, and in the units of the file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from trained_helpers import LEVEL, POOLED, READER, TIDES, alone, trained

from archspec.cli import main


def predictions(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[dict]:
    assert main(["predict", *map(str, arguments), "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_labels_of_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trained(tmp_path / "spec", POOLED)
    found = predictions(capsys, alone(tmp_path / "spec"), "--input", "bad tea", "--input", "it was good")
    names = json.loads((run.folder / "settings.json").read_text())["classes"]
    for row, text in zip(found, ["bad tea", "it was good"], strict=True):
        words = np.array([[names["V"].index(w) for w in text.split()]])
        z = run.program.forward(words=words)["z"][0].astype(np.float64)
        shares = np.exp(z) / np.exp(z).sum()
        assert row["input"] == text and row["prediction"] == names["K"][int(z.argmax())]
        np.testing.assert_allclose([row["probabilities"][k] for k in names["K"]], shares, rtol=1e-6)


def test_numbers_in_the_units_of_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The level was standardised for the model; what is printed is a level again. Cells and files say the same."""
    run = trained(tmp_path / "spec", LEVEL)
    levels = 100 + 20 * np.arange(24)
    train = np.setdiff1d(np.arange(24), _test_rows(tmp_path / "spec"))
    x = np.stack([np.arange(24) / 10, np.arange(24) % 2 == 0, np.arange(24) % 2 == 1], axis=1).astype(float)
    x[:, 0] = (x[:, 0] - x[train, 0].mean()) / x[train, 0].std()
    z = run.program.forward(x=x.astype(np.float32))["z"]
    expected = z * levels[train].std() + levels[train].mean()
    folder = alone(tmp_path / "spec")
    (tmp_path / "new.csv").write_text("\n".join(",".join(line.split(",")[:2]) for line in TIDES.splitlines()) + "\n")
    found = [row["numbers"]["level"] for row in predictions(capsys, folder, "--data", tmp_path / "new.csv")]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    cells = predictions(capsys, folder, "--input", "hour=3", "--input", "sky=rain", "--input", "hour=4", "--input", "sky=calm")
    np.testing.assert_allclose([c["numbers"]["level"] for c in cells], expected[[3, 4]], rtol=1e-4)


def _test_rows(folder: Path) -> np.ndarray:
    import archspec

    return archspec.load(folder / "spec.arch").data().parts["test"]


def test_sequences_that_the_model_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained(tmp_path / "spec", READER)
    folder = alone(tmp_path / "spec")
    assert main(["predict", str(folder), "--input", "one", "--input", "two"]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == ["one", "two"] and all(set(line[1]) <= set("0123456") for line in lines)


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained(tmp_path / "spec", LEVEL)
    folder = str(alone(tmp_path / "spec"))
    for arguments, expected in (
        (["--input", "hour=3"], "has no column `sky`"),
        (["--input", "hours=3"], "did you mean `hour`?"),
        (["--input", "hour=x", "--input", "sky=rain"], "which is not a number"),
    ):
        assert main(["predict", folder, *arguments]) != 0
        assert expected in capsys.readouterr().err
