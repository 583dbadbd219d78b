"""Parameters of the functions of a `data` section, and how the arguments of a call find them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from archspec.data.decode import ENCODINGS
from archspec.data.problems import counted, problem, quoted
from archspec.data.recipe import Encoded
from archspec.data.values import Selection, Source, Value, as_columns, describe
from archspec.diagnostics import Span, did_you_mean
from archspec.records import record


@record
class Kind:
    """What a parameter takes. `take` returns the value to use, or None where it does not fit."""

    says: str
    take: Callable[[Value], object | None]


def _flag(value: Value) -> bool | None:
    return value if isinstance(value, bool) else None


def _text(value: Value) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: Value) -> tuple[Value, ...] | None:
    return value if isinstance(value, tuple) and all(isinstance(item, str) for item in value) else None


def _number(value: Value) -> float | None:
    """Bools are ints to Python, not here."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < 1e308 and not math.isnan(value) else None


def _count(value: Value) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31 else None


def _delimiter(value: Value) -> str | None:
    return value if isinstance(value, str) and len(value) == 1 and value not in '"\r\n' else None


def _filling(value: Value) -> str | float | None:
    return value if isinstance(value, str) and value in ("mean", "median") else _number(value)


def _categories(value: Value) -> object | None:
    return value.as_categories() if isinstance(value, Selection) else None


def _positive(value: Value) -> int | None:
    return _count(value) or None


def _pair(value: Value) -> tuple[Value, ...] | None:
    return _texts(value) if isinstance(value, tuple) and len(value) == 2 else None


def _text_column(value: Value) -> Selection | None:
    """One column; of a source with a column called `text`, that one."""
    if isinstance(value, Source) and "text" in value.columns:
        return Selection(value.name, ("text",), value.span)
    return value if isinstance(value, Selection) and len(value.columns) == 1 else None


def _sequence(value: Value) -> Encoded | None:
    return value if isinstance(value, Encoded) and not value.arrangement else None


def one_of(*names: str) -> Kind:
    """One of a few strings."""
    *others, last = (f'`"{name}"`' for name in names)
    says = f"{', '.join(others)} or {last}"
    return Kind(says, lambda value: value if isinstance(value, str) and value in names else None)


def whole(low: int, high: int) -> Kind:
    """A whole number within bounds."""
    return Kind(f"a whole number from {low} to {high}", lambda v: v if isinstance(v, int) and low <= v <= high else None)


FLAG = Kind("`true` or `false`", _flag)
TEXT = Kind("a string", _text)
TEXTS = Kind("a list of strings", _texts)
NUMBER = Kind("a number", _number)
COUNT = Kind("a whole number from 0", _count)
DELIMITER = Kind("a string of one character that is no quote and no line break", _delimiter)
FILLING = Kind('`"mean"`, `"median"` or a number', _filling)
COLUMNS = Kind("columns", as_columns)
CATEGORIES = Kind("columns straight from a source", _categories)
POSITIVE = Kind("a whole number from 1", _positive)
PAIR = Kind("a list of two strings", _pair)
SIDES = Kind("a string or a list of two strings", lambda value: _text(value) or _pair(value))
SEPARATOR = Kind("a string that is not empty", lambda value: _text(value) or None)
ENCODING = one_of(*ENCODINGS)
TEXT_COLUMN = Kind("a column of text", _text_column)
SEQUENCE = Kind("a sequence, such as `chars` and `words` give", _sequence)

REQUIRED: Final = object()


@record
class Parameter:
    name: str
    kind: Kind
    default: object = REQUIRED


@record
class Argument:
    """One argument of a call, evaluated; `name` is None for a positional one. `span` is where its value stands."""

    name: str | None
    value: Value
    span: Span
    name_span: Span


def match_arguments(
    function: str, parameters: Sequence[Parameter], arguments: Sequence[Argument], span: Span
) -> dict[str, object]:
    """The value of every parameter by name; one of its arguments for each, or its default."""
    given: dict[str, object] = {}
    for position, argument in enumerate(arguments):
        parameter = _parameter(function, parameters, position, argument)
        if parameter.name in given:
            raise problem("D03", f"{quoted(function)} is given {quoted(parameter.name)} twice", argument.name_span)
        given[parameter.name] = take(function, parameter, argument)
    for parameter in parameters:
        if parameter.name not in given and parameter.default is REQUIRED:
            raise problem("D03", f"{quoted(function)} needs {quoted(parameter.name)}, {parameter.kind.says}", span)
    return {p.name: given.get(p.name, p.default) for p in parameters}


def _parameter(function: str, parameters: Sequence[Parameter], position: int, argument: Argument) -> Parameter:
    names: Mapping[str, Parameter] = {p.name: p for p in parameters}
    if argument.name is None and position < len(parameters):
        return parameters[position]
    if argument.name is None:
        raise problem("D03", f"{quoted(function)} takes at most {counted(len(parameters), 'argument')}", argument.span)
    if argument.name not in names:
        message = f"{quoted(function)} has no setting {quoted(argument.name)}"
        raise problem("D03", message, argument.name_span, hints=did_you_mean(argument.name, names))
    return names[argument.name]


def take(function: str, parameter: Parameter, argument: Argument) -> object:
    """The argument's value as the parameter wants it."""
    value = parameter.kind.take(argument.value)
    if value is None:
        message = f"{quoted(parameter.name)} of {quoted(function)} is {parameter.kind.says}, "
        picks = parameter.kind is TEXT_COLUMN and isinstance(argument.value, Source)
        hints = ['pick one: `source["form"]`'] if picks else []
        raise problem("D03", message + f"not {describe(argument.value)}", argument.span, hints=hints)
    return value
