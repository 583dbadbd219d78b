"""What a run looks at once it is trained: confusions and largest losses against plain counting, watched tensors, the report."""

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
from trained_helpers import LEVEL, POOLED, READER, REVIEWS, alone, trained

import archspec
from archspec.cli import main
from archspec.data.readable import cells, picture
from archspec.diagnostics import ArchError
from archspec.viz.report import read_run, report

HOSTILE = "<script>alert(1)</script>\u202e\"'&"
TAGGED = """
let H = 3
dim B, T?, V, K
model tag(words[B,T]: V) -> z[B,T,K] {
  z = words |> embed(H) |> linear(K)
}
data {
  source = conll("tags.conll", columns=["form", "tag"])
  words[B,T]: V = source["form"] |> words
  tags[B,T]: K = source["tag"]
  split = tail(test=0.5)
}
train {
  loss = cross_entropy(z, tags)
  batch = 4
  epochs = 2
}
"""


def record(run: archspec.Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.folder / "examples.json").read_text())
    return found


def test_confusions_and_losses_are_those_of_the_program(tmp_path: Path) -> None:
    run = trained(tmp_path / "spec", POOLED)
    data = archspec.load(tmp_path / "spec" / "spec.arch").data()
    found, names, rows = record(run), data.classes["K"], data.parts["test"]
    counts = np.zeros((2, 2), int)
    losses = {}
    for row in rows.tolist():
        words, y = data.field("words").array.row(row)[None], data.field("y").array[[row]]
        counts[y[0], run.program.forward(words=words)["z"].argmax()] += 1
        losses[row + 1] = run.program.loss(words=words, y=y)
    assert found["part"] == "test" and found["confusion"] == {"labels": list(names), "counts": counts.tolist()}
    assert [w["loss"] for w in found["worst"]] == sorted(losses.values(), reverse=True)[:12]
    texts = [line.split(" ", 1) for line in REVIEWS.splitlines()]
    for worst in found["worst"]:
        assert losses[worst["row"]] == worst["loss"]
        label, text = texts[worst["row"] - 1]
        assert worst["actual"]["labels"] == [label] and worst["inputs"][0]["entries"] == text.split()
    assert [s["tensors"][0]["name"] for s in found["watched"]] == ["s"] * 3


def test_labels_along_rows_of_different_lengths(tmp_path: Path) -> None:
    """What lies past the end of a row is not counted."""
    folder = tmp_path / "spec"
    folder.mkdir()
    sentences = ["a x\nb y\n", "c x\n", "a x\nb y\nc x\nd y\n", "d y\nd y\nb y\n"] * 2
    (folder / "tags.conll").write_text("\n".join(sentences))
    (folder / "spec.arch").write_text(TAGGED)
    found = record(archspec.run(folder / "spec.arch", out=folder / "run"))
    assert np.sum(found["confusion"]["counts"]) == 2 + 1 + 4 + 3
    assert np.sum(found["confusion"]["counts"], axis=1).tolist() == [4, 6]
    page = (folder / "run" / "report.html").read_text()
    assert 'class="words"' in page


def test_the_norm_of_the_gradient(tmp_path: Path) -> None:
    """With clipping the norm that it works out, without the same from the gradient; the weights keep their bits."""
    clipped = trained(tmp_path / "a", POOLED.replace("steps = 4", "steps = 4\n  clip = norm(1e6)"))
    plain = trained(tmp_path / "b", POOLED)
    mine, theirs = ([r["gradient_norm"] for r in run.history] for run in (plain, clipped))
    np.testing.assert_allclose(mine, theirs, rtol=1e-5)
    assert min(mine) > 0
    data = archspec.load(tmp_path / "b" / "spec.arch").data()
    words = [data.field("words").array.row(r) for r in range(4)]
    _, gradient = plain.program.gradient(words=words, y=data.field("y").array[:4])
    expected = np.sqrt(sum(np.sum(g.astype(np.float64) ** 2) for g in gradient.values()))
    np.testing.assert_allclose(plain.program.gradient_norm(), expected, rtol=1e-12)


