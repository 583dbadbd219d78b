"""Scopes: which name means what, and where in the model a line stands."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from archspec.diagnostics import MOST_SHOWN, ArchError, Diagnostic, Span, did_you_mean
from archspec.frontend import syntax
from archspec.ir.build import Builder
from archspec.ir.sizes import Axis, Size
from archspec.lower.files import defined_twice
from archspec.lower.values import Num, Tensor, Value
from archspec.records import field, fields, is_record, record

if TYPE_CHECKING:
    from archspec.lower.frame import Frame
    from archspec.lower.recurrence import Loop

MAX_STEPS = 300_000
MAX_NODES = 50_000
MAX_RANK = 16
MAX_ELEMENTS = 2**34  # of a weight
NAMES_SHOWN = 8


class Poisoned(Exception):
    """A name whose definition failed was used: the mistake is reported already, so this line stays silent."""


@record(frozen=False)
class Context:
    """What all scopes of one lowering share: the graph being built and the mistakes found so far.

    `evaluate` and `run` are the meaning of an expression and of a body: blocks need both and both need blocks.

    `lengths`  ragged axis -> the input that says how long each row is
    `private`  the axis of a loop in an index equation -> the axis that it stands for, where it has a name of its own
    `depth`    how many recurrences are around what is being laid out
    """

    builder: Builder
    evaluate: Callable[[syntax.Expression, Scope], Value]
    run: Callable[[tuple[syntax.Statement, ...], Scope], None]
    file_scope: Callable[[object], Scope]
    problems: list[Diagnostic] = field(default_factory=list)
    ragged: set[str] = field(default_factory=set)
    lengths: dict[str, int] = field(default_factory=dict)
    private: dict[str, Axis] = field(default_factory=dict)
    depth: int = 0
    active: tuple[str, ...] = ()
    steps: int = 0
    exhausted: bool = False
    elements: int = 0
    streams: Counter[str] = field(default_factory=Counter)
    bodies: dict[int, dict[str, Span]] = field(default_factory=dict)

    def real(self, axis: Axis) -> Axis:
        """The axis that a spec knows `axis` by."""
        while str(axis.size) in self.private:
            axis = self.private[str(axis.size)]
        return axis

    def defined_in(self, body: tuple[syntax.Statement, ...]) -> dict[str, Span]:
        """Where a body defines each of its names."""
        if id(body) not in self.bodies:
            self.bodies[id(body)] = {name: span for item in reversed(body) for name, span in defines(item)}
        return self.bodies[id(body)]

    def report(self, error: ArchError) -> None:
        """Keeps the mistakes of `error` and goes on; where there are very many already, they are enough."""
        self.problems += error.diagnostics
        if len(self.problems) > MOST_SHOWN:
            raise ArchError(self.problems)

    def step(self, span: Span, cost: int = 1) -> None:
        """Counts the work, so that no spec, however its blocks multiply, keeps `check` busy or fills the memory."""
        self.steps += cost
        if self.steps <= MAX_STEPS and len(self.builder.nodes) <= MAX_NODES:
            return
        if self.exhausted:
            raise Poisoned
        self.exhausted = True
        what = f"{MAX_NODES:,} nodes" if self.steps <= MAX_STEPS else f"{MAX_STEPS:,} steps to lay out"
        hint = "are there blocks inside of blocks, or a `repeat` in a `repeat`, with large counts?"
        raise ArchError(Diagnostic("S10", f"the model takes more than {what}", span, hints=(hint,)))


@record(frozen=False)
class Scope:
    """The names visible in one body. `path` is where its weights and nodes live: `classify/h/0/linear`."""

    context: Context
    file: object
    path: str
    names: dict[str, Value] = field(default_factory=dict)
    spans: dict[str, Span] = field(default_factory=dict)
    poisoned: set[str] = field(default_factory=set)
    parent: Scope | None = None
    calls: set[str] = field(default_factory=set)
    nearby: tuple[str, ...] = ()
    body: tuple[syntax.Statement, ...] = ()
    frame: Frame | None = None
    loop: Loop | None = None
    masks: dict[Size, Tensor | None] = field(default_factory=dict)
    groups: dict[str, tuple[Axis, ...]] = field(default_factory=dict)
    spread: tuple[Axis, ...] | None = None

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
        """Marks a name whose definition failed. One that has a value already keeps it."""
        if name not in self.names:
            self.poisoned.add(name)
            self.spans.setdefault(name, span)

    def all_names(self) -> Iterator[str]:
        """The names in reach, for suggestions: those of `nearby` too, which are defined only where they are used."""
        scope: Scope | None = self
        while scope is not None:
            yield from (*scope.names, *scope.nearby)
            scope = scope.parent

    def elsewhere(self, name: str) -> Span | None:
        """Where the bodies that these scopes are of define a name that has no value here."""
        scope: Scope | None = self
        while scope is not None:
            if (span := self.context.defined_in(scope.body).get(name)) is not None:
                return span
            scope = scope.parent
        return None

    def loop_of(self, name: str) -> syntax.Over | None:
        """The loop, above all that these scopes stand in, whose body defines `name`."""
        scope: Scope | None = self
        while scope is not None:
            for item in scope.body:
                if isinstance(item, syntax.Over) and name in {n for n, _ in defines(item)}:
                    return item
            scope = scope.parent
        return None

    def child(self, name: str) -> Scope:
        """A scope one step further down the path, which sees these names."""
        return Scope(self.context, self.file, join(self.path, name), parent=self, frame=self.frame, loop=self.loop)

    def within(self, names: Mapping[str, Value], frame: Frame) -> Scope:
        """The same scope inside an index equation, with its indices."""
        inner = Scope(self.context, self.file, self.path, dict(names), parent=self, calls=self.calls, frame=frame)
        inner.loop = self.loop
        return inner

    def leading(self, span: Span) -> tuple[Axis, ...]:
        """What `..` stands for in the block around."""
        scope: Scope | None = self
        while scope is not None:
            if scope.spread is not None:
                return scope.spread
            scope = scope.parent
        hint = "it stands for the leading axes of a block that is declared with `..`, as in block f(x[.., D])"
        raise ArchError(Diagnostic("S08", "`..` stands for nothing here", span, hints=(hint,)))

    def mask_of(self, axis: Axis) -> tuple[bool, Tensor | None]:
        """Whether the block around has bound a mask to `axis`, and the mask: None says that nothing is masked."""
        scope: Scope | None = self
        while scope is not None:
            if axis.size in scope.masks:
                return True, scope.masks[axis.size]
            scope = scope.parent
        return False, None

    def numbered(self, name: str) -> str:
        """`name`, or `name_2`, `name_3`, … when this line has used it before."""
        wanted, n = name, 1
        while wanted in self.calls:
            n += 1
            wanted = f"{name}_{n}"
        self.calls.add(wanted)
        return wanted


def join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def axis_of(number: Num, context: Context) -> Axis:
    """The axis that a number names."""
    assert number.size is not None
    if context.ragged and number.size.roots & context.ragged:
        _check_ragged(number.size, context)
    return Axis(number.size, ragged=str(number.size) in context.ragged)


def _check_ragged(size: Size, context: Context) -> None:
    """An axis made of a ragged one, `T-2` or `2*T`, is as long for each row as the same makes of the row's length."""
    ragged = sorted(size.roots & context.ragged)
    open_sizes = sorted(size.roots - context.ragged - context.builder.sizes.keys())
    if len(ragged) > 1 or open_sizes or any(_count(m, context.ragged) > 1 for m, _ in size.terms):
        made = " and ".join(dict.fromkeys([*ragged, *open_sizes]))
        message = f"the axis {size} is made of {made}, and rows differ in length along {' and '.join(ragged)}"
        hint = f"an axis may be a multiple of {ragged[0]} and a number, `2*{ragged[0]}-1`"
        raise ArchError(Diagnostic("S08", message, context.builder.origin.span, hints=(hint,)))


