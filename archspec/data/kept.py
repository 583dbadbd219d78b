"""What a dataset learned, as JSON: with it a run's folder turns new rows into inputs, without the data of the training.

    {"axis": "B",
     "sources": {"table": {"kind": "csv", "settings": {"delimiter": ",", …}}},
     "fields": [{"name": "x", "axes": ["B", "F"], "of": null, "recipe": {"apply": "standardize", "to": […], …}}, …]}

Vocabularies and classes are kept once, by their axis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

import numpy as np

from archspec.data.cells import Categories
from archspec.data.dataset import Dataset, Field, Origin
from archspec.data.fit import evaluate
from archspec.data.functions import EVERY_SOURCE
from archspec.data.recipe import (
    Apply,
    CategoryColumns,
    Constant,
    Encoded,
    Labels,
    NumberColumns,
    Recipe,
    columns_of,
    combine,
    leaves,
)
from archspec.data.sequences import SEQUENCES
from archspec.data.tables import Numbers, Rows
from archspec.data.transforms import OPERATORS, TRANSFORMS
from archspec.diagnostics import ArchError, Span
from archspec.records import replace

NOWHERE = cast(Span, None)
ARRANGEMENTS = ("", "shifted", "windows", "skipgrams")
Kept = Mapping[str, Any]
Classes = Mapping[str, tuple[str, ...]]


def kept(dataset: Dataset) -> dict[str, Any]:
    """The recipes of a dataset and where its sources come from."""
    return {
        "axis": dataset.axis,
        "sources": {name: {"kind": o.kind, "settings": dict(o.settings)} for name, o in dataset.sources.items()},
        "fields": [{"name": f.name, "axes": f.axes, "of": f.of, "recipe": _kept(f.recipe)} for f in dataset.fields],
    }


def restored(record: Kept, dims: Mapping[str, int], classes: Classes) -> Dataset:
    """A dataset without rows, for `encode` and `apply`. Raises ValueError, TypeError or KeyError for another record."""
    sources = {str(name): _origin(origin) for name, origin in record["sources"].items()}
    fields = tuple(_field(field, classes) for field in record["fields"])
    for field in fields:
        _check_sources(field.recipe, sources)
        _try_out(field.recipe)
    return Dataset(fields, {}, dims, classes, 0, str(record["axis"]), sources)


# --- to JSON -----------------------------------------------------------------------------------------------------


def _kept(recipe: Recipe) -> Kept:
    match recipe:
        case Constant():
            return {"constant": recipe.value}
        case NumberColumns():
            return {"numbers": recipe.columns, "source": recipe.source}
        case CategoryColumns():
            return {"categories": recipe.columns, "source": recipe.source}
        case Labels():
            return {"labels": recipe.column, "source": recipe.source}
        case Encoded():
            return {"encoded": recipe.column, "source": recipe.source, **_kept_encoding(recipe)}
    steps = tuple(_kept(part) for part in recipe.inputs)
    return {"apply": recipe.transform, "to": steps, "settings": dict(recipe.settings), "state": recipe.state}


def _kept_encoding(recipe: Encoded) -> Kept:
    return {
        "tokenizer": recipe.tokenizer,
        "settings": dict(recipe.settings),
        "longest": recipe.longest,
        "arrangement": recipe.arrangement,
        "sizes": recipe.sizes,
        "output": recipe.output,
    }


# --- and back ----------------------------------------------------------------------------------------------------


def _origin(record: Kept) -> Origin:
    kind = EVERY_SOURCE[record["kind"]]
    given = _frozen(record["settings"])
    for parameter in kind.settings:
        value = given.get(parameter.name, parameter.default)
        if value != parameter.default and parameter.kind.take(value) is None:
            raise ValueError(parameter.name)
    return Origin(record["kind"], {p.name: given.get(p.name, p.default) for p in kind.settings})


def _field(record: Kept, classes: Classes) -> Field:
    of = record["of"]
    recipe = _recipe(record["recipe"], 0)
    if isinstance(recipe, Labels):
        recipe = replace(recipe, classes=classes[of])
    elif isinstance(recipe, Encoded):
        recipe = replace(recipe, vocabulary=classes[of])
    axes = tuple(_text(axis) for axis in record["axes"])
    return Field(_text(record["name"]), axes, of, np.zeros((0, *(1 for _ in axes[1:]))), NOWHERE, recipe)


def _recipe(record: Kept, depth: int) -> Recipe:
    kind = next(iter(record), "")
    if depth > 200:
        raise ValueError("too deep")
    return _READERS[kind](record, depth + 1)


def _apply(record: Kept, depth: int) -> Apply:
    name = record["apply"]
    if name not in TRANSFORMS and name not in OPERATORS:
        raise ValueError(name)
    settings = tuple(_frozen(record["settings"]).items())
    inputs = tuple(_recipe(part, depth) for part in record["to"])
    return replace(combine(name, inputs, settings, NOWHERE), state=_frozen(record["state"]))


def _encoded(record: Kept, depth: int) -> Encoded:
    name, longest, arrangement, sizes = (record[key] for key in ("tokenizer", "longest", "arrangement", "sizes"))
    if name not in ("chars", "words") or name not in SEQUENCES or arrangement not in ARRANGEMENTS:
        raise ValueError(name)
    known = {p.name for p in SEQUENCES[name].settings}
    settings = {key: value for key, value in _frozen(record["settings"]).items() if key in known}
    limit = None if longest is None else _whole(longest)
    return Encoded(
        NOWHERE,
        _text(record["source"]),
        _text(record["encoded"]),
        name,
        tuple(settings.items()),
        limit,
        arrangement,
        tuple(_whole(size) for size in sizes),
        _whole(record["output"]),
    )


_READERS: Mapping[str, Callable[[Kept, int], Recipe]] = {
    "constant": lambda r, depth: Constant(NOWHERE, float(r["constant"])),
    "numbers": lambda r, depth: NumberColumns(NOWHERE, _text(r["source"]), _texts(r["numbers"])),
    "categories": lambda r, depth: CategoryColumns(NOWHERE, _text(r["source"]), _texts(r["categories"])),
    "labels": lambda r, depth: Labels(NOWHERE, _text(r["source"]), _text(r["labels"])),
    "apply": _apply,
    "encoded": _encoded,
}


def _check_sources(recipe: Recipe, sources: Mapping[str, Origin]) -> None:
    if isinstance(recipe, Apply):
        for part in recipe.inputs:
            _check_sources(part, sources)
    elif not isinstance(recipe, Constant) and recipe.source not in sources:
        raise KeyError(recipe.source)


def _try_out(recipe: Recipe) -> None:
    """Runs a recipe on a row of ones, so that a state of another shape is found here; what the ones are refused for is not."""
    if isinstance(recipe, Labels | Encoded):
        return
    columns: dict[str, set[str]] = {}
    for leaf in leaves(recipe):
        columns.setdefault(leaf.source, set()).update(columns_of(leaf))
    with suppress(ArchError):
        evaluate(recipe, {source: _ones(names) for source, names in columns.items()}, None)


def _ones(names: Iterable[str]) -> Rows:
    one = np.zeros(1, np.int64)
    return Rows(
        {"train": ("", one + 1)},
        {name: Numbers(np.ones(1), None) for name in names},
        {name: Categories(one, ("1",)) for name in names},
    )


def _frozen(value: Any) -> Any:
    """JSON with tuples in place of lists."""
    if isinstance(value, dict):
        return {str(key): _frozen(inner) for key, inner in value.items()}
    return tuple(_frozen(inner) for inner in value) if isinstance(value, list) else value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _texts(value: Sequence[object]) -> tuple[str, ...]:
    return tuple(_text(item) for item in value)


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(value)
    return value
