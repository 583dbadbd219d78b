"""Watched tensors of trained models: their values, what stands at their places, and every form that they are shown in."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from trained_helpers import LAYERS, POOLED, READER, alone, trained

from archspec.cli import main
from archspec.diagnostics import ArchError
from archspec.viz.heatmap import SPACIOUS, picture_svg, watched

HOSTILE = "<script>alert(1)</script>\u202e\"'&"


@pytest.fixture(scope="module")
def pooled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pooled") / "spec"
    trained(folder, POOLED)
    return alone(folder)


@pytest.fixture(scope="module")
def layered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layered") / "spec"
    trained(folder, LAYERS)
    return alone(folder)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reader") / "spec"
    trained(folder, READER)
    return alone(folder)


def seen(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[dict]:
    assert main(["watch", *map(str, arguments), "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def softmax(x: np.ndarray) -> np.ndarray:
    raised = np.exp(x - x.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def test_attention_that_pools_a_sentence(pooled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its weights lie over the words, and are those of NumPy on the run's own weights."""
    found = seen(capsys, pooled, "--input", "the tea was good")[0]
    (tensor,) = found["tensors"]
    (one,) = tensor["maps"]
    assert tensor["name"] == "s" and tensor["shape"] == "[B, T]"
    assert one["columns"] == ["the", "tea", "was", "good"] and one["rows"] == [""]
    np.testing.assert_allclose(np.sum(one["values"]), 1, atol=1e-6)
    states = np.array(
        seen(capsys, pooled, "--input", "the tea was good", "--tensor", "h")[0]["tensors"][0]["maps"][0]["values"]
    )
    v = saved_weights(pooled)["judge/v"]
    np.testing.assert_allclose(one["values"][0], softmax(states @ v), atol=1e-6)


