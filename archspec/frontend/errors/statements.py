"""Mistakes in how statements are written and where they stand."""

from __future__ import annotations

from archspec.diagnostics import Diagnostic, did_you_mean
from archspec.frontend.errors.brackets import TOP_WORDS
from archspec.frontend.errors.mistake import OPERATORS, UNIT_ENDS, VALUE_ENDS, Mistake, is_keyword, one_of, quoted
from archspec.frontend.tokens import Token

STATEMENT_WORDS = ("let", "weight", "layer", "require", "if", "over", "state")
ENTRY_WORDS = ("let", "require")

_WORDS = {"item": TOP_WORDS, "statement": STATEMENT_WORDS, "entry": ENTRY_WORDS}

_FOREIGN_WORDS = {
    "def": "a layer is defined by `block`",
    "fn": "a layer is defined by `block`",
    "func": "a layer is defined by `block`",
    "function": "a layer is defined by `block`",
    "class": "a layer is defined by `block`, something to train by `model`",
    "network": "something to train is defined by `model`",
    "for": "`repeat` stacks layers; `over` goes along an axis",
    "while": "`repeat` stacks layers; `over` goes along an axis",
    "loop": "`repeat` stacks layers; `over` goes along an axis",
    "return": "results are the names after `->` in the signature",
    "elif": "write `else if`",
    "var": "a constant is written `let`",
    "const": "a constant is written `let`",
    "set": "a constant is written `let`",
    "assert": "a condition is checked by `require`",
    "param": "what is trained is written `weight`",
    "parameter": "what is trained is written `weight`",
    "from": 'write `import "file.arch"`',
    "include": 'write `import "file.arch"`',
    "axis": "axes are declared by `dim`",
    "test": "the share to test on is part of `split` in `data`",
}


def misplaced(mistake: Mistake) -> Diagnostic | None:
    """A statement that is known, but not here."""
    word = mistake.found.kind
    if not mistake.starts_unit or _is_target(mistake):
        return None
    if word == "else":
        return mistake.error("P09", "`else` must follow the `}` of its `if`", "write `} else {` on one line")
    if word in TOP_WORDS and mistake.unit != "item":
        where = "a `block` or `model`" if mistake.unit == "statement" else "a section"
        return mistake.error("P09", f"`{word}` stands at the top of a file, not inside {where}")
    if word in STATEMENT_WORDS:
        hint = f"a section holds lines such as `batch = 64`{_choice_hint(word)}"
        return mistake.error("P09", f"`{word}` belongs inside a `block` or `model`", *([hint] * (mistake.unit == "entry")))
    return None


def _choice_hint(word: str) -> str:
    return "; a choice is written `a if c else b`" if word == "if" else ""


def _is_target(mistake: Mistake) -> bool:
    """Whether what follows shows that the word was meant as the name of a value."""
    return mistake.following.kind in ("=", "[", ":", ",", "|>", ".")


def line_starts_inside_value(mistake: Mistake) -> Diagnostic | None:
    """An operator at the start of a statement: its left side is on the line before."""
    if not mistake.starts_unit or mistake.found.kind not in OPERATORS:
        return None
    if mistake.found.kind == "|>":
        return mistake.error("P13", "there is nothing before this `|>` to feed", "start with a value, as in `h = x |> f`")
    hint = "put the whole value in ( ), where line breaks do not count"
    return mistake.error("P13", f"a statement cannot start with `{mistake.found.kind}`", hint)


def unknown(mistake: Mistake) -> Diagnostic | None:
    """A first word that is no statement, as in `modle m(…)` or `wieght W[…]`."""
    if mistake.start.kind != "NAME" or mistake.position > mistake.first + 1:
        return None
    if mistake.unit == "item":
        return _unknown_item(mistake)
    if mistake.found.kind not in ("NAME", "STRING", "(") and not is_keyword(mistake.found):
        return None
    hints = _suggestions(mistake)
    if mistake.found.kind == "(" and not hints:
        return None
    words = one_of([f"`{word}`" for word in _WORDS[mistake.unit]])
    message = f"`{mistake.start.text}` does not start a statement"
    return mistake.error(
        "P09", message, *(hints or (f"statements start with {words}, or are `name = value`",)), at=mistake.start
    )


def _unknown_item(mistake: Mistake) -> Diagnostic:
    word = mistake.start.text
    hints = _suggestions(mistake)
    if _is_target(mistake):
        hints = ("a value belongs in a `block` or `model`; a constant is written `let`",)
    words = one_of([f"`{top}`" for top in TOP_WORDS])
    return mistake.error("P09", f"`{word}` does not start anything at the top of a file", *(hints or (f"known: {words}",)))


def _suggestions(mistake: Mistake) -> tuple[str, ...]:
    """What was meant by the first word: a word of another language, or one of ours misspelt."""
    word = mistake.start.text
    if word.lower() in _FOREIGN_WORDS:
        return (_FOREIGN_WORDS[word.lower()],)
    hints = did_you_mean(word.lower(), _WORDS[mistake.unit])
    return hints if any(hint.startswith("did you mean") for hint in hints) else ()


def unnamed_value(mistake: Mistake) -> Diagnostic | None:
    """A line such as `x |> linear(H)`, whose value gets no name."""
    if mistake.unit == "item" or is_keyword(mistake.start) or "=" in _kinds(mistake, mistake.position):
        return None
    starts_value = mistake.starts_unit and mistake.found.kind in ("INT", "FLOAT", "STRING", "(", "-")
    goes_on = "=" in mistake.accepted and mistake.found.kind in OPERATORS | {"(", ".", "_NEWLINE", "}", "if"}
    if not (starts_value or goes_on):
        return None
    value = mistake.text(mistake.first, mistake.end)
    is_name = mistake.end == mistake.first + 1
    hint = "write `name = value`" if is_name or len(value) > 60 else f"write `y = {value}`"
    return mistake.error("P09", "this value is not given a name", hint, at=mistake.start)


