"""Examples for a trained model: texts and cells that a person gives, rows of a file, each as the inputs of one row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from archspec.data import Dataset, Field, Ragged
from archspec.data.encode import END, START, UNKNOWN
from archspec.data.problems import listed, quoted
from archspec.data.recipe import Encoded, Labels, columns_of, leaves
from archspec.data.tokens import tokenise
from archspec.diagnostics import ArchError, Diagnostic, did_you_mean
from archspec.records import field, record

MOST_TOKENS = 100_000


@record
class Example:
    """One row.

    title   how it is called
    arrays  its inputs, each with one row
    labels  what stands at each place of an axis
    said    the entry that is predicted at each place of an axis whose inputs are shifted
    notes   what a person should know about how it was read
    """

    title: str
    arrays: Mapping[str, Any]
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    said: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


# --- what a person gives -----------------------------------------------------------------------------------------


def given_examples(data: Dataset, inputs: Sequence[str], given: Sequence[str]) -> list[Example]:
    """The examples that `--input` gives: `TEXT`, or `NAME=TEXT` for one of several inputs, or `COLUMN=CELL`.

    A name that comes again begins the next example.
    """
    fields = [data.field(name) for name in inputs]
    texts = {f.name: f for f in fields if is_text(f)}
    columns = _columns(fields)
    examples: list[dict[str, str]] = []
    for text in given:
        name, value = _named(text, texts, columns)
        if not examples or name in examples[-1]:
            examples.append({})
        examples[-1][name] = value
    if all(name in texts for example in examples for name in example):
        return [_from_texts(texts, fields, example) for example in examples]
    return [_from_cells(data, fields, example) for example in examples]


def is_text(f: Field) -> bool:
    """Whether a field can be given as a text: one that was cut from text, or labels along the row."""
    return isinstance(f.recipe, Encoded) or (isinstance(f.recipe, Labels) and len(f.axes) == 2)


def _columns(fields: Iterable[Field]) -> list[str]:
    return list(dict.fromkeys(name for f in fields for leaf in leaves(f.recipe) for name in columns_of(leaf)))


def _named(text: str, texts: Mapping[str, Field], columns: Sequence[str]) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if equals and (name in texts or name in columns):
        return name, value
    if texts:
        return next(iter(texts)), text
    message = f"this model has no input of text, and `--input {text}` names none of its columns"
    raise ArchError(Diagnostic("U01", message, hints=did_you_mean(name, columns) or (_example_of(columns),)))


def _example_of(columns: Sequence[str]) -> str:
    shown = " ".join(f"--input {name}=…" for name in columns[:3])
    return f"such as {shown}{' …' if len(columns) > 3 else ''}"


def _from_texts(texts: Mapping[str, Field], fields: Sequence[Field], example: Mapping[str, str]) -> Example:
    for f in fields:
        if f.name not in example and shifts(f) != 0:
            hint = f'--input {f.name}="…"'
            raise ArchError(Diagnostic("U01", f"the input `{f.name}` is missing", hints=(hint,)))
    read = {name: read_text(texts[name], text) for name, text in example.items()}
    first = next(iter(example.values()))
    title = first if len(example) == 1 else "  ".join(f"{name}: {text}" for name, text in example.items())
    return Example(
        title,
        {name: r.arrays[name] for name, r in read.items()},
        {axis: labels for r in read.values() for axis, labels in r.labels.items()},
        {axis: labels for r in read.values() for axis, labels in r.said.items()},
        tuple(note for r in read.values() for note in r.notes),
    )


def read_text(f: Field, text: str) -> Example:
    """A text as one row of a field, cut as in training, but not into windows or pairs."""
    entries = _entries(f, text)
    first = shifts(f)
    before, after = [START] if first == 0 else [], [END] if first == 1 else []
    labels = (*before, *entries, *after)
    ids, notes = _looked_up(names_of(f), labels)
    said = {f.axes[1]: (*entries, END)} if before and len(f.axes) > 1 else {}
    if len(f.axes) == 1:
        if len(ids) != 1:
            raise ArchError(Diagnostic("U01", f"`{f.name}` takes one entry, and the text holds {len(ids)}"))
        return Example(text, {f.name: ids}, {}, {}, notes)
    return Example(text, {f.name: ids[None, :]}, {f.axes[1]: labels}, said, notes)


def _entries(f: Field, text: str) -> list[str]:
    recipe = f.recipe
    if not isinstance(recipe, Encoded):
        entries, noun = text.split(), "labels"
    else:
        cut, noun = tokenise((text,), recipe.tokenizer, dict(recipe.settings)), recipe.tokenizer
        entries = [cut.values[code] for code in cut.codes.tolist()][: recipe.longest]
    if (not entries and shifts(f) is None) or len(entries) > MOST_TOKENS:
        what = f"holds no {noun}" if not entries else f"holds more than {MOST_TOKENS:,} {noun}"
        raise ArchError(Diagnostic("U01", f"the text for `{f.name}` {what}"))
    return entries


def shifts(f: Field) -> int | None:
    """Of two fields that are `shifted`, which one this is: 0 begins with `<start>`, 1 ends with `<end>`."""
    return f.recipe.output if isinstance(f.recipe, Encoded) and f.recipe.arrangement == "shifted" else None


def names_of(f: Field) -> tuple[str, ...]:
    """What the indices of a field stand for."""
    return f.recipe.vocabulary if isinstance(f.recipe, Encoded) else f.recipe.classes if isinstance(f.recipe, Labels) else ()


def _looked_up(names: Sequence[str], entries: Sequence[str]) -> tuple[Any, tuple[str, ...]]:
    """The index of each entry; those that training has not seen are read as `<unknown>`, which is noted."""
    index = {name: k for k, name in enumerate(names)}
    strange = list(dict.fromkeys(entry for entry in entries if entry not in index))
    if strange and UNKNOWN not in index:
        message = f"{quoted(strange[0])} did not occur in training, and the vocabulary has no {quoted(UNKNOWN)}"
        raise ArchError(Diagnostic("D25", message, hints=did_you_mean(strange[0], index)))
    notes = (f"read as {UNKNOWN}, for training has not seen it: {listed(strange)}",) if strange else ()
    return np.array([index.get(entry, index.get(UNKNOWN, 0)) for entry in entries], np.int64), notes


def _from_cells(data: Dataset, fields: Sequence[Field], example: Mapping[str, str]) -> Example:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(example)
    writer.writerow(example.values())
    arrays = data.apply_table(text.getvalue(), [f.name for f in fields])
    title = ", ".join(f"{name}={value}" for name, value in example.items())
    return _row(fields, arrays, 0, title)


# --- rows --------------------------------------------------------------------------------------------------------


def file_examples(data: Dataset, inputs: Sequence[str], path: Path) -> Iterator[Example]:
    """The rows of a file that stands in for that of the training. Columns of what is predicted may be absent."""
    arrays = data.apply(path, available(data, inputs, path))
    fields = [data.field(name) for name in arrays]
    for row in range(len(next(iter(arrays.values())))):
        yield _row(fields, arrays, row, f"row {row + 1}")


def available(data: Dataset, inputs: Sequence[str], path: Path) -> list[str]:
    """The inputs that a file gives; those that a model says by itself, after `<start>`, may be left out."""
    optional = {name for name in inputs if shifts(data.field(name)) == 0}
    return [n for n in inputs if n not in optional] + sorted(optional & data.given_by(path))


def row_example(data: Dataset, inputs: Sequence[str], row: int, title: str) -> Example:
    """A row of the data of the training."""
    fields = [data.field(name) for name in inputs]
    return _row(fields, {f.name: f.array for f in fields}, row, title)


def _row(fields: Sequence[Field], arrays: Mapping[str, Any], row: int, title: str) -> Example:
    found, labels, said = {}, {}, {}
    for f in fields:
        array = arrays[f.name]
        one = array.row(row) if isinstance(array, Ragged) else array[row]
        found[f.name] = np.asarray(one)[None]
        if is_text(f) and len(f.axes) > 1:
            labels[f.axes[1]] = entries_of(f, one)
            if shifts(f) == 0:
                said[f.axes[1]] = (*labels[f.axes[1]][1:], END)
    texts = [labels[f.axes[1]] for f in fields if len(f.axes) > 1 and f.axes[1] in labels]
    shown = joined(fields[0], texts[0]) if texts and is_text(fields[0]) else ""
    return Example(f"{title}: {shown}" if shown else title, found, labels, said)


def entries_of(f: Field, ids: Any) -> tuple[str, ...]:
    """What the indices of a row stand for."""
    names = names_of(f)
    return tuple(names[k] for k in np.asarray(ids).reshape(-1).tolist())


def joined(f: Field, entries: Sequence[str]) -> str:
    """Entries of a vocabulary as one text."""
    return gap(f).join(entries)


def gap(f: Field) -> str:
    """What stands between entries."""
    return "" if isinstance(f.recipe, Encoded) and f.recipe.tokenizer == "chars" else " "
