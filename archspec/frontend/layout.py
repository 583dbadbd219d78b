"""How tokens are set on lines: breaks, indents and the space between two tokens.

The author's line breaks stay, except that statements stand on lines of their own and that the braces of a body are
either both on one line or each at the end or start of one.
"""

from __future__ import annotations

from collections.abc import Iterator

from archspec.diagnostics import Source
from archspec.frontend.newlines import CLOSER
from archspec.frontend.tokens import Token, tokenize
from archspec.records import record, replace

INDENT = 2

# In a section the `=` of neighbouring lines are aligned, unless that would leave a wide gap.
WIDEST_ALIGNED = 16

_SECTIONS = ("data", "train", "generate")
_PLACE_ENDS = ("NAME", ")", "]")
_VALUE_ENDS = (*_PLACE_ENDS, "..", "INT", "FLOAT", "STRING", "true", "false")
_TIGHT_IN_INDEX = ("+", "-", "*", "/", "%")
_START = Token("{", "", 0, 0)


@record
class Word:
    """A token, and the line breaks before it in the source; a `;` counts as one."""

    token: Token
    breaks: int


@record
class Bracket:
    """An open bracket.

    kind        `(`, `[` (axes or indices), `{`, `list` or `section` (the braces of a section or of a rule in one)
    indent      of the line that it is on
    is_compact  `[B,T,D]`: only names and numbers, set without spaces
    is_open     `{` that ends its line
    """

    kind: str
    indent: int
    is_compact: bool
    is_open: bool


@record
class Piece:
    """A token and the space before it on its line. `names` marks the `=` of a line of a section."""

    gap: str
    token: Token
    names: bool = False


@record
class Line:
    """One line. `is_whole`: it holds one statement, all of it."""

    pieces: tuple[Piece, ...]
    indent: int
    has_blank: bool
    is_whole: bool = False

    def __str__(self) -> str:
        return " " * self.indent + "".join(piece.gap + piece.token.text.rstrip() for piece in self.pieces)


def lay_out(text: str) -> str:
    """`text`, which must be without syntax errors, in canonical form."""
    words = list(_words(tokenize(Source("", text), comments=True)))
    lines = _aligned(list(_lines(words)))
    return "".join(f"{chr(10) * line.has_blank}{line}\n" for line in lines)


def _words(tokens: list[Token]) -> Iterator[Word]:
    breaks, previous = 0, _START
    for token in tokens:
        if token.kind == "_NEWLINE":
            breaks += 1
            continue
        if token.kind == "where" and previous.kind not in _VALUE_ENDS:
            # The name `where`, as in `where(c, a, b)`, and not the word in `softmax[j where j <= i]`.
            token = token._replace(kind="NAME")
        yield Word(token, breaks)
        breaks, previous = 0, token


# --- lines -------------------------------------------------------------------------------------------------------


def _lines(words: list[Word]) -> Iterator[Line]:
    partners = _partners(words)
    brackets: list[Bracket] = []
    pieces: list[Piece] = []
    indent, has_blank, previous = 0, False, _START
    for position, word in enumerate(words):
        if pieces and _breaks(word, previous, brackets):
            yield Line(tuple(pieces), indent, has_blank, _ends_statement(words, position, brackets))
            has_blank = word.breaks > 1 and not _is_tight(word, previous, brackets)
            pieces, indent = [], _indent(words, position, brackets)
        pieces.append(_piece(words, position, pieces, brackets))
        _follow(words, position, brackets, indent, partners)
        previous = word.token
    if pieces:
        yield Line(tuple(pieces), indent, has_blank, True)


def _partners(words: list[Word]) -> dict[int, int]:
    """The position of each bracket's partner, by the position of the opening one."""
    partners, opened = {}, []
    for position, word in enumerate(words):
        if word.token.kind in CLOSER:
            opened.append(position)
        elif word.token.kind in CLOSER.values() and opened:
            partners[opened.pop()] = position
    return partners


def _breaks(word: Word, previous: Token, brackets: list[Bracket]) -> bool:
    """Whether `word` starts a line."""
    if word.token.kind == "COMMENT" or previous.kind == "COMMENT":
        return word.breaks > 0
    if previous.kind == "{":
        return brackets[-1].is_open and word.token.kind != "}"
    if word.token.kind == "}":
        return brackets[-1].is_open
    return word.breaks > 0


def _is_tight(word: Word, previous: Token, brackets: list[Bracket]) -> bool:
    """Whether an empty line before `word` goes: inside a value and beside the braces of a body."""
    inside = bool(brackets) and brackets[-1].kind in ("(", "[", "list")
    return inside or previous.kind == "{" or word.token.kind in ("}", "|>")


def _indent(words: list[Word], position: int, brackets: list[Bracket]) -> int:
    inside = brackets[-1].indent + INDENT if brackets else 0
    kind = words[position].token.kind
    if kind in CLOSER.values():
        return brackets[-1].indent
    in_body = not brackets or brackets[-1].kind in ("{", "section")
    return inside + INDENT if in_body and _goes_on(words, position) else inside


