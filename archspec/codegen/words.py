"""Sizes, offsets and constants as they stand in the source of a kernel."""

from __future__ import annotations

from archspec.ir.sizes import Size
from archspec.plan.kernel import Offset, Parameter


def parameter_names(parameter: Parameter) -> tuple[str, ...]:
    """The names that a parameter has in the source: scratch memory comes with the room of each thread."""
    return (parameter.name, "room") if parameter.kind == "scratch" else (parameter.name,)


def size_text(size: Size) -> str:
    """`64`, `B`, `4*B + 1`, `T - 2`."""
    text = str(size)
    return text[0] + text[1:].replace("+", " + ").replace("-", " - ")


def factor_text(size: Size) -> str:
    text = size_text(size)
    return f"({text})" if " " in text else text


def divisor_text(size: Size) -> str:
    """`4`, `(2*T)`: what stands after `//` or `%`."""
    text = size_text(size)
    return text if size.constant is not None or text.isidentifier() else f"({text})"


def offset_text(offset: Offset) -> str:
    """`row*64 + j`."""
    terms = []
    for variable, stride in offset.terms:
        if not variable:
            terms.append(size_text(stride))
        elif stride.constant == 1:
            terms.append(variable)
        else:
            terms.append(f"{variable}*{factor_text(stride)}")
    return " + ".join(terms) or "0"


def joined_terms(first: str, offset: Size) -> str:
    """`i*2 - 1`."""
    if not offset.terms:
        return first
    return f"{first} + {size_text(offset)}".replace("+ -", "- ") if first != "0" else size_text(offset)


def joined(first: str, second: str) -> str:
    return second if first == "0" else f"{first} + {second}"


def times_text(name: str, stride: Size) -> str:
    return name if stride.constant == 1 else f"{name}*{factor_text(stride)}"


def bracketed(text: str) -> str:
    return text if text.isidentifier() or text.isdigit() else f"({text})"


def share_text(extent: str, end: int) -> str:
    """Where the turns of this thread begin (0) or end (1)."""
    part = "thread" if end == 0 else "(thread + 1)"
    whole = f"({extent})" if " " in extent else extent
    return f"{whole} * {part} // threads"


def constant_text(value: float | int | bool, dtype: str) -> str:
    if dtype == "bool":
        return str(bool(value))
    if dtype == "int":
        return str(int(value))
    if value != value or value in (float("inf"), float("-inf")):
        return f"F({'math.nan' if value != value else 'math.inf' if value > 0 else '-math.inf'})"
    return f"F({float(value)!r})"
