"""Sequences that a trained model says by itself: continuations of a prompt, answers of a decoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from archspec.data import Dataset, Field
from archspec.data.encode import END, START
from archspec.data.random import uniforms
from archspec.data.recipe import Encoded
from archspec.diagnostics import ArchError, Diagnostic, did_you_mean
from archspec.learning.decoding import KIND
from archspec.learning.recipes import RECIPES, count
from archspec.lower.generating import LONGEST, feeds
from archspec.lower.recipes import complete
from archspec.lower.values import Recipe
from archspec.pipeline import Stages
from archspec.records import record, replace
from archspec.runtime.program import Program
from archspec.trained.decoding import Beam, Floats, Indices, greedy, sampled, widened
from archspec.trained.examples import Example, entries_of, joined, read_text
from archspec.trained.speaker import Speaker, Told

SAMPLED, BEAM = ("temperature", "top_k", "top_p"), ("width", "penalty")
ARGUMENTS = (*SAMPLED, *BEAM)
USUAL_LENGTH = 200  # entries, where nobody says how many
BOUNDS = {
    "length": count(low=1, high=LONGEST),
    "samples": count(low=1, high=10_000),
    "seed": count(low=0, high=2**63 - 1),
}
Said = tuple[int, ...]


@record
class Wanted:
    """What is to be said. `rule` chooses each entry, `length` is the most that are added, `prompt` stands before them."""

    rule: Recipe
    length: int
    prompt: str | None = None
    samples: int = 1
    seed: int = 0

    @property
    def rows(self) -> int:
        """How many sequences are made: a beam gives the best of its own."""
        return 1 if self.rule.name == "beam" else self.samples


def wanted(stages: Stages, data: Dataset, changes: Mapping[str, Any], greedy: bool = False, **more: Any) -> Wanted:
    """What `generate` in the spec asks for, with `changes` to its rule's arguments: `temperature`, `top_k`, `top_p`,
    `width`, `penalty`. `more` are fields of `Wanted`; None leaves them.

    Where neither says a rule, an answer to other inputs is the likeliest one, and all else is drawn.
    """
    said = stages.lowered.generation
    name = _rule_of(changes, greedy)
    _check({**changes, **{n: more[n] for n in BOUNDS if more.get(n) is not None}})
    usual = "greedy" if told_inputs(stages, data) else "sample"
    rule = said.rule if said.rule is not None and name in (None, said.rule.name) else complete(KIND, name or usual)
    rule = replace(rule, arguments={**rule.arguments, **changes})
    longest = fed_field(stages, data).recipe.longest  # type: ignore[union-attr]
    made = Wanted(rule, said.length or longest or USUAL_LENGTH, said.prompt)
    return replace(made, **{name: value for name, value in more.items() if value is not None})


def _rule_of(changes: Mapping[str, Any], greedy: bool) -> str | None:
    """The decoding rule that arguments are those of; None where there are none."""
    drawn, beam = bool({*SAMPLED} & changes.keys()), bool({*BEAM} & changes.keys())
    if greedy + drawn + beam > 1:
        message = "the next entry is chosen in one way: as the likeliest, from a beam, or drawn"
        raise ArchError(Diagnostic("U01", message, hints=("leave out the arguments of the others",)))
    return "greedy" if greedy else "beam" if beam else "sample" if drawn else None


def _check(given: Mapping[str, Any]) -> None:
    """Raises ArchError where a number is outside of its bounds."""
    known = {**RECIPES[KIND, "sample"].parameters, **RECIPES[KIND, "beam"].parameters, **BOUNDS}
    for name, value in given.items():
        if name not in known:
            hints = did_you_mean(name, ARGUMENTS)
            raise ArchError(Diagnostic("U01", f"no decoding rule has an argument `{name}`", hints=hints))
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        refusal = known[name].refusal(value) if is_number else "a number"
        if refusal:
            raise ArchError(Diagnostic("U01", f"`{name}` must be {refusal}, not {value!r}"))


# --- who speaks --------------------------------------------------------------------------------------------------


def scores_result(stages: Stages) -> str:
    """The result that says what comes next. Raises ArchError where none does."""
    said = stages.lowered.generation
    names = [said.result] if said.result is not None else [n for n in stages.lowered.results if feeds(stages.graph, n)]
    if not names:
        hint = "a model that does has an input such as ids[B,T]: V and a result z[B,T,V]"
        message = f"no result of `{stages.lowered.model}` says what comes next in one of its inputs"
        raise ArchError(Diagnostic("R09", message, hints=(hint,)))
    return names[0]


def fed_field(stages: Stages, data: Dataset) -> Field:
    """The field of the data that what is said is appended to. Raises ArchError where it was not trained on that."""
    names = feeds(stages.graph, scores_result(stages))
    for field in map(data.field, names):
        if isinstance(field.recipe, Encoded) and field.recipe.arrangement in ("windows", "shifted") and not field.recipe.output:
            return field
    message = f"`{names[0]}` was not trained on entries of which each is said by those before it"
    hint = "`windows` and `shifted` in `data` make the entries, and the same entries one place later"
    raise ArchError(Diagnostic("R09", message, hints=(hint,)))


def speaker_of(program: Program, stages: Stages, data: Dataset) -> Speaker:
    field, graph = fed_field(stages, data), stages.graph
    recipe = field.recipe
    assert isinstance(recipe, Encoded)
    axis = graph.nodes[graph.inputs[field.name]].axes[1]
    size = graph.size(axis)
    window = recipe.sizes[0] if recipe.arrangement == "windows" else None
    vocabulary = recipe.vocabulary
    return Speaker(program, scores_result(stages), field, vocabulary, axis.ragged, size or window, size is not None)


def told_inputs(stages: Stages, data: Dataset) -> list[str]:
    """The inputs that a person gives: all but the one that the model says."""
    own = fed_field(stages, data).name
    return [name for name in stages.lowered.inputs if name != own]


# --- speaking ------------------------------------------------------------------------------------------------------


@record(eq=False)
class Beginning:
    """The entries that stand before what is said, at least one; the first `unseen` are no part of the text."""

    entries: Indices
    unseen: int
    notes: tuple[str, ...] = ()


def beginning(speaker: Speaker, prompt: str | None) -> Beginning:
    """A prompt as the model is told it; without one a text begins with a new line."""
    marks = np.array(speaker.begin, np.int64)
    if prompt:
        plain = replace(speaker.field, recipe=replace(speaker.field.recipe, arrangement="", longest=None))
        read = read_text(plain, prompt)
        return Beginning(np.concatenate([marks, read.arrays[speaker.field.name][0]]), len(marks), read.notes)
    if not len(marks):
        if "\n" not in speaker.vocabulary:
            hints = ('--prompt "…"', 'generate { prompt = "…" }')
            raise ArchError(Diagnostic("U01", "there is nothing to begin with", hints=hints))
        marks = np.array([speaker.vocabulary.index("\n")], np.int64)
    return Beginning(marks, len(marks))


def said(speaker: Speaker, given: Mapping[str, Any], start: Beginning, asked: Wanted) -> Iterator[tuple[int, int]]:
    """The entries that are added, each with the number of its sample, as they are said. A beam is said when it is whole."""
    told = speaker.listen(given, np.repeat(start.entries[None], asked.rows, axis=0))
    if asked.rule.name == "beam":
        yield from ((0, entry) for entry in _beam(speaker, told, asked)[len(start.entries) :])
        return
    alive = np.arange(asked.rows)
    for place in range(asked.length):
        chosen = _chosen(asked, told.scores, alive, place)
        yield from zip(alive.tolist(), chosen.tolist(), strict=True)
        goes_on = ~np.isin(chosen, speaker.stops)
        if not goes_on.any() or place == asked.length - 1:
            return
        told = speaker.hear(told, np.flatnonzero(goes_on), chosen[goes_on])
        alive = alive[goes_on]


def _chosen(asked: Wanted, scores: Floats, samples: Indices, place: int) -> Indices:
    if asked.rule.name == "greedy":
        return greedy(scores)
    draws = [uniforms(1, asked.seed, "generate", sample, place)[0] for sample in samples.tolist()]
    return sampled(scores, np.array(draws), asked.rule.arguments)


def _beam(speaker: Speaker, told: Told, asked: Wanted) -> Said:
    width, penalty = int(asked.rule.arguments["width"]), float(asked.rule.arguments["penalty"])
    beam = Beam(told.said, np.zeros(1))
    for _ in range(asked.length):
        beam, rows = widened(beam, told.scores, speaker.stops, width, penalty)
        if beam.is_over(width, penalty, told.said.shape[1] + asked.length):
            break
        told = speaker.hear(told, rows, beam.said[:, -1])
    return beam.best()


def whole(speaker: Speaker, given: Mapping[str, Any], start: Beginning, asked: Wanted) -> list[Said]:
    """All entries of each text, those of the prompt too."""
    made: list[list[int]] = [start.entries[start.unseen :].tolist() for _ in range(asked.rows)]
    for sample, entry in said(speaker, given, start, asked):
        made[sample].append(entry)
    return [tuple(entries) for entries in made]


def text_of(speaker: Speaker, entries: Sequence[int]) -> str:
    """The entries as a text, without the marks at its ends."""
    names = entries_of(speaker.field, np.array(entries, np.int64))
    return joined(speaker.field, [name for name in names if name not in (START, END)])


# --- answers ---------------------------------------------------------------------------------------------------------


def completed(program: Program, stages: Stages, data: Dataset, example: Example) -> Example:
    """The example with the input that it lacks: what the model says by itself, by the rule of the spec."""
    if all(name in example.arrays for name in stages.lowered.inputs):
        return example
    speaker, asked = speaker_of(program, stages, data), wanted(stages, data, {})
    [answer] = whole(speaker, example.arrays, beginning(speaker, None), asked)
    entries = (*speaker.begin, *answer)
    f, names = speaker.field, entries_of(speaker.field, np.array(entries, np.int64))
    note = f"`{f.name}` is what the model says: {text_of(speaker, entries) or 'nothing'}"
    return Example(
        example.title,
        {**example.arrays, f.name: np.array([entries[:-1]], np.int64)},
        {**example.labels, f.axes[1]: names[:-1]},
        {**example.said, f.axes[1]: names[1:]},
        (*example.notes, note),
    )
