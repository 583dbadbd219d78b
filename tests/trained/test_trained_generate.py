"""What a model says by itself: against the same model asked entry by entry in the plainest way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from trained_helpers import LEVEL, NUMBERS, READER, alone, trained

import archspec
from archspec import ArchError
from archspec.cli import main
from archspec.data.random import uniforms
from archspec.trained.decoding import sampled

TEXT = "the cat sat on the mat and the dog ate the hat of the cat\n" * 8
LETTERS = """
let D = 8, N = 2
dim B, T, V
model say(ids[B,T]: V) -> z[B,T,V] {
  h = (ids |> embed(D)) + sinusoid[T](D) |> encoder_block(N, p=0.1, causal=true)
  z = h |> linear(V)
}
data {
  source = text("text.txt")
  ids[B,T]: V, next[B,T]: V = source |> chars |> windows(12)
}
train {
  loss = cross_entropy(z, next)
  optimizer = adam(lr=1e-2)
  steps = 20
}
generate {
  next   = sample(z, temperature=0.7, top_k=5)
  prompt = "the "
  length = 30
}
"""
CARRIED = (
    LETTERS.replace("|> encoder_block(N, p=0.1, causal=true)", "|> carried")
    .replace(
        "model say",
        """block carried(x[B,T,D]) -> h[B,T,D] {
  weight U[D,D] ~ orthogonal
  over t in T carry {
    state h[B,D] = 0
    h[t] = tanh(x[t] + h[t-1] @ U)
  }
}
model say""",
    )
    .replace(" + sinusoid[T](D)", "")
)
FIXED = LETTERS.replace("sinusoid[T](D)", "places").replace("h = (ids", "weight places[T,D] ~ normal\n  h = (ids")
NAMES = """
let H = 6
dim B, T?, V
model name(ids[B,T]: V) -> z[B,T,V] { z = ids |> embed(H) |> gru(H) |> linear(V) }
data {
  source = csv("numbers.csv")
  ids[B,T]: V, next[B,T]: V = source["word"] |> chars |> shifted
}
train {
  loss = cross_entropy(z, next)
  optimizer = adam(lr=3e-2)
  steps = 30
}
"""


def saved(folder: Path, text: str) -> archspec.Run:
    folder.mkdir()
    (folder / "text.txt").write_text(TEXT)
    (folder / "numbers.csv").write_text(NUMBERS)
    run = archspec.run(archspec.loads(text, folder=folder), out=folder / "run")
    for path in (folder / "text.txt", folder / "numbers.csv"):
        path.unlink()
    return run


def names_of(run: archspec.Run) -> list[str]:
    return json.loads((run.folder / "settings.json").read_text())["classes"]["V"]


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> archspec.Run:
    return saved(tmp_path_factory.mktemp("letters") / "spec", LETTERS)


@pytest.mark.parametrize("text", [LETTERS, FIXED], ids=["open", "fixed"])
def test_the_likeliest_entry_from_the_last_ones_in_the_window(tmp_path: Path, text: str) -> None:
    run = saved(tmp_path / "spec", text)
    names, said = names_of(run), "the "
    for _ in range(30):
        ids = np.array([[names.index(c) for c in said[-12:]]])
        room = np.pad(ids, ((0, 0), (0, 12 - ids.shape[1])))  # places after the last one, which no causal model sees
        z = run.program.forward(ids=room)["z"][0, ids.shape[1] - 1]
        said += names[int(z.argmax())]
    assert archspec.open_run(run.folder).generate(greedy=True) == [said]


def test_draws_hang_on_seed_sample_and_place_alone(letters: archspec.Run) -> None:
    names = names_of(letters)
    for sample in (0, 2):
        said = "the "
        for place in range(30):
            ids = np.array([[names.index(c) for c in said[-12:]]])
            z = letters.program.forward(ids=np.pad(ids, ((0, 0), (0, 12 - ids.shape[1]))))["z"][0, ids.shape[1] - 1]
            draw = uniforms(1, 5, "generate", sample, place)
            rule = {"temperature": 0.7, "top_k": 5, "top_p": 1.0}
            said += names[int(sampled(z[None].astype(np.float64), draw, rule)[0])]
        run = archspec.open_run(letters.folder)
        assert run.generate(samples=3, seed=5)[sample] == said
        assert run.generate(samples=3, seed=5, threads=2)[sample] == said


def test_a_state_that_is_carried_remembers_everything(tmp_path: Path) -> None:
    run = saved(tmp_path / "spec", CARRIED)
    names, said = names_of(run), "the "
    for _ in range(30):
        ids = np.array([[names.index(c) for c in said]])
        said += names[
            int(
                archspec.open_run(run.folder)
                .program(archspec.open_run(run.folder).stages())
                .forward(ids=ids)["z"][0, -1]
                .argmax()
            )
        ]
    assert archspec.open_run(run.folder).generate(greedy=True) == [said]
    assert archspec.open_run(run.folder).generate(width=1, penalty=0.0) == [said]


def test_rows_end_where_the_model_ends_them(tmp_path: Path) -> None:
    run = saved(tmp_path / "spec", NAMES)
    names = names_of(run)
    program = run.program
    ids = [names.index("<start>")]
    while ids[-1] != names.index("<end>") and len(ids) <= 200:
        z = program.forward(ids=[np.array(ids)])["z"][0, -1]
        z[[names.index("<start>")]] = -np.inf
        ids.append(int(z.argmax()))
    opened = archspec.open_run(run.folder)
    assert opened.generate(greedy=True) == ["".join(names[k] for k in ids[1:-1])]
    many = opened.generate(samples=20, length=12)
    assert len(set(many)) > 3 and all(set(text) <= set("".join(names[1:])) and len(text) <= 12 for text in many)
    assert opened.generate(samples=20, length=12) == many
    assert [text[:2] for text in opened.generate("th", samples=4)] == ["th"] * 4


def test_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained(tmp_path / "spec", READER + "generate { next = beam(z, width=3) }\n")
    folder = alone(tmp_path / "spec")
    both = ["--input", "one", "--input", "two"]
    assert main(["generate", str(folder), *both]) == 0
    answers = capsys.readouterr().out.splitlines()
    assert len(answers) == 2 and all(set(answer) <= set("0123456") for answer in answers)
    assert main(["predict", str(folder), *both]) == 0
    assert [line.split("\t")[1] for line in capsys.readouterr().out.splitlines()] == answers
    assert archspec.open_run(folder).generate(inputs={"letters": "two"}) == [answers[1]]
    assert archspec.open_run(folder).generate(inputs={"letters": "two"}, samples=2, greedy=True)[0].isdigit()


def test_the_command(letters: archspec.Run, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(letters.folder)
    assert main(["generate", folder, "--length", "10", "--seed", "3"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("the ") and len(said.rstrip("\n")) <= 14
    assert main(["generate", folder, "--length", "10", "--seed", "3", "--samples", "2", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == {"text": said.removesuffix("\n"), "ended": False} and len(lines) == 2
    assert main(["generate", folder, "--prompt", "dog", "--greedy", "--length", "1"]) == 0
    assert capsys.readouterr().out.startswith("dog")


def test_mistakes(letters: archspec.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(letters.folder)
    for arguments, expected in (
        (["--prompt", "THE"], "`T` did not occur in training"),
        (["--temperature", "0"], "`temperature` must be above 0"),
        (["--temperature", "nan"], "`temperature` must be above 0"),
        (["--top-p", "1.5"], "`top_p` must be above 0 and at most 1"),
        (["--beam", "0"], "`width` must be at least 1"),
        (["--beam", "2", "--temperature", "0.5"], "chosen in one way"),
        (["--greedy", "--top-k", "2"], "chosen in one way"),
        (["--length", "0"], "`length` must be at least 1"),
        (["--samples", "-1"], "`samples` must be at least 1"),
        (["--seed", "-1"], "`seed` must be at least 0"),
        (["--input", "the"], "no input beside what it says"),
        (["--tempreature", "1"], "unrecognized arguments"),
    ):
        assert main(["generate", folder, *arguments]) != 0
        error = capsys.readouterr().err
        assert expected in error and "Traceback" not in error
    for rule, expected in (
        ({"heat": 3}, "no decoding rule has an argument `heat`"),
        ({"top_k": "3"}, "`top_k` must be a number"),
    ):
        with pytest.raises(ArchError, match=expected):
            archspec.open_run(folder).generate(**rule)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LETTERS.replace("causal=true", "causal=false"), "hangs on entries that come later"),
        (LEVEL.replace("tides.csv", "numbers.csv"), "no result of `level` says what comes next"),
    ],
    ids=["looks ahead", "no entries"],
)
def test_models_that_cannot_speak(tmp_path: Path, text: str, expected: str) -> None:
    if "level" in text:
        trained(tmp_path / "spec", LEVEL)
        folder = alone(tmp_path / "spec")
    else:
        folder = saved(tmp_path / "spec", text).folder
    with pytest.raises(ArchError, match=expected):
        archspec.open_run(folder).generate()
