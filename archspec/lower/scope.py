"""Scopes: which name means what, and where in the model a line stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from archspec.diagnostics import ArchError, Diagnostic, Span, did_you_mean
from archspec.frontend import syntax
from archspec.ir.build import Builder
from archspec.ir.sizes import Axis, Size
from archspec.lower.files import defined_twice
from archspec.lower.values import Num, Value


class Poisoned(Exception):
    """A name whose definition failed was used: the mistake is reported already, so this line stays silent."""


@dataclass
class Context:
    """What all scopes of one lowering share: the graph being built and the mistakes found so far.

    `evaluate` and `run` are the meaning of an expression and of a body: blocks need both and both need blocks.
    """

    builder: Builder
    evaluate: Callable[[syntax.Expression, Scope], Value]
    run: Callable[[tuple[syntax.Statement, ...], Scope], None]
    file_scope: Callable[[object], Scope]
    problems: list[Diagnostic] = field(default_factory=list)
    ragged: frozenset[str] = frozenset()
    depth: int = 0


@dataclass
class Scope:
    """The names visible in one body. `path` is where its weights and nodes live: `classify/h/0/linear`."""

    context: Context
    file: object
    path: str
    names: dict[str, Value] = field(default_factory=dict)
    spans: dict[str, Span] = field(default_factory=dict)
    poisoned: set[str] = field(default_factory=set)
    parent: Scope | None = None
    calls: dict[str, int] = field(default_factory=dict)

    @property
    def builder(self) -> Builder:
        return self.context.builder

    def find(self, name: str) -> Value | None:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.poisoned:
                raise Poisoned(name)
            if name in scope.names:
                return scope.names[name]
            scope = scope.parent
        return None

    def define(self, name: str, value: Value, span: Span) -> None:
        if name in self.spans:
            raise ArchError(defined_twice(name, span, self.spans[name]))
        self.names[name], self.spans[name] = value, span

    def poison(self, name: str, span: Span) -> None:
        self.poisoned.add(name)
        self.spans.setdefault(name, span)

    def all_names(self) -> Iterator[str]:
        scope: Scope | None = self
        while scope is not None:
            yield from scope.names
            scope = scope.parent

    def child(self, name: str) -> Scope:
        """A scope one step further down the path, which sees these names."""
        return Scope(self.context, self.file, join(self.path, name), parent=self)

    def numbered(self, name: str) -> str:
        """`name`, or `name_2`, `name_3`, … when this line has used it before."""
        self.calls[name] = self.calls.get(name, 0) + 1
        return name if self.calls[name] == 1 else f"{name}_{self.calls[name]}"


def join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def axis_of(number: Num, context: Context) -> Axis:
    """The axis that a number names."""
    assert number.size is not None
    return Axis(number.size, ragged=str(number.size) in context.ragged)


def size_name(name: str, value: int | None) -> Num:
    return Num(value, Size.symbol(name))


def unknown_name(name: str, span: Span, known: Iterator[str] | tuple[str, ...], what: str = "") -> ArchError:
    """The error for a name that means nothing here."""
    suffix = f" {what}" if what else ""
    return ArchError(Diagnostic("S01", f"unknown name `{name}`{suffix}", span, hints=did_you_mean(name, known)))
