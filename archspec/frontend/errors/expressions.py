"""Mistakes inside values."""

from __future__ import annotations

from collections.abc import Iterator

from archspec.diagnostics import Diagnostic
from archspec.frontend.errors.mistake import (
    COMPARISONS,
    OPERATORS,
    UNIT_ENDS,
    VALUE_ENDS,
    VALUE_STARTS,
    Mistake,
    is_keyword,
    quoted,
)
from archspec.frontend.newlines import CLOSER
from archspec.frontend.tokens import Token


def chained_comparison(mistake: Mistake) -> Diagnostic | None:
    """`0 <= p < 1`."""
    if mistake.found.kind not in COMPARISONS or "and" not in mistake.accepted:
        return None
    first, end = _comparison_before(mistake), _operand_end(mistake)
    left = mistake.text(_operand_start(mistake, first), first + 1)
    middle = mistake.text(first + 1, mistake.position)
    hint = f"write `{left} {middle} and {middle} {mistake.text(mistake.position, end)}`"
    return mistake.error("P08", "comparisons cannot be chained", hint)


def _comparison_before(mistake: Mistake) -> int:
    """The position of the comparison whose right side the found one wants to compare."""
    return next(p for p in _outwards(mistake, mistake.position, -1) if mistake.tokens[p].kind in COMPARISONS)


def _operand_start(mistake: Mistake, comparison: int) -> int:
    return [comparison, *_outwards(mistake, comparison, -1)][-1]


def _operand_end(mistake: Mistake) -> int:
    return [mistake.position, *_outwards(mistake, mistake.position, 1)][-1] + 1


def _outwards(mistake: Mistake, start: int, step: int) -> Iterator[int]:
    """The positions before or after `start` that belong to the operands of a comparison there."""
    depth = 0
    for position in range(start + step, mistake.end if step > 0 else mistake.first, step):
        kind = mistake.tokens[position].kind
        depth += step * ((kind in CLOSER) - (kind in CLOSER.values()))
        if depth < 0 or (depth == 0 and kind in _BEYOND_COMPARISONS):
            return
        yield position


_BEYOND_COMPARISONS = frozenset(["=", ",", ":", "~", "|>", "and", "or", "not", "if", "else", "where", "require"])


def equals(mistake: Mistake) -> Diagnostic | None:
    """`=` for `==`, and the reverse."""
    if mistake.found.kind == "==" and "=" in mistake.accepted:
        return mistake.error("P01", "expected `=`, found `==`", "`=` gives a name its value; `==` compares")
    if mistake.found.kind != "=" or "==" not in mistake.accepted:
        return None
    if mistake.start.kind in ("if", "require") or any(t.kind == "where" for t in _unit(mistake)):
        return mistake.error("P01", "expected `==`, found `=`", "`==` compares; `=` gives a name its value")
    return mistake.error("P01", "`=` cannot stand inside a value", "`==` compares; a line gives one value its name")


def _unit(mistake: Mistake) -> list[Token]:
    return mistake.tokens[mistake.first : mistake.position]


def line_ends_inside_value(mistake: Mistake) -> Diagnostic | None:
    """An operator, a comma or a word that wants something after it, at the end of a line."""
    if mistake.found.kind not in UNIT_ENDS or mistake.previous.kind in VALUE_ENDS or mistake.starts_unit:
        return None
    if mistake.accepted & UNIT_ENDS:
        return None
    hint = "a statement goes on over lines inside ( ), or before a line that starts with `|>`"
    hints = (hint,) if mistake.previous.kind in OPERATORS | {","} else ()
    what = "a value" if "INT" in mistake.accepted else "something"
    message = f"the line ends after {quoted(mistake.previous)}, where {what} has to follow"
    return mistake.error("P13", message, *hints, at=mistake.after_previous)


def number_with_bare_point(mistake: Mistake) -> Diagnostic | None:
    """`.5` and `5.`."""
    if mistake.found.kind != ".":
        return None
    if "INT" in mistake.accepted and mistake.following.kind == "INT":
        span = mistake.found.span(mistake.source).to(mistake.following.span(mistake.source))
        return mistake.error("P01", "a number starts with a digit", f"write `0.{mistake.following.text}`", at=span)
    if mistake.touches and mistake.previous.kind == "INT":
        span = mistake.previous.span(mistake.source).to(mistake.found.span(mistake.source))
        return mistake.error("P01", "digits must follow the point", f"write `{mistake.previous.text}.0`", at=span)
    return None


