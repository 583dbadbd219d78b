"""The lines of a section that holds settings, such as `batch = 64`: each name is known and given once."""

from __future__ import annotations

from collections.abc import Sequence

from archspec.diagnostics import ArchError, Diagnostic, Span, did_you_mean
from archspec.frontend import syntax
from archspec.lower.files import defined_twice
from archspec.records import record


@record
class Settings:
    """What a section, or a rule in one, may hold: `code` is that of its errors, `holds` names its statements."""

    owner: str
    code: str
    holds: str
    keys: tuple[str, ...]
    hints: tuple[str, ...] = ()

    def read(self, item: syntax.Statement, seen: dict[str, Span]) -> tuple[str, syntax.Expression]:
        """A line's name and value; `seen` are the names so far, and gets this one."""
        if not isinstance(item, syntax.Assign) or not _is_plain(item.targets):
            raise ArchError(Diagnostic(self.code, f"{self.owner} holds {self.holds}", item.span, hints=self.hints))
        target = item.targets[0]
        if target.name not in self.keys:
            message = f"{self.owner} has no setting `{target.name}`"
            raise ArchError(Diagnostic(self.code, message, target.span, hints=did_you_mean(target.name, self.keys)))
        if target.name in seen:
            raise ArchError(defined_twice(target.name, target.span, seen[target.name], "leave one of the two out"))
        seen[target.name] = target.span
        return target.name, item.value


def _is_plain(targets: Sequence[syntax.Target]) -> bool:
    """`name = value`, with nothing but one name on the left."""
    return len(targets) == 1 and targets[0].indices is None and targets[0].of is None
