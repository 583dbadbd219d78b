"""Records: what `dataclass(frozen=True)` makes, made faster.

The stages hand one another frozen values of some two hundred classes, and a short command such as `check` spends more
time on making those classes than on its work. A standard dataclass compiles each of its methods from text; a record
compiles its `__init__` alone and shares the rest.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from operator import attrgetter
from reprlib import recursive_repr
from typing import Any, NamedTuple, TypeVar, dataclass_transform, overload

T = TypeVar("T")
MISSING: Any = object()
_set = object.__setattr__


class Field(NamedTuple):
    """An attribute of a record: its default, and whether it takes part in comparison and in `repr`."""

    name: str = ""
    default: Any = MISSING
    factory: Callable[[], Any] | None = None
    compare: bool = True
    repr: bool = True


def field(
    default: Any = MISSING, *, default_factory: Callable[[], Any] | None = None, compare: bool = True, repr: bool = True
) -> Any:
    """An attribute that differs from the rule: a default made anew for each record, or left out of `==` or of `repr`."""
    return Field("", default, default_factory, compare, repr)


@overload
def record(cls: type[T]) -> type[T]: ...
@overload
def record(
    *, eq: bool = True, order: bool = False, frozen: bool = True, interned: bool = False
) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(
    cls: type[T] | None = None, *, eq: bool = True, order: bool = False, frozen: bool = True, interned: bool = False
) -> Any:
    """Makes a class of annotated attributes a record; with `eq=False` it compares and hashes by identity. Of an `interned`
    one there is one object for each combination of values, which is made once and kept: for small values that are met
    again and again."""
    if cls is None:
        return lambda cls: _make(cls, eq, order, frozen, interned)
    return _make(cls, eq, order, frozen, interned)


def _make(cls: type[T], eq: bool, order: bool, frozen: bool, interned: bool) -> type[T]:
    fields = tuple(_fields(cls))
    compared = tuple(f.name for f in fields if f.compare)
    methods: dict[str, Any] = {"__record_fields__": fields, "__match_args__": tuple(f.name for f in fields)}
    methods |= {"__init__": _init(cls, fields), "__repr__": _repr}
    methods["__record_plain__"] = not interned and not hasattr(cls, "__post_init__")  # made by setting attributes, no more
    if frozen:
        methods |= {"__setattr__": _refuse, "__delattr__": _refuse}
    if eq:
        operators = ("__eq__", "__lt__", "__le__", "__gt__", "__ge__") if order else ("__eq__",)
        methods |= _comparison(compared, operators)
        methods |= {} if frozen else {"__hash__": None}
    if interned:
        methods |= {"__new__": staticmethod(_interned(methods.pop("__init__"))), "__reduce__": _values}
        methods |= {"__eq__": object.__eq__, "__hash__": object.__hash__} if len(compared) == len(fields) else {}
    own = cls.__dict__
    for name, method in methods.items():
        if name not in own or own[name] is None:
            setattr(cls, name, method)
    return cls


def _fields(cls: type) -> Iterable[Field]:
    """Those of its bases, then its own; their defaults become attributes of the class."""
    found = {f.name: f for base in cls.__mro__[:0:-1] for f in base.__dict__.get("__record_fields__", ())}
    for name, kind in cls.__annotations__.items():
        if str(kind).startswith("ClassVar"):
            continue
        value = cls.__dict__.get(name, MISSING)
        found[name] = (value if isinstance(value, Field) else Field(default=value))._replace(name=name)
        if isinstance(value, Field):
            _set_default(cls, name, value.default)
    return found.values()


def _set_default(cls: type, name: str, default: Any) -> None:
    if default is MISSING:
        delattr(cls, name)
    else:
        setattr(cls, name, default)


def _init(cls: type, fields: tuple[Field, ...]) -> Callable[..., None]:
    """`__init__`, written out: a plain assignment an attribute, so that making a record is quick."""
    names: dict[str, Any] = {"_set": _set}
    parameters, lines = ["self"], []
    for f in fields:
        value = f.name
        if f.factory is not None:
            names |= {"MISSING": MISSING, f"_make_{f.name}": f.factory}
            parameters.append(f"{f.name}=MISSING")
            value = f"_make_{f.name}() if {f.name} is MISSING else {f.name}"
        elif f.default is not MISSING:
            names[f"_default_{f.name}"] = f.default
            parameters.append(f"{f.name}=_default_{f.name}")
        else:
            parameters.append(f.name)
        lines.append(f"    _set(self, '{f.name}', {value})")
    if hasattr(cls, "__post_init__"):
        lines.append("    self.__post_init__()")
    exec(f"def __init__({', '.join(parameters)}):\n" + ("\n".join(lines) or "    pass"), names)
    init: Callable[..., None] = names["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


def _interned(init: Callable[..., None]) -> Callable[..., Any]:
    """`__new__` for a record that is made once for each combination of its values."""
    known: dict[tuple[Any, ...], Any] = {}

    def new(cls: type[Any], *values: Any, **named: Any) -> Any:
        found = known.get(values) if not named else None
        if found is None:
            made = object.__new__(cls)
            init(made, *values, **named)
            found = known.setdefault(tuple(made.__dict__.values()), made)
            if not named:
                known[values] = found
        return found

    return new


def _values(self: Any) -> tuple[Any, ...]:
    return type(self), tuple(getattr(self, f.name) for f in self.__record_fields__)


def _comparison(names: tuple[str, ...], operators: tuple[str, ...]) -> dict[str, Any]:
    values: Callable[[Any], Any] = attrgetter(*names) if names else lambda record: ()

    def compared(symbol: str) -> Callable[[Any, Any], Any]:
        compare = getattr(operator, symbol)
        return lambda a, b: compare(values(a), values(b)) if a.__class__ is b.__class__ else NotImplemented

    return {symbol: compared(symbol) for symbol in operators} | {"__hash__": lambda a: hash(values(a))}


def _refuse(self: Any, name: str, *value: Any) -> None:
    raise AttributeError(f"a {type(self).__name__} is frozen: `{name}` cannot be set")


@recursive_repr()
def _repr(self: Any) -> str:
    shown = (f"{f.name}={getattr(self, f.name)!r}" for f in self.__record_fields__ if f.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def fields(record: Any) -> tuple[Field, ...]:
    """The attributes of a record or of its class, in order."""
    found: tuple[Field, ...] = record.__record_fields__
    return found


def is_record(value: object) -> bool:
    return hasattr(type(value), "__record_fields__")


def replace(record: T, **changes: Any) -> T:
    """The same record with some attributes changed."""
    cls: Any = type(record)
    if cls.__record_plain__:
        made = object.__new__(cls)
        values = made.__dict__
        values.update(record.__dict__)
        values.update(changes)
        if len(values) == len(cls.__record_fields__):  # no name that it has not, no value that was cached beside
            return made  # type: ignore[no-any-return]
    return cls(**{f.name: record.__dict__[f.name] for f in fields(record)} | changes)  # type: ignore[no-any-return]


def as_dict(record: Any) -> dict[str, Any]:
    """Name and value of each attribute; records within become dicts too, also in lists, tuples and dicts."""
    return {f.name: _plain(getattr(record, f.name)) for f in fields(record)}


def _plain(value: Any) -> Any:
    if is_record(value):
        return as_dict(value)
    if isinstance(value, (list, tuple)):
        return type(value)(map(_plain, value))
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    return value