def question_mark(mistake: Mistake) -> Diagnostic | None:
    if mistake.found.kind != "?":
        return None
    hint = "a choice is written `a if c else b`"
    return mistake.error("P01", "`?` marks only ragged axes, as in `dim T?`", *([hint] * ("if" in mistake.accepted)))


def stages_only(mistake: Mistake) -> Diagnostic | None:
    """Statements in the braces of `repeat`."""
    in_repeat = "}" in mistake.accepted and "|>" in mistake.accepted and "_NEWLINE" not in mistake.accepted
    if not in_repeat or mistake.found.kind not in ("=", "_NEWLINE"):
        return None
    hint = "put the equations in a `block` and repeat that"
    return mistake.error("P01", "`repeat` holds one chain of layers, such as `linear(H) |> relu`", hint)


def missing_operator(mistake: Mistake) -> Diagnostic | None:
    """Two values with nothing between them, as in `x linear(H)`."""
    if not _side_by_side(mistake) or "*" not in mistake.accepted:
        return None
    if "in" in mistake.accepted:
        return mistake.error("P01", f"expected `in`, found {quoted(mistake.found)}", "write `repeat i in L { … }`")
    if mistake.accepted & {")", "]"}:
        return mistake.error("P05", f"expected `,` or an operator before {quoted(mistake.found)}")
    left, right = mistake.previous, mistake.found
    if left.kind == "]" and (call := _settings_before(mistake)):
        hint = f"what it is taken of stands in ( ): `{call}({_short(right)} …)`"
    elif right.kind == "NAME" and mistake.following.kind == "(" and left.kind not in ("INT", "FLOAT"):
        hint = f"`{_short(left)} |> {right.text}` feeds the value on the left to `{right.text}`"
    elif left.kind in ("INT", "FLOAT"):
        hint = f"a product is written `{left.text} * {_short(right)}`"
    else:
        hint = "`|>` feeds a value to a layer; a product is written `*`"
    return mistake.error("P05", f"no operator between {quoted(left)} and {quoted(right)}", hint)


_OVER_AXES = frozenset(["sum", "mean", "max", "min", "argmax", "softmax", "logsumexp"])


def _settings_before(mistake: Mistake) -> str:
    """`sum[i,j]`, where that stands right before the found token."""
    first = next((p for p in range(mistake.position - 1, mistake.first, -1) if mistake.tokens[p].kind == "["), mistake.first)
    return mistake.text(first - 1, mistake.position) if mistake.tokens[first - 1].text in _OVER_AXES else ""


def _short(token: Token) -> str:
    return token.text if token.kind in ("NAME", "INT", "FLOAT") and len(token.text) <= 30 else "…"


def _side_by_side(mistake: Mistake) -> bool:
    starts = mistake.found.kind in VALUE_STARTS - {"-", "..", "not"}
    return starts and mistake.previous.kind in VALUE_ENDS and mistake.previous.line == mistake.found.line


def odd_number(mistake: Mistake) -> Diagnostic | None:
    """`0x1F`, `1__0` and `2x`: digits with letters after them."""
    left, right = mistake.previous, mistake.found
    if left.kind not in ("INT", "FLOAT") or right.kind != "NAME" or not mistake.touches:
        return None
    span = left.span(mistake.source).to(right.span(mistake.source))
    if left.text == "0" and right.text[0] in "xXbBoO":
        return mistake.error("P01", "numbers are written in decimal", at=span)
    if right.text[0] == "_":
        return mistake.error("P01", "an underscore in a number stands between two digits", at=span)
    hint = f"a product is written `{left.text} * {right.text}`; a name starts with a letter or `_`"
    return mistake.error("P05", f"no operator between `{left.text}` and `{right.text}`", hint, at=span)


def missing_comma(mistake: Mistake) -> Diagnostic | None:
    if not _side_by_side(mistake) or "," not in mistake.accepted or is_keyword(mistake.found):
        return None
    return mistake.error("P05", f"no `,` between {quoted(mistake.previous)} and {quoted(mistake.found)}")
