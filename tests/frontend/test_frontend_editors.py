"""What editors colour specs by knows the words of the grammar, and takes every spec."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from support import REPOSITORY

GRAMMAR = (REPOSITORY / "grammar" / "archspec.lark").read_text(encoding="utf-8")
TEXTMATE = json.loads((REPOSITORY / "grammar" / "archspec.tmLanguage.json").read_text(encoding="utf-8"))
VSCODE = REPOSITORY / "editors" / "vscode"
SPECS = [*REPOSITORY.glob("specs/*.arch"), *REPOSITORY.glob("archspec/stdlib/*.arch")]
WORDS = set(re.findall(r'"([a-z]+)"', re.sub(r"//.*", "", GRAMMAR)))


def patterns(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node[k] for k in ("match", "begin", "end") if k in node]
        return own + [p for value in node.values() for p in patterns(value)]
    return [p for value in node for p in patterns(value)] if isinstance(node, list) else []


def test_textmate_knows_every_word() -> None:
    for word in WORDS:
        rules = ("keyword", "constant")
        assert any(re.fullmatch(p, word) for rule in rules for p in patterns(TEXTMATE["repository"][rule])), word


def test_textmate_is_sound() -> None:
    for pattern in patterns(TEXTMATE):
        re.compile(pattern)
    included = set(re.findall(r'"#(\w+)"', json.dumps(TEXTMATE)))
    assert included == set(TEXTMATE["repository"])


def test_textmate_colours_every_character_that_is_not_a_bracket() -> None:
    rules = [p for rule in TEXTMATE["repository"]["code"]["patterns"] for p in _whole(rule["include"][1:])]
    either = re.compile("|".join(f"(?:{p})" for p in rules), re.MULTILINE)
    for path in SPECS:
        left = either.sub("", path.read_text(encoding="utf-8"))
        assert set(left) <= set("()[]{},:;. \n"), path


def _whole(rule: str) -> list[str]:
    return [r'"(?:\\.|[^"\\\n])*"'] if rule == "string" else patterns(TEXTMATE["repository"][rule])


def test_the_extension_names_files_that_are_there() -> None:
    contributes = json.loads((VSCODE / "package.json").read_text(encoding="utf-8"))["contributes"]
    for path in (contributes["languages"][0]["configuration"], contributes["grammars"][0]["path"]):
        json.loads((VSCODE / path).read_text(encoding="utf-8"))
    assert contributes["grammars"][0]["scopeName"] == TEXTMATE["scopeName"]


def test_pygments_takes_every_spec() -> None:
    pytest.importorskip("pygments", reason="pygments is not installed")
    from pygments.token import Error

    from archspec.highlight import KEYWORDS, ArchspecLexer
    from archspec.highlight import WORDS as OPERATORS

    assert {*KEYWORDS, *OPERATORS, "true", "false"} >= WORDS
    for path in SPECS:
        text = path.read_text(encoding="utf-8")
        tokens = list(ArchspecLexer(stripnl=False).get_tokens(text))
        assert "".join(value for _, value in tokens) == text
        assert not [value for kind, value in tokens if kind is Error]
