"""The canonical form of a file."""

from __future__ import annotations

from archspec.diagnostics import Source
from archspec.frontend.layout import lay_out
from archspec.frontend.parse import parse
from archspec.frontend.tokens import tokenize


def format_source(source: Source) -> str:
    """The text of `source` in canonical form, which says the same and keeps every comment.

    Raises ArchError for a syntax error.
    """
    tree = parse(source)
    text = lay_out(source.text)
    formatted = Source(source.path, text)
    if parse(formatted) != tree or _words(formatted) != _words(source) or lay_out(text) != text:
        raise AssertionError(f"the formatter changed what {source.path} says; please report this file")
    return text


def _words(source: Source) -> list[str]:
    """What must not change: all tokens and comments, without the line breaks between them."""
    tokens = tokenize(source, comments=True)
    return [token.text.rstrip() for token in tokens if token.kind != "_NEWLINE"]
