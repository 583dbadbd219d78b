"""Kernels as Python that Numba compiles and people read.

Names come from the spec, the docstring says what is computed and from which shapes. Pointers are flat: `x[i*64 + j]`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from archspec.codegen.cuts import cut_of
from archspec.codegen.product_loops import ProductLoops
from archspec.codegen.shapes import TileShape
from archspec.codegen.words import (
    bracketed,
    constant_text,
    divisor_text,
    factor_text,
    joined,
    joined_terms,
    offset_text,
    parameter_names,
    share_text,
    size_text,
    times_text,
)
from archspec.ops import OPS
from archspec.ops.reductions import IDENTITY
from archspec.plan import kernel as k

INDENT = "    "
DTYPES = {
    "f4": {"float": "float32", "int": "int64", "bool": "bool"},
    "f8": {"float": "float64", "int": "int64", "bool": "bool"},
}


def kernel_source(kernel: k.Kernel, precision: str, shape: TileShape) -> str:
    """The Python source of one kernel. `precision` is f4 or f8; `shape` the register tile of its products."""
    return _Printer(kernel, precision, shape).source()


class _Printer:
    def __init__(self, kernel: k.Kernel, precision: str, shape: TileShape) -> None:
        self.kernel, self.precision, self.shape = kernel, precision, shape
        self.lines: list[str] = []
        self.depth = 1
        self.shared = False
        self.inlined: dict[str, str] = {}

    def source(self) -> str:
        self._head()
        self.body(self.kernel.body)
        return "\n".join(self.lines) + "\n"

    def line(self, text: str) -> None:
        self.lines.append(INDENT * self.depth + text)

    # --- the head ---------------------------------------------------------------------------------------------

    def _head(self) -> None:
        names = [n for p in self.kernel.parameters for n in parameter_names(p)]
        self.lines.append(f"def {self.kernel.name}({', '.join([*names, 'thread', 'threads'])}):")
        self.line('"""')
        for text in self.kernel.equation.split("\n"):
            self.lines.append((INDENT + _plain(text)).rstrip())
        self.lines.append("")
        for p in self.kernel.parameters:
            if p.kind == "buffer":
                shape = ", ".join(str(s) for s in p.shape)
                self.line(f"{p.name}  ({shape}) {DTYPES[self.precision][p.dtype]}")
        self.line('"""')
        if any(p.kind == "scratch" for p in self.kernel.parameters):
            self.line("own = thread * room")

    # --- statements -------------------------------------------------------------------------------------------

    def body(self, statements: Iterable[k.Statement]) -> None:
        statements = tuple(statements)
        uses = _uses(statements)
        for statement in statements:
            if isinstance(statement, k.Let) and uses[statement.name] == 1 and _read_at_once(statement, statements):
                self.inlined[statement.name] = f"({self._expression(statement)})"
            else:
                _PRINTERS[type(statement)](self, statement)

    def _let(self, s: k.Let) -> None:
        self.line(f"{s.name} = {self._expression(s)}")

    def _expression(self, s: k.Let) -> str:
        op = OPS[s.op]
        arguments = [self._scalar(a) for a in s.arguments]
        if op.scalar == "{0}":
            return arguments[0]
        if s.op == "square":
            arguments = [self._named(a) for a in arguments]
        return op.scalar.format(*arguments)

    def _named(self, text: str) -> str:
        """A text that is written twice is given a name first."""
        if text.isidentifier():
            return text
        name = f"t{len(self.lines)}"
        self.line(f"{name} = {text}")
        return name

    def _scalar(self, scalar: k.Scalar) -> str:
        if isinstance(scalar, k.Local):
            return self.inlined.get(scalar.name, scalar.name)
        return constant_text(scalar.value, scalar.dtype)

    def _load(self, s: k.Load) -> None:
        suffix = " != 0" if s.dtype == "bool" else ""
        self.line(f"{s.name} = {s.parameter}[{offset_text(s.offset)}]{suffix}")

    def _fetch(self, s: k.Fetch) -> None:
        tests = []
        for guard in s.guards:
            at = joined_terms(offset_text(guard.at), guard.offset)
            if guard.divisor.constant == 1:
                self.line(f"{guard.name} = {at}")
            else:
                self.line(f"{guard.name} = ({at}) // {divisor_text(guard.divisor)}")
                tests.append(f"{guard.name} * {divisor_text(guard.divisor)} == {at}")
            tests.append(f"0 <= {guard.name} < {factor_text(guard.extent)}")
        element = f"{s.parameter}[{offset_text(s.offset)}]" + (" != 0" if s.dtype == "bool" else "")
        fill = constant_text(s.fill.value, s.fill.dtype)
        self.line(f"{s.name} = {element} if {' and '.join(tests)} else {fill}" if tests else f"{s.name} = {element}")

    def _add(self, s: k.Add) -> None:
        self.line(f"{s.parameter}[{offset_text(s.offset)}] += {self._scalar(s.value)}")

    def _share(self, s: k.Share) -> None:
        extent = size_text(s.extent)
        self.line(f"{s.start} = {share_text(extent, 0)}")
        self.line(f"{s.count} = {share_text(extent, 1)} - {s.start}")

    def _when(self, s: k.When) -> None:
        self.line(f"if {s.start} <= {s.name} < {s.start} + {s.count}:")
        with _Nested(self):
            self.body(s.body)

    def _store(self, s: k.Store) -> None:
        value = self._scalar(s.value)
        if s.dtype == "bool":
            value = f"1 if {value} else 0"
        if value.startswith("(") and value.endswith(")") and _closes_last(value):
            value = value[1:-1]
        self.line(f"{s.parameter}[{offset_text(s.offset)}] = {value}")

    def _position(self, s: k.Position) -> None:
        self.line(f"{s.name} = {offset_text(s.offset)}")

    def _extent(self, s: k.Extent) -> None:
        self.line(f"{s.name} = F({size_text(s.size)})")

    def _draw(self, s: k.Draw) -> None:
        self.line(f"{s.name} = uniform({offset_text(s.index)}, {s.step}[0], {s.stream})")

    def _start(self, s: k.Start) -> None:
        self.line(f"{s.name} = {constant_text(IDENTITY[s.op], 'float')}")
        if s.op == "argmax":
            self.line(f"{s.name}_at = 0")

    def _accumulate(self, s: k.Accumulate) -> None:
        value = self._scalar(s.value)
        if s.op == "argmax":
            assert s.position is not None
            self.line(f"if {value} > {s.name}:")
            self.line(f"{INDENT}{s.name} = {value}")
            self.line(f"{INDENT}{s.name}_at = {offset_text(s.position)}")
        elif s.op == "sum":
            self.line(f"{s.name} = accumulate({s.name}, {value})")
        else:
            self.line(f"{s.name} = {OPS[s.op].scalar.format(s.name, value)}")

    def split(self, s: k.Split) -> None:
        rest = s.of
        for name, extent in zip(reversed(s.names[1:]), reversed(s.extents[1:]), strict=True):
            self.line(f"{name} = ({rest}) % {divisor_text(extent)}")
            rest = f"({rest}) // {divisor_text(extent)}"
        self.line(f"{s.names[0]} = {rest}")

    def _for(self, s: k.For) -> None:
        extent = size_text(s.extent)
        if s.kind == "parallel" and not self.shared:
            self.line(f"for {s.variable} in range({share_text(extent, 0)}, {share_text(extent, 1)}):")
            with _Nested(self, shared=True):
                if any(isinstance(inner, k.For) and inner.kind == "serial" for inner in s.body):
                    self.line("fence()")
                self.body(s.body)
        else:
            turns = "written_out" if s.kind == "written out" else "range"
            self.line(f"for {s.variable} in {turns}({extent}):")
            with _Nested(self):
                if s.kind == "row" and any(isinstance(inner, k.For) and inner.kind == "serial" for inner in s.body):
                    self.line("fence()")
                self.body(s.body)

    def _blocks(self, s: k.Blocks) -> None:
        extent = size_text(s.extent)
        self.line(f"blocks = ({extent} + {s.block - 1}) // {s.block}")
        turns = f"{share_text('blocks', 0)}, {share_text('blocks', 1)}" if not self.shared else "blocks"
        self.line(f"for block in range({turns}):")
        with _Nested(self, shared=True):
            self.line(f"{s.start} = block * {s.block}")
            points = s.extent.constant or 0
            if points and (points <= s.block or points % s.block == 0):  # all blocks are alike
                self.inlined[s.count] = str(min(points, s.block))
            else:
                self.line(f"{s.count} = min({s.block}, {extent} - {s.start})")
            self.body(s.body)

    def _within(self, s: k.Within) -> None:
        self.line(f"for {s.variable} in range({self.inlined.get(s.count, s.count)}):")
        with _Nested(self):
            self.body(s.body)

    def _pack(self, s: k.Pack) -> None:
        """The panels of all batches shared among the threads."""
        batch, columns, depth = (size_text(x) for x in (s.batch[1], s.columns, s.k))
        self.line(f"if {s.ahead.turns} >= {k.LEAST_TURNS}:")
        with _Nested(self):
            self.line(f"panels = ({columns} + NR - 1) // NR")
            whole = "panels" if batch == "1" else f"{factor_text(s.batch[1])} * panels"
            self.line(f"for turn in range({share_text(whole, 0)}, {share_text(whole, 1)}):")
            with _Nested(self, shared=True):
                if batch != "1":
                    self.line(f"{s.batch[0]} = turn // panels")
                if s.batch_split is not None:
                    self.split(s.batch_split)
                self.line(f"first = {'turn' if batch == '1' else 'turn % panels'} * NR")
                right = joined(offset_text(s.right_offset), times_text("first", s.right_strides[1]))
                strides = ", ".join(size_text(x) for x in s.right_strides)
                place = f"at({s.ahead.laid}, turn*NR*{bracketed(depth)})"
                self.line(f"pack_right(at({s.right}, {right}), {strides}, {place}, {depth}, min(NR, {columns} - first))")

    def _product(self, s: k.Product) -> None:
        ProductLoops(self, s, cut_of(s, self.precision, self.shape)).write()

    def nested(self, shared: bool = False) -> _Nested:
        """One step further in; `shared` where the threads share the turns already."""
        return _Nested(self, shared)


