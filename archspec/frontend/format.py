"""The canonical form of a file."""

from __future__ import annotations

from archspec.diagnostics import ArchError, Diagnostic, Source
from archspec.frontend.layout import lay_out
from archspec.frontend.parse import parse
from archspec.frontend.syntax import File
from archspec.frontend.tokens import tokenize


def format_source(source: Source) -> str:
    """The text of `source` in canonical form, which says the same and keeps every comment.

    Both are looked at each time: the syntax trees of the two texts are equal, and so are their words, comments among them.

    Raises ArchError for a syntax error, and where the form would not be one that is sure to say the same.
    """
    tree = parse(source)
    text = lay_out(source.text)
    formatted = Source(source.path, text)
    wrong = _difference(tree, source, formatted)
    if wrong:
        hint = "this is a mistake of archspec, not of the file: please report it together with the file"
        message = f"`{source.path}` stays as it is: its canonical form would {wrong}"
        raise ArchError(Diagnostic("R08", message, hints=(hint,)))
    return text


def _difference(tree: File, source: Source, formatted: Source) -> str:
    """What is wrong with a canonical form; nothing, unless the layout has a mistake."""
    try:
        if parse(formatted) != tree:
            return "not say the same"
    except ArchError:
        return "not be a spec"
    if _words(formatted) != _words(source):
        return "lose or change a word or a comment"
    return "" if lay_out(formatted.text) == formatted.text else "not be final"


def _words(source: Source) -> list[str]:
    """What must not change: all tokens and comments, without the line breaks between them."""
    tokens = tokenize(source, comments=True)
    return [token.text.rstrip() for token in tokens if token.kind != "_NEWLINE"]