def _goes_on(words: list[Word], position: int) -> bool:
    """Whether the line from `position` on, after any comments, starts with `|>`."""
    kinds = (words[p].token.kind for p in range(position, len(words)))
    return next((kind for kind in kinds if kind != "COMMENT"), "") == "|>"


def _ends_statement(words: list[Word], position: int, brackets: list[Bracket]) -> bool:
    """Whether a statement ends before `position`, where a line ends."""
    in_body = not brackets or brackets[-1].kind in ("{", "section")
    return in_body and not _goes_on(words, position)


def _follow(words: list[Word], position: int, brackets: list[Bracket], indent: int, partners: dict[int, int]) -> None:
    """Opens or closes the bracket at `position`."""
    token = words[position].token
    if token.kind in CLOSER:
        end = partners.get(position, position)
        brackets.append(_bracket(words[position : end + 1], words[position - 1].token if position else _START, indent))
    elif token.kind in CLOSER.values() and brackets:
        brackets.pop()


def _bracket(inside: list[Word], previous: Token, indent: int) -> Bracket:
    """The bracket that starts `inside`, which ends with its partner."""
    kind = inside[0].token.kind
    if kind == "[" and previous.kind not in _PLACE_ENDS:
        kind = "list"
    if kind == "{" and previous.kind in (*_SECTIONS, "STRING"):
        kind = "section"
    is_compact = kind == "[" and all(word.token.kind in ("NAME", "INT", ",") for word in inside[1:-1])
    return Bracket(kind, indent, is_compact, any(word.breaks for word in inside[1:]))


# --- the space between two tokens ----------------------------------------------------------------------------------


def _piece(words: list[Word], position: int, before: list[Piece], brackets: list[Bracket]) -> Piece:
    token = words[position].token
    in_section = bool(brackets) and brackets[-1].kind == "section"
    names = token.kind == "=" and in_section and brackets[-1].is_open
    return Piece(_gap(words, position, brackets) if before else "", token, names)


def _gap(words: list[Word], position: int, brackets: list[Bracket]) -> str:
    """The space before the token at `position`, which does not start a line."""
    token, previous = words[position].token, words[position - 1].token
    if token.kind == "COMMENT":
        return "  "
    around = brackets[-1] if brackets else None
    tight = (
        _sticks_left(words, position)
        or previous.kind in ("(", "[", ".")
        or (previous.kind, token.kind) == ("{", "}")
        or _is_sign(words, position - 1)
        or _is_tight_mark(token, around)
        or _is_tight_mark(previous, around)
        or (previous.kind == "," and around is not None and around.is_compact)
    )
    return "" if tight else " "


def _sticks_left(words: list[Word], position: int) -> bool:
    kind, previous = words[position].token.kind, words[position - 1].token
    if kind in ("(", "["):
        return previous.kind in _PLACE_ENDS
    if kind == ":":
        # `x[B]: V`, but `require a == b : "message"`.
        return position + 1 == len(words) or words[position + 1].token.kind != "STRING"
    return kind in (",", ")", "]", "?", ".") or (kind == ".." and previous.kind == "NAME")


def _is_sign(words: list[Word], position: int) -> bool:
    """Whether the token at `position` is a minus with nothing on its left."""
    if words[position].token.kind != "-":
        return False
    return position == 0 or words[position - 1].token.kind not in _VALUE_ENDS


def _is_tight_mark(token: Token, around: Bracket | None) -> bool:
    """`x^2`, `f(p=0.1)`, `h[t-1]`."""
    if token.kind == "^" or around is None:
        return token.kind == "^"
    return (token.kind == "=" and around.kind == "(") or (token.kind in _TIGHT_IN_INDEX and around.kind == "[")


# --- alignment -----------------------------------------------------------------------------------------------------


def _aligned(lines: list[Line]) -> list[Line]:
    """`lines` with the `=` of neighbouring settings below one another."""
    result: list[Line] = []
    run: list[Line] = []
    for line in lines:
        if run and not (_width(line) and not line.has_blank and line.indent == run[-1].indent):
            result += _padded(run)
            run = []
        if _width(line):
            run.append(line)
        else:
            result.append(line)
    return result + _padded(run)


def _width(line: Line) -> int:
    """The width of what stands before the `=` of a setting that is all on this line; 0 for other lines."""
    marks = [position for position, piece in enumerate(line.pieces) if piece.names]
    if not marks or not line.is_whole or line.pieces[0].token.kind != "NAME":
        return 0
    width = sum(len(piece.gap + piece.token.text) for piece in line.pieces[: marks[0]])
    return width if width <= WIDEST_ALIGNED else 0


def _padded(run: list[Line]) -> list[Line]:
    widest = max(map(_width, run), default=0)
    return [_with_gap(line, widest - _width(line) + 1) for line in run]


def _with_gap(line: Line, size: int) -> Line:
    pieces = (replace(piece, gap=" " * size) if piece.names else piece for piece in line.pieces)
    return replace(line, pieces=tuple(pieces))