def _kinds(mistake: Mistake, end: int) -> list[str]:
    return [token.kind for token in mistake.tokens[mistake.first : end]]


def keyword_as_name(mistake: Mistake) -> Diagnostic | None:
    """A word of the language where a name belongs."""
    word = mistake.found.kind
    if mistake.position == mistake.first + 1 and is_keyword(mistake.start) and word == "=":
        return _keyword_as_name(mistake, mistake.start)
    if not is_keyword(mistake.found) or "NAME" not in mistake.accepted:
        return None
    if "INT" in mistake.accepted and word in ("if", "else"):
        return mistake.error("P01", f"expected a value, found `{word}`", "a choice is written `a if c else b`")
    if "INT" in mistake.accepted and word in ("not", "repeat"):
        return mistake.error("P01", f"`{word}` cannot stand here without ( ) around it", f"write `({word} …)`")
    return _keyword_as_name(mistake, mistake.found)


def _keyword_as_name(mistake: Mistake, token: Token) -> Diagnostic:
    message = f"`{token.kind}` is a word of the language and cannot be a name"
    return mistake.error("P06", message, f"use another name, such as `{token.kind}_`", at=token)


def bare_path(mistake: Mistake) -> Diagnostic | None:
    """`import blocks`."""
    if mistake.start.kind != "import" or mistake.found.kind != "NAME" or "STRING" not in mistake.accepted:
        return None
    hint = f'write `import "{mistake.found.text}.arch"`'
    return mistake.error("P01", "the path of an imported file is a string in double quotes", hint)


def brace_on_next_line(mistake: Mistake) -> Diagnostic | None:
    if not mistake.brace_follows:
        return None
    return mistake.error("P13", "the `{` of a body stands on this line, not on the next", "move it here")


def missing_arrow(mistake: Mistake) -> Diagnostic | None:
    if "->" not in mistake.accepted:
        return None
    message = f"expected `->` and the results, found {quoted(mistake.found)}"
    return mistake.error("P01", message, "write for example `block f(x[B,D]) -> y[B,D] {`")


def missing_axes(mistake: Mistake) -> Diagnostic | None:
    """`weight b ~ zeros`, `-> z {`: a tensor that does not say which axes it has."""
    if mistake.accepted != {"["} or mistake.previous.kind != "NAME":
        return None
    name = mistake.previous.text
    hint = f"write `{name}[B,D]` with its axes, or `{name}[]` for a single number"
    return mistake.error("P01", f"`{name}` does not say which axes it has", hint, at=mistake.previous)


def missing_tilde(mistake: Mistake) -> Diagnostic | None:
    if mistake.start.kind != "weight" or "~" not in mistake.accepted:
        return None
    message = f"expected `~` and how `{mistake.tokens[mistake.first + 1].text}` is drawn, found {quoted(mistake.found)}"
    return mistake.error("P01", message, "write for example `weight W[D,H] ~ glorot`")


def missing_weight(mistake: Mistake) -> Diagnostic | None:
    """`W[D,H] ~ glorot`."""
    if mistake.found.kind != "~" or mistake.start.kind != "NAME" or mistake.unit != "statement":
        return None
    hint = f"write `weight {mistake.text(mistake.first, mistake.end)}`"
    return mistake.error("P01", f"the word `weight` is missing before `{mistake.start.text}`", hint, at=mistake.start)


def missing_equals(mistake: Mistake) -> Diagnostic | None:
    """`batch 64`, `let H`."""
    if "=" not in mistake.accepted or mistake.accepted & {"*", ")", *UNIT_ENDS}:
        return None
    message = f"expected `=` and a value, found {quoted(mistake.found)}"
    return mistake.error("P01", message)


def several_in_one(mistake: Mistake) -> Diagnostic | None:
    """`weight W[D] ~ zeros, b[D] ~ zeros`."""
    word = mistake.start.kind
    if word not in ("weight", "layer") or mistake.found.kind != "," or not mistake.accepted & UNIT_ENDS:
        return None
    return mistake.error("P01", f"one `{word}` statement makes one {word}", f"start a new line with `{word}`")


def two_on_a_line(mistake: Mistake) -> Diagnostic | None:
    """A statement that starts where another could have ended."""
    if "_NEWLINE" not in mistake.accepted and "}" not in mistake.accepted:
        return None
    is_statement = mistake.found.kind in _WORDS[mistake.unit] or (mistake.found.kind == "NAME" and _assigns(mistake))
    if not is_statement or mistake.previous.kind not in VALUE_ENDS | {"frozen"}:
        return None
    mark = "," if mistake.start.kind in ("let", "state") and mistake.found.kind == "NAME" else ";"
    hint = f"start a new line, or write `{mark}` between them"
    return mistake.error("P05", "two statements on one line", hint, label="the second")


def _assigns(mistake: Mistake) -> bool:
    """Whether the found name is the target of an assignment: an `=` outside brackets follows."""
    if mistake.start.kind == "let":
        return mistake.following.kind == "="
    depth = 0
    for token in mistake.tokens[mistake.position : mistake.end]:
        depth += (token.kind in "([{") - (token.kind in ")]}")
        if token.kind == "=" and depth == 0:
            return True
    return False