def test_numbers_and_tables(tmp_path: Path) -> None:
    """Rows as they stand in the file, though the model saw them standardised."""
    found = record(trained(tmp_path / "spec", LEVEL))
    for worst in found["worst"]:
        hour = worst["row"] - 1
        named = dict(worst["inputs"][0]["cells"])
        assert round(named["hour"], 9) == hour and named["sky"] == ("calm", "rain")[hour % 2]
        assert round(dict(worst["actual"]["cells"])["level"], 6) == 100 + 20 * hour


def test_steps_are_undone() -> None:
    text = """
    dim B, F
    model m(x[B,F]) -> z[B] { z = sum[F](x) }
    data {
      s = csv("tides.csv")
      x[B,F] = concat(s["hour"] + 1 |> log, 3 - s["level"] / 7 |> minmax, one_hot(s["sky"]), s["level"] |> sqrt, -s["hour"])
    }
    """
    folder = Path(__file__).parent
    rows = "hour,sky,level\n0,a,7\n3,b,9\n5,c,100\n"
    data = _data(text, rows)
    for k, (hour, sky, level) in enumerate([(0, "a", 7), (3, "b", 9), (5, "c", 100)]):
        found = cells(data.field("x").recipe, data.field("x").array[k])
        assert [name for name, _ in found] == ["hour", "level", "sky", "level", "hour"]
        np.testing.assert_allclose([v for _, v in found if not isinstance(v, str)], [hour, level, level, hour], atol=1e-9)
        assert found[2] == ("sky", sky)
    assert folder.is_dir()


def _data(text: str, rows: str) -> Any:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tides.csv").write_text(rows)
        return archspec.loads(text, folder=folder).data()


def test_numbered_columns_of_a_square_are_a_picture() -> None:
    text = 'dim B, F\nmodel m(x[B,F]) -> z[B] { z = sum[F](x) }\ndata { s = csv("tides.csv")\n x[B,F] = s["p*"] }\n'
    rows = ",".join(f"p{k}" for k in range(25)) + "\n" + ",".join(map(str, range(25))) + "\n"
    field = _data(text, rows).field("x")
    found = picture(field.recipe, field.array[0])
    assert found is not None and found.tolist() == np.arange(25.0).reshape(5, 5).tolist()
    other = _data(text, rows.replace("p7", "pq")).field("x")
    assert picture(other.recipe, other.array[0]) is None


def test_sequences_and_a_hostile_vocabulary(tmp_path: Path) -> None:
    run = trained(tmp_path / "spec", READER)
    folder = alone(tmp_path / "spec")
    found = record(run)
    for inner in (found["worst"][0]["inputs"][0], found["watched"][0]):
        inner["name" if "name" in inner else "input"] = HOSTILE
    found["worst"][0]["inputs"][0]["entries"][0] = found["worst"][0]["predicted"]["labels"][0] = HOSTILE
    found["watched"][0]["tensors"][0]["maps"][0]["columns"][0] = HOSTILE
    found["confusion"]["labels"][0] = HOSTILE
    (folder / "examples.json").write_text(json.dumps(found))
    assert main(["report", str(folder)]) == 0
    text = (folder / "report.html").read_text()
    assert "<script" not in text and "\u202e" not in text and text.count("&lt;script&gt;") >= 4
    assert not re.search(r"\b(src|href|on\w+)\s*=", re.sub(r">[^<]*<", "><", text))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("whole") / "spec"
    run = trained(folder, POOLED)
    return run.folder, record(run)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_damaged_examples_are_refused(whole: tuple[Path, dict[str, Any]], data: st.DataObject) -> None:
    folder, found = whole
    changed = copy.deepcopy(found)
    inner: Any = changed
    while True:
        key = data.draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
        if not isinstance(inner[key], dict | list) or not inner[key] or data.draw(st.booleans()):
            break
        inner = inner[key]
    inner[key] = data.draw(st.sampled_from([None, -1, 1e400, "x", [], {}, [[1]], [None], True, [[[]]], HOSTILE]))
    (folder / "examples.json").write_text(json.dumps(changed))
    try:
        assert "<script" not in report([read_run(folder)])
    except ArchError as error:
        assert "examples" in str(error)
    finally:
        (folder / "examples.json").write_text(json.dumps(found))


def test_several_runs_show_what_each_confuses(whole: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = whole
    text = report([read_run(folder), read_run(folder)])
    assert text.count('class="confusion"') == 2 and "Largest losses" not in text
