"""Expressions of equations, and the two ways to write them: as in a spec, and as in LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from archspec.records import record

SUM, PRODUCT, SIGNED, POWER, ATOM = range(1, 6)
COMPARE = 0
INFIX = {
    "add": ("+", SUM, SUM, SUM),
    "subtract": ("-", SUM, SUM, PRODUCT),
    "multiply": ("*", PRODUCT, PRODUCT, SIGNED),
    "divide": ("/", PRODUCT, PRODUCT, SIGNED),
    "power": ("^", POWER, ATOM, SIGNED),
    "equal": ("==", COMPARE, SUM, SUM),
    "not_equal": ("!=", COMPARE, SUM, SUM),
    "less": ("<", COMPARE, SUM, SUM),
    "less_equal": ("<=", COMPARE, SUM, SUM),
    "greater": (">", COMPARE, SUM, SUM),
    "greater_equal": (">=", COMPARE, SUM, SUM),
    "and": ("and", COMPARE - 1, COMPARE, COMPARE),
    "or": ("or", COMPARE - 1, COMPARE, COMPARE),
}
LATEX_SIGNS = {"*": r"\,", "==": "=", "!=": r"\neq", "<=": r"\leq", ">=": r"\geq", "and": r"\wedge", "or": r"\vee"}
SPOKEN = {"maximum": "max", "minimum": "min"}


@record
class Name:
    """A value: its own name, and as much of its path as tells it from others. `adjoint`: the gradient of `base`."""

    path: tuple[str, ...]
    base: str
    adjoint: bool = False

    @property
    def own(self) -> str:
        """Without its path."""
        return f"d{self.base}" if self.adjoint else self.base

    def __str__(self) -> str:
        return ".".join([*self.path, self.own])


@record
class Read:
    """An element of a value. An index is a letter, a place such as `t-1`, or an integer value."""

    name: Name
    indices: tuple[Expression, ...]


@record
class Text:
    """A number, a letter or a size."""

    text: str
    level: int = ATOM


@record
class Apply:
    """An op of elements."""

    op: str
    arguments: tuple[Expression, ...]


@record
class Reduce:
    """`sum[b,t](…)`."""

    op: str
    letters: tuple[str, ...]
    body: Expression


Expression: TypeAlias = Read | Text | Apply | Reduce
ZERO, ONE = Text("0"), Text("1")


def apply(op: str, *arguments: Expression) -> Expression:
    """An op of elements, without what changes nothing.

    1 * x  ->  x,   x + 0  ->  x,   x / 1  ->  x
    """
    neutral = {"multiply": ONE, "divide": ONE, "add": ZERO, "subtract": ZERO}.get(op)
    if neutral is not None and arguments[1] == neutral:
        return arguments[0]
    if op in ("multiply", "add") and arguments[0] == neutral:
        return arguments[1]
    return Apply(op, arguments)


# --- as in a spec --------------------------------------------------------------------------------------------------


def arch(expression: Expression) -> str:
    """`sum[b](x[b,f] * dy[b,h])`."""
    if isinstance(expression, Text):
        return expression.text
    if isinstance(expression, Read):
        return _read(str(expression.name), [arch(i) for i in expression.indices])
    if isinstance(expression, Reduce):
        return f"{expression.op}[{','.join(expression.letters)}]({arch(expression.body)})"
    return _arch_apply(expression)


def _read(name: str, indices: Sequence[str]) -> str:
    return f"{name}[{','.join(indices)}]" if indices else name


def _arch_apply(e: Apply) -> str:
    if e.op in INFIX:
        sign, _, left, right = INFIX[e.op]
        space = "" if e.op == "power" else " "
        return f"{_at(left, e.arguments[0])}{space}{sign}{space}{_at(right, e.arguments[1])}"
    if e.op == "square":
        return f"{_at(ATOM, e.arguments[0])}^2"
    if e.op == "negate":
        return f"-{_at(SIGNED, e.arguments[0])}"
    return f"{SPOKEN.get(e.op, e.op)}({', '.join(arch(a) for a in e.arguments)})"


def _level(e: Expression) -> int:
    if isinstance(e, Text):
        return e.level
    if isinstance(e, Apply):
        return INFIX[e.op][1] if e.op in INFIX else {"square": POWER, "negate": SIGNED}.get(e.op, ATOM)
    return ATOM


def _at(level: int, e: Expression) -> str:
    return arch(e) if _level(e) >= level else f"({arch(e)})"


# --- as in LaTeX ---------------------------------------------------------------------------------------------------


def latex(expression: Expression) -> str:
    r"""`\sum_{b} x_{bf}\, \bar{y}_{bh}`."""
    if isinstance(expression, Text):
        return _latex_text(expression.text)
    if isinstance(expression, Read):
        return latex_name(expression.name) + _subscript(expression.indices)
    if isinstance(expression, Reduce):
        letters = ", ".join(_latex_text(letter) for letter in expression.letters)
        return rf"{_operator(expression.op)}_{{{letters}}} {_latex_at(PRODUCT, expression.body)}"
    return _latex_apply(expression)


def _operator(op: str) -> str:
    return rf"\{op}" if op in ("sum", "max", "min") else rf"\operatorname{{{_escaped(op)}}}"


def _subscript(indices: Sequence[Expression]) -> str:
    return f"_{{{', '.join(latex(i) for i in indices)}}}" if indices else ""


def latex_name(name: Name) -> str:
    r"""`\bar{W}^{\text{h.linear}}`: the gradient of a value is its name with a bar, its path stands above."""
    base = name.base if len(name.base) == 1 and name.base.isascii() else rf"\mathit{{{_escaped(name.base)}}}"
    path = rf"^{{\text{{{_escaped('.'.join(name.path))}}}}}" if name.path else ""
    return (rf"\bar{{{base}}}" if name.adjoint else base) + path


def _escaped(text: str) -> str:
    return "".join(rf"\{c}" if c in "_#$%&{}" else "" if c in "\\^~" else c for c in text)


def _latex_text(text: str) -> str:
    if text in ("inf", "-inf"):
        return text.replace("inf", r"\infty")
    mantissa, exponent, power = text.partition("e")
    if exponent and power.lstrip("+-").isdigit():
        return rf"{mantissa} \cdot 10^{{{int(power)}}}"
    return _escaped(text).replace("*", r"\,")


def _latex_apply(e: Apply) -> str:
    parts = [latex(a) for a in e.arguments]
    if e.op == "divide":
        return rf"\frac{{{parts[0]}}}{{{parts[1]}}}"
    if e.op == "power":
        return rf"{_latex_at(ATOM, e.arguments[0])}^{{{parts[1]}}}"
    if e.op in INFIX:
        sign, _, left, right = INFIX[e.op]
        return f"{_latex_at(left, e.arguments[0])} {LATEX_SIGNS.get(sign, sign)} {_latex_at(right, e.arguments[1])}"
    return _latex_function(e, parts)


def _latex_function(e: Apply, parts: list[str]) -> str:
    if e.op == "square":
        return rf"{_latex_at(ATOM, e.arguments[0])}^{{2}}"
    if e.op == "negate":
        return f"-{_latex_at(SIGNED, e.arguments[0])}"
    if e.op == "sqrt":
        return rf"\sqrt{{{parts[0]}}}"
    if e.op == "where":
        return rf"\begin{{cases}} {parts[1]} & {parts[0]} \\ {parts[2]} & \text{{otherwise}} \end{{cases}}"
    return rf"\operatorname{{{_escaped(SPOKEN.get(e.op, e.op))}}}\left({', '.join(parts)}\right)"


def _latex_at(level: int, e: Expression) -> str:
    fits = _level(e) >= level and not (level == ATOM and isinstance(e, Reduce))
    return latex(e) if fits or (isinstance(e, Apply) and e.op == "divide") else rf"\left({latex(e)}\right)"