class _Nested:
    """One step of indentation; what was inlined inside stays inside."""

    def __init__(self, printer: _Printer, shared: bool = False) -> None:
        self.printer, self.shared = printer, shared

    def __enter__(self) -> None:
        self.before = self.printer.shared
        self.printer.shared = self.printer.shared or self.shared
        self.printer.depth += 1

    def __exit__(self, *_: object) -> None:
        self.printer.depth -= 1
        self.printer.shared = self.before


_PRINTERS: dict[type, Callable[[_Printer, Any], None]] = {
    k.Let: _Printer._let,
    k.Load: _Printer._load,
    k.Fetch: _Printer._fetch,
    k.Add: _Printer._add,
    k.Share: _Printer._share,
    k.When: _Printer._when,
    k.Store: _Printer._store,
    k.Position: _Printer._position,
    k.Extent: _Printer._extent,
    k.Draw: _Printer._draw,
    k.Start: _Printer._start,
    k.Accumulate: _Printer._accumulate,
    k.Split: _Printer.split,
    k.For: _Printer._for,
    k.Blocks: _Printer._blocks,
    k.Within: _Printer._within,
    k.Pack: _Printer._pack,
    k.Product: _Printer._product,
}


def _uses(statements: Iterable[k.Statement]) -> Counter[str]:
    """How often each local is read, loops inside included; a read inside a loop counts twice, so it stays a name."""
    found: Counter[str] = Counter()
    for s in statements:
        for scalar in _scalars(s):
            if isinstance(scalar, k.Local):
                found[scalar.name] += 1
        for body in k.bodies(s):
            for name, count in _uses(body).items():
                found[name] += 2 * count
    return found


def _scalars(s: k.Statement) -> tuple[k.Scalar, ...]:
    if isinstance(s, k.Let):
        twice = OPS[s.op].scalar.count("{0}") > 1
        return s.arguments * 2 if twice else s.arguments
    if isinstance(s, k.Store | k.Accumulate | k.Add):
        again = isinstance(s, k.Accumulate) and s.op == "argmax"
        return (s.value, s.value) if again else (s.value,)
    if isinstance(s, k.Load):  # an integer that says where to read stays a name
        return tuple(k.Local(name) for name, _ in s.offset.terms for _ in (1, 2))
    return ()


def _read_at_once(let: k.Let, statements: tuple[k.Statement, ...]) -> bool:
    """Whether the one reader stands in the same body."""
    return any(k.Local(let.name) in _scalars(s) for s in statements)


def _closes_last(text: str) -> bool:
    """Whether the bracket at the start closes at the end."""
    depth = 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if depth == 0:
            return i == len(text) - 1
    return False


def _plain(text: str) -> str:
    """Text for a docstring: no quote, backslash or odd character can end it."""
    safe = "".join(c if c.isascii() and c.isprintable() else "?" for c in text)
    return safe.replace("\\", "/").replace('"', "'")
