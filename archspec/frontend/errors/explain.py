"""Which explanation a mistake gets."""

from __future__ import annotations

from archspec.diagnostics import Diagnostic
from archspec.frontend.errors import characters, expressions, statements
from archspec.frontend.errors.brackets import TOP_WORDS, Fault
from archspec.frontend.errors.mistake import Mistake, expectation, one_of, quoted
from archspec.frontend.newlines import CLOSER


def explain(mistake: Mistake) -> Diagnostic:
    """The most telling message for `mistake`: the first of the explanations that fits it."""
    for explanation in _EXPLANATIONS:
        diagnostic = explanation(mistake)
        if diagnostic:
            return diagnostic
    return unexpected(mistake)


def bracket(mistake: Mistake) -> Diagnostic | None:
    """A bracket without its partner, at the place where it was opened."""
    fault = mistake.fault
    if fault is None or not mistake.is_fault:
        return None
    noticed = fault.noticed
    if fault.opened is None:
        return mistake.error("P04", f"`{noticed.kind}` closes nothing", "remove it, or open a bracket before it", at=noticed)
    if fault.is_mixed:
        message = f"`{noticed.kind}` cannot close `{fault.opened.kind}`"
        note = f"`{fault.opened.kind}` was opened at {fault.opened.line}:{fault.opened.column}"
        return mistake.error("P04", message, f"write `{CLOSER[fault.opened.kind]}`", at=noticed, notes=(note,))
    message = f"`{fault.opened.kind}` is never closed"
    return mistake.error("P04", message, at=fault.opened, label="opened here", notes=(_noticed(mistake, fault),))


def _noticed(mistake: Mistake, fault: Fault) -> str:
    """Where it shows that a bracket is open."""
    found = fault.noticed if fault.opened and fault.opened.kind == "{" else mistake.found
    closer = CLOSER[fault.opened.kind] if fault.opened else ""
    if found.kind == "$END":
        return f"the file ends without a `{closer}` for it"
    return f"a `{closer}` was expected before {quoted(found)} at {found.line}:{found.column}"


def unexpected(mistake: Mistake) -> Diagnostic:
    """What can be said of any mistake: what could have come and what came."""
    expected = _UNITS[mistake.unit] if mistake.starts_unit else expectation(mistake.accepted)
    return mistake.error("P01", f"expected {expected}, found {quoted(mistake.found)}")


_UNITS = {
    "item": one_of([f"`{word}`" for word in TOP_WORDS]),
    "statement": "a statement",
    "entry": "a line such as `batch = 64`",
}


# The order matters: what explains most comes first.
_EXPLANATIONS = (
    characters.odd,
    bracket,
    characters.foreign_mark,
    statements.misplaced,
    statements.line_starts_inside_value,
    statements.unknown,
    expressions.stages_only,
    expressions.equals,
    statements.keyword_as_name,
    statements.unnamed_value,
    statements.bare_path,
    expressions.chained_comparison,
    expressions.line_ends_inside_value,
    expressions.number_with_bare_point,
    expressions.question_mark,
    statements.brace_on_next_line,
    statements.missing_arrow,
    statements.missing_axes,
    statements.missing_tilde,
    statements.missing_weight,
    statements.missing_equals,
    statements.several_in_one,
    statements.two_on_a_line,
    expressions.odd_number,
    expressions.missing_operator,
    expressions.missing_comma,
)
