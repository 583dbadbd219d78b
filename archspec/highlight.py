"""A Pygments lexer for specs, known to Pygments as `archspec`."""

from __future__ import annotations

from typing import ClassVar

from pygments.lexer import RegexLexer, bygroups, words
from pygments.token import Comment, Keyword, Name, Number, Operator, Punctuation, String, Text

KEYWORDS = (
    "import as let dim block model data train generate weight layer require if else over in state repeat frozen reversed carry"
).split()
WORDS = ("and", "or", "not", "where")
NAME = r"[^\W\d]\w*"


class ArchspecLexer(RegexLexer):  # type: ignore[misc]
    """Colours for `.arch` files."""

    name = "archspec"
    aliases: ClassVar[list[str]] = ["archspec", "arch"]
    filenames: ClassVar[list[str]] = ["*.arch"]

    tokens: ClassVar[dict[str, list[object]]] = {
        "root": [
            (r"\s+", Text.Whitespace),
            (r"#[^\n]*", Comment.Single),
            (r'"(\\.|[^"\\\n])*"', String.Double),
            (rf"\b(block|model)(\s+)({NAME})", bygroups(Keyword.Declaration, Text.Whitespace, Name.Class)),
            (words(KEYWORDS, prefix=r"\b", suffix=r"\b"), Keyword),
            (words(WORDS, prefix=r"\b", suffix=r"\b"), Operator.Word),
            (r"\b(true|false)\b", Keyword.Constant),
            (r"[0-9]+(_[0-9]+)*(\.[0-9]+(_[0-9]+)*([eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+)", Number.Float),
            (r"[0-9]+(_[0-9]+)*", Number.Integer),
            (rf"({NAME})(?=\s*(\[[^\]]*\])?\()", Name.Function),
            (NAME, Name),
            (r"\|>|->|==|!=|<=|>=|\.\.|[-+*/%@^~<>=?]", Operator),
            (r"[\[\](){},:;.]", Punctuation),
        ]
    }
