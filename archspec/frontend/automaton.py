"""The tables of the grammar, as parse.py and the error messages read them."""

from __future__ import annotations

import json
from functools import cache
from os import path
from typing import TypeAlias

from archspec.records import record

Rule: TypeAlias = tuple[str, int, str | None, list[int | None]]


@record
class Tables:
    """See `tables.build_tables` for what each field holds."""

    pattern: str
    keywords: frozenset[str]
    start: int
    end: int
    rules: list[Rule]
    actions: list[dict[str, int]]
    gotos: list[dict[str, int]]


@cache
def load_tables() -> Tables:
    with open(path.join(path.dirname(__file__), "grammar.json"), encoding="utf-8") as file:
        fields = json.load(file)
    return Tables(**fields | {"keywords": frozenset(fields["keywords"])})
