"""A run's folder read back: what it learned from its data, specs with imports, and folders that are damaged."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import REPOSITORY
from trained_helpers import LAYERS, LEVEL, POOLED, alone, trained

import archspec
from archspec.data import Ragged
from archspec.data.kept import kept, restored
from archspec.diagnostics import ArchError
from archspec.trained.saved import open_run

SPECS = sorted(p for p in (REPOSITORY / "specs").glob("*.arch") if re.search(r"= (csv|conll|text|labelled)\(", p.read_text()))


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_what_was_learned_comes_back(path: Path) -> None:
    """A file read by the kept recipes gives what the training read."""
    dataset = archspec.load(path).data()
    again = restored(json.loads(json.dumps(kept(dataset))), dataset.dims, dataset.classes)
    file = next(iter(dataset.sources.values())).settings["path"]
    for name, values in again.apply(path.parent / str(file)).items():
        mine, own = dataset.field(name), again.field(name)
        assert (own.axes, own.of, own.recipe) == (mine.axes, mine.of, mine.recipe)
        if isinstance(values, Ragged):
            assert isinstance(mine.array, Ragged)
            np.testing.assert_array_equal(values.values, mine.array.values)
        elif len(values) == len(mine.array):  # windows are laid side by side in a new file
            np.testing.assert_array_equal(values, mine.array)


def test_a_run_needs_nothing_but_its_folder(tmp_path: Path) -> None:
    """Not the data, not the files that the spec imports from elsewhere, and no place."""
    run = trained(tmp_path / "spec", LAYERS)
    words = np.array([[1, 2, 3]])
    expected = run.program.forward(words=words)["z"]
    folder = alone(tmp_path / "spec").rename(tmp_path / "moved")
    saved = open_run(folder)
    np.testing.assert_array_equal(saved.program(saved.stages()).forward(words=words)["z"], expected)


def test_settings_that_were_given_count(tmp_path: Path) -> None:
    (tmp_path / "spec").mkdir()
    trained(tmp_path / "spec" / "in", POOLED)
    spec = archspec.load(tmp_path / "spec" / "in" / "spec.arch", set={"H": 5})
    run = archspec.run(spec, out=tmp_path / "wide")
    saved = open_run(tmp_path / "wide")
    assert saved.program(saved.stages()).weights["judge/v"].shape == run.program.weights["judge/v"].shape == (5,)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("parts") / "spec"
    trained(folder, LEVEL)
    run = alone(folder)
    return run, {name: json.loads((run / name).read_text()) for name in ("settings.json", "data.json")}


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_damaged_records_are_refused(parts: tuple[Path, dict[str, Any]], data: st.DataObject) -> None:
    """Whatever stands in a place of the record: a message, or a run, and nothing else."""
    run, records = parts
    name = data.draw(st.sampled_from(sorted(records)))
    record = copy.deepcopy(records[name])
    inner, key = _place(record, data)
    inner[key] = data.draw(st.sampled_from([None, 3, -1, 1e400, "x", [], {}, ["a"], {"numbers": []}, True, "log", [[1.0]]]))
    try:
        (run / name).write_text(json.dumps(record))
        try:
            saved = open_run(run)
            saved.stages()
            saved.data.apply_table("hour,sky,level\n3,rain,1\n", ["x"])
        except ArchError as error:
            assert str(error)
    finally:
        (run / name).write_text(json.dumps(records[name]))


def _place(record: Any, data: st.DataObject) -> tuple[Any, Any]:
    inner, path = record, []
    while True:
        key = data.draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
        path.append((inner, key))
        inner = inner[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            return path[-1]


@pytest.mark.parametrize("name", ["spec.arch", "settings.json", "data.json", "weights.safetensors"])
def test_files_that_are_no_such_files(tmp_path: Path, parts: tuple[Path, dict[str, Any]], name: str) -> None:
    run, _ = parts
    for other in run.iterdir():
        (tmp_path / other.name).write_bytes(other.read_bytes())
    (tmp_path / name).write_bytes(b"\xff{[")
    with pytest.raises(ArchError):
        saved = open_run(tmp_path)
        saved.program(saved.stages())


FLAT = """
dim B, T, V
model after(ids[B,T]: V) -> z[B,V] {
  z = flatten[T,V](one_hot(ids)) |> linear(V)
}
data {
  source = text("reviews.txt")
  ids[B,T]: V, next[B,T]: V = source |> chars |> windows(3)
}
train {
  loss = mean(z^2)
  steps = 2
}
"""


def test_a_model_that_needs_its_length_keeps_it(tmp_path: Path) -> None:
    """`windows` cuts texts to one length; a weight over that axis cannot do with another."""
    trained(tmp_path / "spec", FLAT)
    saved = open_run(tmp_path / "spec" / "run")
    program = saved.program(saved.stages())
    assert program.forward(ids=np.array([[1, 2, 3]]))["z"].shape[0] == 1
    with pytest.raises(ArchError, match="has 3 along T and is given 2"):
        program.forward(ids=np.array([[1, 2]]))


def test_a_language_model_reads_texts_of_any_length(tmp_path: Path) -> None:
    text = FLAT.replace("z[B,V]", "z[B,T,V]").replace("flatten[T,V](one_hot(ids)) |> linear(V)", "ids |> embed(V)")
    trained(tmp_path / "spec", text.replace("mean(z^2)", "cross_entropy(z, next)"))
    saved = open_run(tmp_path / "spec" / "run")
    assert saved.program(saved.stages()).forward(ids=np.array([[1, 2, 3, 4, 5]]))["z"].shape[1] == 5
