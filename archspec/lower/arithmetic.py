"""Arithmetic on what is known when the spec is read: numbers, sizes and truth values."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

from archspec.diagnostics import ArchError, Diagnostic, Span
from archspec.ir.sizes import Size
from archspec.lower.values import Num, Text, Truth, Value, kind_of

LARGEST = 2**53
MAX_TERMS, LONGEST_SYMBOL = 50, 1000
Number = int | float


def number_arithmetic(operator: str, left: Num, right: Num, span: Span, ragged: Collection[str] = ()) -> Num:
    """`left operator right`; sizes stay polynomials, so that `4*H` names an axis. Those of `ragged` axes never get a number."""
    size = _size_arithmetic(operator, left.size, right.size)
    if operator == "%" and left.value is None and left.size is not None and not left.size.roots.isdisjoint(ragged):
        size = _remainder(left, right)
    if size is not None and not _is_short(size):
        size = None
    if left.value is None or right.value is None:
        if size is None or any(symbol.startswith("(") for symbol in size.symbols):
            raise ArchError(_not_known(operator, left, right, span, ragged))
        return Num(None, size)
    value = _compute(operator, left.value, right.value, span)
    if isinstance(value, int):
        return Num(value, size if size is not None else Size.number(value))
    return Num(value)


def _not_known(operator: str, left: Num, right: Num, span: Span, ragged: Collection[str]) -> Diagnostic:
    name = _open(left, right)
    roots = [root for n in (left, right) if n.size is not None for root in sorted(n.size.roots) if root in ragged]
    if roots:
        message = f"`{operator}` cannot be worked out for `{name}`: rows differ in length along {roots[0]}"
        whole = name if name.isidentifier() else f"({name})"
        rounded = f"rounded down, it is ({name} - {whole} % {right.text}) / {right.text}"
        return Diagnostic("S07", message, span, hints=(rounded,) if operator == "/" and right.value is not None else ())
    message = f"`{operator}` cannot be worked out before the size of `{name}` is known"
    hint = f"give it a size: dim {name if name.isidentifier() else 'NAME'} = …, or let the data bind it"
    return Diagnostic("S07", message, span, hints=(hint,))


def _is_short(size: Size) -> bool:
    """Whether a polynomial can name an axis. Squared again and again, it would double each time."""
    if len(size.terms) > MAX_TERMS or any(abs(c) > LARGEST or len(m) > MAX_TERMS for m, c in size.terms):
        return False
    return all(len(symbol) <= LONGEST_SYMBOL for symbol in size.symbols)


def _open(left: Num, right: Num) -> str:
    return left.text if left.value is None else right.text


def _size_arithmetic(operator: str, left: Size | None, right: Size | None) -> Size | None:
    if left is None or right is None:
        return None
    if operator == "/":
        return left.divide(right) if right.terms else None
    rules: dict[str, Callable[[Size, Size], Size]] = {"+": Size.__add__, "-": Size.__sub__, "*": Size.__mul__}
    return rules[operator](left, right) if operator in rules else None


def _remainder(left: Num, right: Num) -> Size | None:
    """a - n * floor(a / n), so that what a window's steps make of an open size, `(m - m % n) / n`, comes out even."""
    by = right.value
    if left.size is None or right.size is None or not isinstance(by, int) or by < 1:
        return None
    return left.size - left.size.floor_divide(by) * right.size


def _compute(operator: str, a: Number, b: Number, span: Span) -> Number:
    try:
        value = _OPERATORS[operator](a, b)
    except ZeroDivisionError:
        raise ArchError(Diagnostic("S07", f"division by zero: {a} {operator} {b}", span)) from None
    except (OverflowError, ValueError):
        value = math.inf
    except TypeError:
        raise ArchError(Diagnostic("S10", f"{a} {operator} {b} is not a real number", span)) from None
    if not math.isfinite(value) or (isinstance(value, int) and abs(value) > LARGEST):
        hint = f"whole numbers go up to 2^53 = {LARGEST}, others to about 1.8e308"
        raise ArchError(Diagnostic("S10", f"{a} {operator} {b} is too large", span, hints=(hint,)))
    return value


