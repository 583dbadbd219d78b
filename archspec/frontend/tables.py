"""`grammar/archspec.lark` turned into the tables that the parser runs on.

    python -m archspec.frontend.tables        writes archspec/frontend/grammar.json

lark checks the grammar and computes its LALR(1) tables here, once. Importing lark and building the tables takes a
quarter of a second, too much for every start, so at run time parse.py reads the JSON and lark is not imported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from lark import Lark, Token
from lark.grammar import Rule
from lark.lexer import Lexer, TerminalDef

GRAMMAR = Path(__file__).parents[2] / "grammar" / "archspec.lark"
TABLES = Path(__file__).with_name("grammar.json")


class NoLexer(Lexer):
    """Stands in for lark's lexer, which is not used: tokens.py lexes with the expression made here."""

    def __init__(self, lexer_conf: Any):
        pass

    def lex(self, lexer_state: Any, parser_state: Any) -> Iterator[Token]:
        raise NotImplementedError


def load_grammar(lexer: type[Lexer] = NoLexer) -> Lark:
    """The grammar as lark understands it. A conflict is an error, as `strict` asks."""
    return Lark(GRAMMAR.read_text("utf-8"), parser="lalr", lexer=lexer, start="file", strict=True)


def build_tables(grammar: Lark) -> dict[str, Any]:
    """What grammar.json holds. Marks and keywords go by their text, other terminals by their names in the grammar.

    pattern   one regular expression for all tokens; the group that matched is the kind of a token
    keywords  names that are words of the language
    rules     [nonterminal, symbols, maker or null to pass a child on, the children: positions, null where absent]
    actions   for each state and the next token: n >= 0 takes the token and goes to state n, -1 - r reduces by rule r
    gotos     for each state and a nonterminal just made: the state that follows
    """
    data, memo = grammar.memo_serialize([TerminalDef, Rule])
    table = data["parser"]["parser"]
    rules = {key: entry for key, entry in memo.items() if entry["__type__"] == "Rule"}
    texts = {t.name: _text(t) for t in grammar.terminals} | {"$END": "$END"}
    rows = _rows(table, texts, {key: number for number, key in enumerate(rules)})
    order = _reached(rows, table["start_states"]["file"])
    return {
        "pattern": _pattern(list(grammar.terminals)),
        "keywords": sorted(text for text in texts.values() if text.isalpha() and text.islower()),
        "start": order[table["start_states"]["file"]],
        "end": order[table["end_states"]["file"]],
        "rules": [_recipe(rule) for rule in rules.values()],
        "actions": [_renumbered(rows[state][0], order) for state in order],
        "gotos": [_renumbered(rows[state][1], order) for state in order],
    }


def _text(terminal: TerminalDef) -> str:
    return str(terminal.pattern.value) if terminal.pattern.type == "str" else terminal.name


def _pattern(terminals: list[TerminalDef]) -> str:
    """One expression for every token: patterns that exclude one another, except FLOAT that must come before INT."""
    named = {t.name: t.pattern.to_regexp() for t in terminals if t.pattern.type == "re"}
    order = ["SPACE", "NAME", "MARK", "_NEWLINE", "FLOAT", "INT", "STRING", "COMMENT"]
    assert {*order} - {"MARK"} == set(named)
    return "|".join(f"(?P<{name}>{named.get(name) or _marks(terminals)})" for name in order)


def _marks(terminals: list[TerminalDef]) -> str:
    """The marks as alternatives, long ones first, so that `<=` is not read as `<` and `=`."""
    texts = [_text(t) for t in terminals if t.pattern.type == "str"]
    marks = sorted((t for t in texts if not t.isalpha()), key=lambda t: (-len(t), t))
    return "|".join(re.escape(mark) for mark in marks)


def _recipe(rule: dict[str, Any]) -> list[Any]:
    """How to reduce by `rule`, with lark's meaning of `?rule`, `_rule`, `!rule`, aliases and absent options."""
    keep = list(_kept(rule))
    options, origin = rule["options"], rule["origin"]["name"]
    passes = options["expand1"] and not rule["alias"] and len(keep) == 1
    maker = None if passes else "" if origin.startswith("_") else rule["alias"] or origin
    return [origin, len(rule["expansion"]), maker, keep]


def _kept(rule: dict[str, Any]) -> Iterator[int | None]:
    absent = rule["options"]["empty_indices"] or [False] * len(rule["expansion"])
    position = 0
    for is_absent in absent:
        if is_absent:
            yield None
        elif position < len(rule["expansion"]):
            symbol = rule["expansion"][position]
            if rule["options"]["keep_all_tokens"] or not symbol.get("filter_out"):
                yield position
            position += 1


Row: TypeAlias = dict[str, int]


def _rows(table: dict[str, Any], texts: dict[str, str], numbers: dict[int, int]) -> dict[int, tuple[Row, Row]]:
    """The actions and the gotos of each of lark's states, with its rules by number."""
    return {state: _split(row, table["tokens"], texts, numbers) for state, row in table["states"].items()}


def _split(row: dict[int, Any], tokens: dict[int, str], texts: dict[str, str], numbers: dict[int, int]) -> tuple[Row, Row]:
    """The entries of a row by terminal and by nonterminal: `let` is both, so they cannot share one."""
    actions, gotos = {}, {}
    for token, (reduces, argument) in sorted(row.items(), key=lambda entry: tokens[entry[0]]):
        name = tokens[token]
        if name in texts:
            actions[texts[name]] = -1 - numbers[argument["@"]] if reduces else argument
        else:
            gotos[name] = argument
    return actions, gotos


def _reached(rows: dict[int, tuple[Row, Row]], start: int) -> dict[int, int]:
    """New numbers for the states, breadth first. lark's own change from run to run with the hashes of strings."""
    order = {start: 0}
    for state in (queue := [start]):
        for target in (*rows[state][0].values(), *rows[state][1].values()):
            if target >= 0 and target not in order:
                order[target] = len(order)
                queue.append(target)
    return order


def _renumbered(row: Row, order: dict[int, int]) -> Row:
    return {key: order[action] if action >= 0 else action for key, action in row.items()}


def write_json(tables: dict[str, Any]) -> str:
    """The tables as JSON with one rule or state on a line, so that a change to the grammar shows as a small diff."""
    fields = (f"{json.dumps(key)}: {_lines(value)}" for key, value in tables.items())
    return "{\n" + ",\n".join(fields) + "\n}\n"


def _lines(value: Any) -> str:
    if not isinstance(value, list) or isinstance(value[0], str):
        return json.dumps(value)
    rows = (json.dumps(row, separators=(",", ":")) for row in value)
    return "[\n" + ",\n".join(rows) + "\n]"


def main() -> None:
    TABLES.write_text(write_json(build_tables(load_grammar())), "utf-8")


if __name__ == "__main__":
    main()
