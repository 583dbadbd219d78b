"""Every function that a `data` section knows, by name: sources, transforms and rules for splitting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from archspec.data.files import Folder
from archspec.data.kinds import OTHER_SOURCES
from archspec.data.parameters import Argument, Parameter, match_arguments, take
from archspec.data.problems import problem, quoted
from archspec.data.recipe import Recipe, combine
from archspec.data.sequences import SEQUENCES
from archspec.data.sources import SOURCES
from archspec.data.splits import RULES
from archspec.data.transforms import TRANSFORMS, Transform
from archspec.data.values import Opener, Split, Value
from archspec.diagnostics import Span, did_you_mean
from archspec.records import replace

EVERY_SOURCE = {**SOURCES, **OTHER_SOURCES}
FUNCTIONS = frozenset((*EVERY_SOURCE, *SEQUENCES, *TRANSFORMS, *RULES))


def call(name: str, arguments: Sequence[Argument], folder: Folder, span: Span, name_span: Span) -> Value:
    """What the function called `name` returns."""
    if name in EVERY_SOURCE:
        settings = match_arguments(name, EVERY_SOURCE[name].settings, arguments, span)
        return replace(EVERY_SOURCE[name].open(folder, settings, span), kind=name, settings=settings)
    if name in SEQUENCES:
        return SEQUENCES[name].make(match_arguments(name, SEQUENCES[name].settings, arguments, span), span)
    if name in TRANSFORMS:
        return transform(name, TRANSFORMS[name], arguments, span)
    if name in RULES:
        return Split(name, match_arguments(name, RULES[name].settings, arguments, span), span)
    raise problem("D02", f"unknown function {quoted(name)}", name_span, hints=unknown_function(name, FUNCTIONS))


def opener(kind: str, settings: Mapping[str, object]) -> Opener | None:
    """What opens another file in place of a source that was made so, where there can be one."""
    reader = EVERY_SOURCE[kind].reader
    return None if reader is None else reader(settings)


def unknown_function(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """Hints for a function that does not exist: near names, else all of them."""
    every = sorted(known)
    return did_you_mean(name, every) or (f"known: {', '.join(quoted(k) for k in every)}",)


def transform(name: str, entry: Transform, arguments: Sequence[Argument], span: Span) -> Recipe:
    """The step that applies a transform to the columns among `arguments`."""
    columns = Parameter("columns", entry.takes)
    if entry.many and all(a.name is None for a in arguments) and arguments:
        return combine(name, tuple(cast(Recipe, take(name, columns, a)) for a in arguments), (), span)
    values = match_arguments(name, (columns, *entry.settings), arguments, span)
    inputs = (cast(Recipe, values["columns"]),)
    return combine(name, inputs, tuple((p.name, values[p.name]) for p in entry.settings), span)