def _count(monomial: Sequence[str], ragged: set[str]) -> int:
    """How many symbols of a product hang on a ragged axis."""
    return sum(bool(Size.symbol(symbol).roots & ragged) for symbol in monomial)


def size_name(name: str, value: int | None) -> Num:
    return Num(value, Size.symbol(name))


def unknown_name(name: str, span: Span, known: Iterable[str], what: str = "", here: Iterable[str] = ()) -> ArchError:
    """The error for a name that means nothing here. `here` are the few that are shown where none of `known` is near."""
    suffix = f" {what}" if what else ""
    names = list(dict.fromkeys(here))
    shown = (f"known here: {', '.join(f'`{n}`' for n in names)}",) if 0 < len(names) <= NAMES_SHOWN else ()
    return ArchError(Diagnostic("S01", f"unknown name `{name}`{suffix}", span, hints=did_you_mean(name, known) or shown))


def unordered_name(name: str, span: Span, defined: Span, loop: syntax.Over | None) -> ArchError:
    """The error for a name that has no value yet, not in the branch that was taken, or only inside of a loop."""
    line = defined.line
    if loop is not None and line < span.line:
        t = loop.index
        hint = f"it lives in one step of the loop at line {loop.span.line}; `{name}[{t}] = …` there makes it whole"
        return ArchError(Diagnostic("S01", f"`{name}` has no value outside of its loop", span, hints=(hint,)))
    hint = f"it is defined at line {line}: move that line up"
    if line == span.line:
        hint = "it is defined by this very line"
    elif line < span.line:
        hint = f"line {line}, which defines it, stands in a branch that is not taken"
    return ArchError(Diagnostic("S01", f"`{name}` has no value here", span, hints=(hint,)))


