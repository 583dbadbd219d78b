"""Rules that divide rows into a training, a validation and a test part. One entry each in `RULES`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from archspec.data.parameters import FLAG, NUMBER, Parameter
from archspec.data.problems import counted, problem
from archspec.data.random import permutation
from archspec.data.values import Split
from archspec.diagnostics import Span
from archspec.records import record

Indices: TypeAlias = NDArray[np.int64]


@record(eq=False)
class Task:
    """What a rule divides: `rows` numbers from 0, into parts of the given sizes and the rest.

    validation, test  how many rows each part gets
    groups            (rows,) int64: the class of each row, where the spec asks for equal shares of each; else None
    """

    rows: int
    validation: int
    test: int
    groups: Indices | None
    seed: int


@record
class Rule:
    """A way to divide. `divide` returns the rows of the validation and of the test part, in any order."""

    divide: Callable[[Task], tuple[Indices, Indices]]
    settings: tuple[Parameter, ...]


def tail(task: Task) -> tuple[Indices, Indices]:
    """The last rows are for the test, those before them for validation: time runs forward."""
    order = np.arange(task.rows)
    start = task.rows - task.test
    return order[start - task.validation : start], order[start:]


def holdout(task: Task) -> tuple[Indices, Indices]:
    """Random rows. Validation is drawn first, so asking for a test part leaves it as it was."""
    order = permutation(task.rows, task.seed, "holdout")
    if task.groups is not None:
        return _stratified(task, order, task.groups)
    return order[: task.validation], order[task.validation : task.validation + task.test]


def _stratified(task: Task, order: Indices, groups: Indices) -> tuple[Indices, Indices]:
    """Random rows with the same share of every class, to a row."""
    members = [order[groups[order] == group] for group in range(int(groups.max()) + 1)]
    sizes = np.array([len(rows) for rows in members])
    first = _shares(sizes, task.validation)
    second = _shares(sizes - first, task.test)
    validation = [rows[:a] for rows, a in zip(members, first, strict=True)]
    test = [rows[a : a + b] for rows, a, b in zip(members, first, second, strict=True)]
    return np.concatenate(validation), np.concatenate(test)


def _shares(sizes: Indices, total: int) -> Indices:
    """`total` divided in proportion to `sizes`, whole, by largest remainder; of equal remainders the first."""
    exact = sizes * total
    shares: Indices = exact // sizes.sum()
    remainders = exact - shares * sizes.sum()
    largest = np.argsort(-remainders, kind="stable")[: total - int(shares.sum())]
    shares[largest] += 1
    return shares


_PARTS = (Parameter("validation", NUMBER, None), Parameter("test", NUMBER, None))

RULES: Mapping[str, Rule] = {
    "holdout": Rule(holdout, (*_PARTS, Parameter("stratify", FLAG, False))),
    "tail": Rule(tail, _PARTS),
}


def divide(split: Split, rows: int, groups: Indices | None, seed: int) -> dict[str, Indices]:
    """The sorted row numbers of "train" and of the parts that `split` asks for. Together they are 0..rows-1."""
    sizes = dict(_sizes(split, rows))
    if sum(sizes.values()) >= rows:
        _fail_too_few(split.span, rows, sizes)
    task = Task(rows, sizes.get("validation", 0), sizes.get("test", 0), groups, seed)
    drawn = dict(zip(("validation", "test"), RULES[split.rule].divide(task), strict=True))
    rest = np.ones(rows, bool)
    rest[np.concatenate(list(drawn.values()))] = False
    return {"train": np.flatnonzero(rest)} | {part: np.sort(drawn[part]) for part in sizes}


def _sizes(split: Split, rows: int) -> Iterator[tuple[str, int]]:
    for part in ("validation", "test"):
        asked = split.settings[part]
        if isinstance(asked, int | float):
            yield part, _size(part, asked, rows, split.span)


def _size(part: str, asked: float, rows: int, span: Span) -> int:
    """How many rows a fraction or a whole number means; halves round up."""
    if asked <= 0 or (asked >= 1 and asked != int(asked)):
        hint = "a fraction below 1, or from 1 on a whole number of rows"
        raise problem("D21", f"`{part}={asked}` is no size of a part", span, hints=[hint])
    size = int(asked) if asked >= 1 else math.floor(asked * rows + 0.5)
    if size == 0:
        message = f"`{part}={asked}` of {counted(rows, 'row')} is not even one row"
        raise problem("D21", message, span, hints=[f"give a number of rows, such as `{part}=1`"])
    return size


def _fail_too_few(span: Span, rows: int, sizes: Mapping[str, int]) -> NoReturn:
    asked = " and ".join(f"{size:,} for {part}" for part, size in sizes.items())
    raise problem("D21", f"{counted(rows, 'row')} cannot give {asked} and leave any to train on", span)
