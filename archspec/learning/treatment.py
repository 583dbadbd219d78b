"""How each weight is trained: what the rules of `train` say about its path."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from typing import Any

from archspec.diagnostics import ArchError, Diagnostic, Span, did_you_mean
from archspec.records import record


@record
class Treatment:
    """How one weight is trained."""

    lr: float
    decay: float
    frozen: bool


def matches(pattern: str, path: str) -> bool:
    """Whether a rule's pattern means a path. `.` and `/` both part names; `*` stands for anything."""
    return fnmatch.fnmatchcase(path.replace(".", "/"), pattern.replace(".", "/"))


def treatments(paths: Mapping[str, bool], rules: Any, lr: float, decay: float) -> dict[str, Treatment]:
    """For each path (True: frozen in the spec) what the rules say; a later rule wins. Raises ArchError for a rule that
    matches nothing."""
    found = {path: Treatment(lr, decay, frozen) for path, frozen in paths.items()}
    problems = []
    for rule in rules:
        hit = [path for path in paths if matches(rule.pattern, path)]
        if not hit:
            problems.append(_no_match(rule.pattern, rule.span, paths))
        for path in hit:
            old = found[path]
            found[path] = Treatment(
                old.lr if rule.lr is None else rule.lr,
                old.decay if rule.decay is None else rule.decay,
                old.frozen if rule.freeze is None else rule.freeze,
            )
    if problems:
        raise ArchError(problems)
    return found


def _no_match(pattern: str, span: Span | None, paths: Mapping[str, bool]) -> Diagnostic:
    shown = ", ".join(f"`{p}`" for p in list(paths)[:4])
    hints = did_you_mean(pattern, paths) if len(paths) <= 12 else (f"paths look like {shown}",)
    return Diagnostic("T04", f'no weight matches "{pattern}"', span, hints=hints)