def saved_weights(run: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(run / "weights.safetensors")


def test_every_head_of_every_layer(layered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = seen(capsys, layered, "--input", "it was good")[0]
    names = [tensor["name"] for tensor in found["tensors"]]
    assert names == [f"judge/h/{k}/layer_of/attend/a" for k in (0, 1)] + ["e"]
    for tensor in found["tensors"][:2]:
        assert [m["title"] for m in tensor["maps"]] == ["head 1", "head 2"]
        for one in tensor["maps"]:
            assert one["rows"] == one["columns"] == ["it", "was", "good"]
            np.testing.assert_allclose(np.sum(one["values"], axis=1), 1, atol=1e-6)


def test_self_attention_is_that_of_numpy(layered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    w = saved_weights(layered)
    found = seen(capsys, layered, "--input", "it was good")[0]["tensors"]
    e = np.array(found[2]["maps"][0]["values"])
    q, k = (e @ w[f"judge/h/0/layer_of/attend/{n}/W"] + w[f"judge/h/0/layer_of/attend/{n}/b"] for n in "QK")
    for head in range(2):
        part = slice(2 * head, 2 * head + 2)
        expected = softmax(q[:, part] @ k[:, part].T / np.sqrt(2))
        np.testing.assert_allclose(found[0]["maps"][head]["values"], expected, atol=1e-5)


def test_attention_inside_of_a_recurrence(reader: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the answer given, and with one that the model gives itself."""
    given = seen(capsys, reader, "--input", "letters=one", "--input", "digits=42")[0]["tensors"][0]["maps"][0]
    assert given["columns"] == list("one") and given["rows"] == ["→ 4", "→ 2", "→ <end>"]
    np.testing.assert_allclose(np.sum(given["values"], axis=1), 1, atol=1e-6)
    said = seen(capsys, reader, "--input", "one")[0]
    assert said["notes"][0].startswith("`digits` is what the model says: ")
    assert said["tensors"][0]["maps"][0]["columns"] == list("one")


def test_what_the_model_says_is_its_likeliest_entry(reader: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Giving the model its own answer gives the same weights."""
    own = seen(capsys, reader, "--input", "two")[0]
    text = own["notes"][0].rpartition(": ")[2].replace("nothing", "")
    rows = own["tensors"][0]["maps"][0]["rows"]
    again = seen(capsys, reader, "--input", "letters=two", "--input", f"digits={text}")[0]["tensors"][0]["maps"][0]
    count = min(len(rows), len(again["rows"]))
    np.testing.assert_allclose(own["tensors"][0]["maps"][0]["values"][:count], again["values"][:count], atol=1e-6)


def test_unknown_words_are_said_to_be(pooled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = seen(capsys, pooled, "--input", "the xylophone")[0]
    assert "read as <unknown>" in found["notes"][0] and "`xylophone`" in found["notes"][0]
    assert found["tensors"][0]["maps"][0]["columns"] == ["the", "xylophone"]


def test_letters_without_an_entry_are_refused(reader: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", str(reader), "--input", "ßß"]) == 4
    assert "`ß` did not occur in training" in capsys.readouterr().err


def test_text_for_a_terminal(layered: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert main(["watch", str(layered), "--input", "it was not good , really good"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "it was not good , really good" and "\x1b" not in "".join(lines)
    assert max(len(line) for line in lines[1:] if "/" not in line and " to " not in line) <= 40
    assert sum("head 1" in line for line in lines) == 2


@pytest.mark.parametrize("suffix", [".svg", ".html"])
def test_nothing_that_is_given_becomes_markup(pooled: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"seen{suffix}"
    assert main(["watch", str(pooled), "--input", f"the {HOSTILE} food", "-o", str(path)]) == 0
    text = path.read_text()
    assert "<script" not in text and "\u202e" not in text and "&lt;script&gt;" in text
    assert not re.search(r"\b(src|href|on\w+)\s*=", re.sub(r">[^<]*<", "><", text))
    assert text.count("<svg") == text.count("</svg>") == 1


def test_a_file_of_rows(pooled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The labels of the file are not needed to look, its texts are read as in training."""
    (tmp_path / "new.txt").write_text("good the tea\nbad tea was bad\n")
    found = seen(capsys, pooled, "--data", tmp_path / "new.txt")
    assert [f["tensors"][0]["maps"][0]["columns"] for f in found] == [["the", "tea"], ["tea", "was", "bad"]]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "nothing is given to look at"),
        (["--input", ""], "holds no words"),
        (["--input", "a", "--tensor", "*/atend/a"], 'no tensor matches "*/atend/a"'),
        (["--input", "a", "-o", "x.png"], "`.png` is not a format"),
        (["--data", "absent.txt"], "there is no file `absent.txt`"),
    ],
)
def test_mistakes(pooled: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str) -> None:
    assert main(["watch", str(pooled), *arguments]) != 0
    assert expected in capsys.readouterr().err


def test_a_folder_without_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", str(tmp_path), "--input", "a"]) == 1
    assert "name the folder that `archspec run` made" in capsys.readouterr().err


def test_axes_beyond_two_are_maps() -> None:
    values = np.arange(24.0).reshape(2, 3, 2, 2)
    shown = watched("x", ("M", "N", "I", "J"), "[B, M, N, I, J]", values, {}, {})
    assert [m.title for m in shown.maps] == [f"M {m}, N {n}" for m in (1, 2) for n in (1, 2, 3)]
    assert shown.maps[4].values == ((16.0, 17.0), (18.0, 19.0))
    assert (shown.low, shown.high) == (0, 23)


def test_the_colour_of_a_cell_is_its_share_of_the_largest() -> None:
    shown = watched("x", ("I", "J"), "", np.array([[0.0, 0.5], [-1.0, 0.25]]), {}, {})
    cells = re.findall(r'<rect class="(\w+)" x="(\d+)" y="(\d+)"[^>]*fill-opacity="([\d.]+)"', picture_svg(shown))
    assert [(c, float(o)) for c, _, _, o in cells] == [("warm", 0), ("warm", 0.5), ("cold", 1), ("warm", 0.25)]


def test_maps_of_many_places_stay_small() -> None:
    """Twelve heads over 256 words come to some ten bytes a cell."""
    many = np.random.default_rng(0).random((12, 256, 256))
    text = picture_svg(watched("a", ("N", "T", "T"), "", many, {"T": ("word",) * 256}, {}))
    assert len(text) < 20 * many.size
    assert SPACIOUS < 256


def test_values_that_are_not_finite_are_drawn() -> None:
    text = picture_svg(watched("x", ("I",), "", np.array([np.nan, np.inf, -np.inf]), {}, {}))
    assert "nan" not in text and "inf" not in text


def test_watch_needs_names_that_exist() -> None:
    import archspec

    spec = archspec.loads(POOLED.replace("watch = [s]", 'watch = ["*/nothing"]'))
    with pytest.raises(ArchError, match="no tensor matches"):
        spec.stages()
