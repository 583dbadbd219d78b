"""The report of a run: its curves and figures, several runs side by side, and records that are not what they should be."""

from __future__ import annotations

import itertools
import json
import math
import re
from pathlib import Path

import pytest

from archspec.cli import main
from archspec.diagnostics import ArchError
from archspec.viz.report import read_run, report

HOSTILE = "<script>alert(1)</script>\u202e\"'&"


def made(folder: Path, lr: float = 0.1, **more: object) -> Path:
    folder.mkdir()
    epochs = [
        {
            "epoch": k,
            "step": 10 * k,
            "train.loss": 10.0 ** (1 - k),
            "validation.loss": 2.0 / k,
            "validation.accuracy": 0.1 * k,
            "lr": lr,
        }
        for k in range(1, 6)
    ]
    final = {"final": True, "step": 50, "interrupted": False, "test.loss": 0.25, **more}
    (folder / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in [*epochs, final]))
    (folder / "settings.json").write_text(json.dumps({"settings": {"lr": lr, "H": 3}, "train": {"batch": 8}}))
    return folder


def points(text: str) -> list[list[tuple[float, float]]]:
    found = re.findall(r'points="([^"]*)"', text.replace('points="0,4 24,4"', ""))
    return [[tuple(map(float, p.split(","))) for p in line.split()] for line in found]  # type: ignore[misc]


def test_a_curve_for_each_figure_and_part(tmp_path: Path) -> None:
    text = report([read_run(made(tmp_path / "a"))])
    assert re.findall(r"<figcaption>(.*?)</figcaption>", text) == ["loss (logarithmic)", "accuracy", "learning rate"]
    assert [len(line) for line in points(text)] == [5, 5, 5, 5]
    assert ">0.25<" in text and ">50<" in text and ">done<" in text


def test_the_points_of_a_curve(tmp_path: Path) -> None:
    """Steps go from left to right at one distance, and so do orders of magnitude downwards."""
    first = points(report([read_run(made(tmp_path / "a"))]))[0]
    for axis in (0, 1):
        distances = [b[axis] - a[axis] for a, b in itertools.pairwise(first)]
        assert max(distances) - min(distances) < 0.3 and min(distances) > 0


def test_runs_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = made(tmp_path / "a"), made(tmp_path / "b", lr=0.2)
    assert main(["report", str(first), str(second), "-o", str(tmp_path / "both.html")]) == 0
    text = (tmp_path / "both.html").read_text()
    assert "<h1>a and b</h1>" in text and len(points(text)) == 8
    differing = text[text.index("Settings that differ") :]
    assert "settings.lr" in differing and "train.batch" not in differing and "settings.H" not in differing


def test_the_command_writes_beside_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(made(tmp_path / "a"))]) == 0
    assert capsys.readouterr().out == f"saved in {tmp_path / 'a' / 'report.html'}\n"


def test_a_run_that_was_cut_off(tmp_path: Path) -> None:
    folder = made(tmp_path / "a")
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    (folder / "metrics.jsonl").write_text("\n".join(lines[:3]))
    assert ">not finished<" in report([read_run(folder)])
    (folder / "metrics.jsonl").write_text("")
    assert ">not finished<" in report([read_run(folder)])


def test_no_script_and_nothing_from_outside(tmp_path: Path) -> None:
    folder = made(tmp_path / "a", **{f"test.{HOSTILE}": HOSTILE})
    record = {"epoch": 6, "step": 60, f"train.{HOSTILE}": 1.0}
    (folder / "metrics.jsonl").write_text((folder / "metrics.jsonl").read_text() + json.dumps(record) + "\n")
    text = report([read_run(folder)])
    assert "<script" not in text and "\u202e" not in text and "&lt;script&gt;" in text
    assert "script-src 'none'" in text and not re.search(r"\b(src|href|on\w+)\s*=", re.sub(r">[^<]*<", "><", text))


def test_values_that_are_no_numbers_are_left_out(tmp_path: Path) -> None:
    folder = made(tmp_path / "a")
    records = [{"step": k, "train.loss": v} for k, v in enumerate([1.0, math.nan, math.inf, "x", None, True, 2.0])]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    assert [len(line) for line in points(report([read_run(folder)]))] == [2]


@pytest.mark.parametrize("text", ["[1]\n", "{\n", "[" * 100_000 + "\n"])
def test_what_is_no_record_is_refused(tmp_path: Path, text: str) -> None:
    folder = made(tmp_path / "a")
    (folder / "metrics.jsonl").write_text(text)
    with pytest.raises(ArchError, match="does not hold the record of a run"):
        read_run(folder)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchError, match="cannot read"):
        read_run(tmp_path)