def defines(item: syntax.Statement) -> Iterator[tuple[str, Span]]:
    """The names that a statement defines, in all of its branches."""
    if isinstance(item, syntax.Assign):
        yield from ((t.name, t.span) for t in item.targets)
    elif isinstance(item, syntax.Let):
        yield from ((b.name, name_span(b, b.name)) for b in item.bindings)
    elif isinstance(item, syntax.Dim):
        yield from ((e.name, name_span(e, e.name)) for e in item.entries)
    elif isinstance(item, syntax.Weight | syntax.Layer):
        yield item.name, name_span(item, item.name)
    elif isinstance(item, syntax.State):
        yield from ((e.name, name_span(e, e.name)) for e in item.entries)
    elif isinstance(item, syntax.If | syntax.Over):
        for inner in (*item.then, *item.otherwise) if isinstance(item, syntax.If) else item.body:
            yield from defines(inner)


def elements(axes: Sequence[Axis], sizes: Mapping[str, int]) -> int:
    """How many elements `axes` span, those that are open counted as 1."""
    return math.prod(axis.size.evaluate(sizes) or 1 for axis in axes)


def check_rank(axes: Sequence[Axis], span: Span) -> None:
    if len(axes) > MAX_RANK:
        raise ArchError(Diagnostic("S10", f"a tensor has at most {MAX_RANK} axes, not {len(axes)}", span))


def name_span(item: syntax.Node, name: str) -> Span:
    """Where in `item` the name stands that it defines."""
    keyword = type(item).__name__.lower() if isinstance(item, syntax.Weight | syntax.Layer) else ""
    column = item.span.source.line(item.span.line).index(name, item.span.column - 1 + len(keyword)) + 1
    return Span(item.span.source, item.span.line, column, item.span.line, column + len(name))


def names_in(node: object) -> Iterator[str]:
    """Every name that a piece of syntax mentions."""
    if isinstance(node, syntax.Name):
        yield node.id
    elif isinstance(node, tuple):
        for item in node:
            yield from names_in(item)
    elif is_record(node) and not isinstance(node, Span):
        for part in fields(node):
            yield from names_in(getattr(node, part.name))