def _divide(a: Number, b: Number) -> Number:
    if isinstance(a, int) and isinstance(b, int) and a % b == 0:
        return a // b
    return a / b


def _power(a: Number, b: Number) -> Number:
    if isinstance(a, int) and isinstance(b, int) and b >= 0 and abs(a) ** min(b, 64) <= LARGEST and b <= 1024:
        return int(a**b)
    return float(float(a) ** float(b))


_OPERATORS: dict[str, Callable[[Number, Number], Number]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _divide,
    "%": lambda a, b: a % b,
    "^": _power,
}

_COMPARE: dict[str, Callable[[object, object], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,  # type: ignore[operator]
    "<=": lambda a, b: a <= b,  # type: ignore[operator]
    ">": lambda a, b: a > b,  # type: ignore[operator]
    ">=": lambda a, b: a >= b,  # type: ignore[operator]
}


def compare(operator: str, left: Value, right: Value, span: Span) -> Truth:
    """A comparison of two numbers, or of two strings or truth values for equality."""
    if isinstance(left, Num) and isinstance(right, Num):
        if left.value is None or right.value is None:
            same = left.size is not None and left.size == right.size
            return Truth(operator in ("==", "<=", ">=") if same else None)
        return Truth(_COMPARE[operator](left.value, right.value))
    if type(left) is type(right) and isinstance(left, Text | Truth) and operator in ("==", "!="):
        return Truth(_COMPARE[operator](left, right))
    if {type(left), type(right)} == {Num, Text} and operator in ("==", "!="):
        return Truth(operator == "!=")  # a setting that is a number or a word: padding == "same"
    message = f"`{operator}` cannot compare {kind_of(left)} with {kind_of(right)}"
    raise ArchError(Diagnostic("S09", message, span))


def logic(operator: str, left: Value, right: Value, span: Span) -> Truth:
    """`and` and `or` of truth values; one that is open stays open unless the other decides."""
    for value in (left, right):
        if not isinstance(value, Truth):
            raise ArchError(Diagnostic("S09", f"`{operator}` needs truth values, not {kind_of(value)}", span))
    assert isinstance(left, Truth) and isinstance(right, Truth)
    decisive = operator == "or"
    if decisive in (left.value, right.value):
        return Truth(decisive)
    return Truth(None if None in (left.value, right.value) else not decisive)


FUNCTIONS: dict[str, Callable[..., Number]] = {
    "sqrt": math.sqrt,
    "exp": math.exp,
    "expm1": math.expm1,
    "log": math.log,
    "log1p": math.log1p,
    "sin": math.sin,
    "cos": math.cos,
    "tanh": math.tanh,
    "erf": math.erf,
    "abs": abs,
    "floor": math.floor,
    "maximum": max,
    "minimum": min,
    "square": lambda a: a * a,
    "sign": lambda a: (a > 0) - (a < 0),
    "sigmoid": lambda a: 1.0 / (1.0 + math.exp(-a)),
}


def number_function(name: str, values: list[Number], span: Span) -> Num:
    """A named function of known numbers."""
    try:
        value = FUNCTIONS[name](*values)
    except (ValueError, OverflowError, ZeroDivisionError):
        arguments = ", ".join(str(v) for v in values)
        raise ArchError(Diagnostic("S10", f"{name}({arguments}) is not a finite number", span)) from None
    if not math.isfinite(value) or (isinstance(value, int) and abs(value) > LARGEST):
        raise ArchError(Diagnostic("S10", f"{name}({', '.join(str(v) for v in values)}) is too large", span))
    return Num.integer(value) if isinstance(value, int) else Num(value)
