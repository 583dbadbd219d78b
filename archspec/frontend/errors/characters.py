"""Mistakes in single words and marks: strange characters, strings, and the marks of other languages."""

from __future__ import annotations

import unicodedata

from archspec.diagnostics import Diagnostic, Span
from archspec.frontend.errors.mistake import Mistake
from archspec.frontend.tokens import LONGEST_NAME

# Marks that people bring from other languages, the longer ones first, and what to write in their place.
_FOREIGN_MARKS = {
    "===": "write `==` to compare",
    "...": "any leading axes are written `..`",
    ":=": "a name gets its value by `=`",
    "**": "a power is written with `^`, as in `x^2`",
    "//": "a comment starts with `#`; a division is written `/`",
    "/*": "a comment starts with `#` and goes to the end of the line",
    "&&": "write `and`",
    "||": "write `or`",
    "=>": "results come after `->`; comparisons are written `>=` and `<=`",
    "<>": "write `!=` to compare",
    "+=": "every name gets its value once; give the new value a new name",
    "-=": "every name gets its value once; give the new value a new name",
    "*=": "every name gets its value once; give the new value a new name",
    "/=": "every name gets its value once; give the new value a new name",
    "::": "an integer tensor is declared with one colon, as in `words[B,T]: V`",
}

_FOREIGN_CHARACTERS = {
    "&": "write `and`",
    "|": "write `|>` to feed a layer, or `or` between conditions",
    "!": "write `not`",
    "“": 'write `"`',
    "”": 'write `"`',
    "„": 'write `"`',
    "«": 'write `"`',
    "»": 'write `"`',
    "‘": 'write `"`',
    "’": 'write `"`',
    "`": 'strings are written in double quotes, as in `"a.csv"`',
    "–": "write `-`",
    "—": "write `-`",
    "−": "write `-`",
    "×": "write `*`",
    "·": "write `*`, or `@` for a matrix product",
    "∗": "write `*`",
    "÷": "write `/`",
    "≤": "write `<=`",
    "≥": "write `>=`",
    "≠": "write `!=`",
    "→": "write `->`",
    "…": "write `..`",
    "√": "write `sqrt(x)`",
    "∑": "write `sum[j](x[j])`",
    "∈": "write `in`",
    "←": "a name gets its value by `=`",
    "$": "names are made of letters, digits and `_`",
    "\\": "a statement goes on over lines inside ( ), or before a line that starts with `|>`",
    "\xa0": "this is a no-break space; write an ordinary one",
}

_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789", strict=True))


def odd(mistake: Mistake) -> Diagnostic | None:
    """What no token of the language matches."""
    if mistake.found.kind != "ODD":
        return None
    text = mistake.found.text
    if text[0] == '"':
        return _unterminated(mistake)
    if text[0] == "'":
        return _single_quoted(mistake)
    if len(text) > LONGEST_NAME:
        return mistake.error("P10", f"this name has {len(text)} characters, more than the {LONGEST_NAME} that are allowed")
    return foreign_mark(mistake) or _character(mistake)


def _unterminated(mistake: Mistake) -> Diagnostic:
    found = mistake.found
    start = Span(mistake.source, found.line, found.column, found.line, found.column + 1)
    hint = "a string ends on the line where it starts; a line break in it is written `\\n`"
    if found.text.rstrip().endswith('\\"'):
        hint = 'the last `\\"` is a quote inside the string; write `\\\\` for a backslash at its end'
    return mistake.error("P03", 'this string has no closing `"`', hint, at=start, label="opened here")


def _single_quoted(mistake: Mistake) -> Diagnostic:
    text = mistake.found.text
    closed = len(text) > 1 and text.endswith("'")
    example = text[1:-1] if closed and len(text) <= 40 and '"' not in text else "…"
    return mistake.error("P03", "strings are written in double quotes", f'write `"{example}"`')


def foreign_mark(mistake: Mistake) -> Diagnostic | None:
    """A mark that other languages have, wherever in it the parser stopped."""
    found = mistake.found
    line = mistake.source.line(found.line)
    for mark, hint in _FOREIGN_MARKS.items():
        for offset in range(len(mark)):
            start = found.column - 1 - offset
            if start >= 0 and line.startswith(mark, start):
                span = Span(mistake.source, found.line, start + 1, found.line, start + 1 + len(mark))
                return mistake.error("P07", f"`{mark}` is not a mark of the language", hint, at=span)
    return None


def _character(mistake: Mistake) -> Diagnostic:
    """A character that the language does not have, alone or in a name."""
    found = mistake.found
    offset = next((i for i, c in enumerate(found.text) if c != "_" and unicodedata.category(c) not in _IN_NAMES), 0)
    character, column = found.text[offset], found.column + offset
    span = Span(mistake.source, found.line, column, found.line, column + 1)
    return mistake.error("P02", _complaint(character), *_remedy(mistake, character, found.text[:offset]), at=span)


_IN_NAMES = ("Lu", "Ll", "Lt", "Lm", "Lo", "Nd")


def _complaint(character: str) -> str:
    category = unicodedata.category(character)
    if category[0] in "CZ":
        name = unicodedata.name(character, "a control character").lower()
        return f"U+{ord(character):04X}, {name}, is allowed only in strings and comments"
    if category[0] == "M":
        return f"the letter before U+{ord(character):04X} is written as two characters"
    return f"`{character}` is not in the language"


def _remedy(mistake: Mistake, character: str, before: str) -> tuple[str, ...]:
    if character in _SUPERSCRIPTS:
        return (f"write `{before or 'x'}^{_SUPERSCRIPTS[character]}`",)
    if unicodedata.category(character)[0] == "M":
        return ("write it as one (the Unicode form NFC), or without the accent",)
    return (_FOREIGN_CHARACTERS[character],) if character in _FOREIGN_CHARACTERS else ()
