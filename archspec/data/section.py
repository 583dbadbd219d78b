"""A `data` section as it is written: its fields, sources and split, before any row is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archspec.data.expressions import Scope, evaluate
from archspec.data.fields import FieldDraft, draft_field
from archspec.data.files import Folder
from archspec.data.problems import Problems, counted, problem, quoted
from archspec.data.values import Failed, Scalar, Several, Source, Split, Value
from archspec.diagnostics import Span
from archspec.frontend import syntax
from archspec.records import record, replace

MAX_LINES = 1000


@record
class Draft:
    """`sources` are those that columns were picked from."""

    fields: tuple[FieldDraft, ...]
    sources: Mapping[str, Source]
    split: Split | None


def read_section(
    section: syntax.Section,
    dims: Mapping[str, int | None],
    settings: Mapping[str, object],
    folder: Folder,
    problems: Problems,
    ragged: frozenset[str] = frozenset(),
) -> Draft:
    """What the statements of `section` say; the files that they name are open."""
    names: dict[str, Value] = {name: value for name, value in settings.items() if isinstance(value, Scalar)}
    scope = Scope(names, folder, {})
    fields: list[FieldDraft] = []
    splits: list[Split] = []
    for statement in section.body[:MAX_LINES]:
        with problems.collecting():
            targets, expression = _assignment(statement, names)
            value = _value(expression, targets[0].name, scope, problems)
            for target, part in zip(targets, _shared(targets, value, names, expression.span), strict=True):
                names[target.name] = part
                if target.indices is not None and not isinstance(part, Failed):
                    with problems.collecting():
                        fields.append(draft_field(target, target.indices, part, expression.span, dims, ragged))
            if isinstance(value, Split):
                splits.append(value)
    with problems.collecting():
        _check_section(section, fields, splits, problems)
    return Draft(tuple(fields), scope.used, splits[0] if splits else None)


def _assignment(statement: syntax.Statement, names: Mapping[str, Value]) -> tuple[tuple[syntax.Target, ...], syntax.Expression]:
    """The targets and the expression of a line that binds new names."""
    if not isinstance(statement, syntax.Assign):
        raise problem("D04", "a `data` section holds lines such as `name = …` only", statement.span)
    known = set(names)
    for target in statement.targets:
        if target.name in known:
            hint = "every name is bound once"
            raise problem("D01", f"{quoted(target.name)} has a value already", target.span, hints=[hint])
        known.add(target.name)
    return statement.targets, statement.value


def _shared(targets: tuple[syntax.Target, ...], value: Value, names: dict[str, Value], span: Span) -> tuple[Value, ...]:
    """A value for each target. After a mistake the names are known to have failed."""
    if isinstance(value, Failed):
        return (value,) * len(targets)
    if isinstance(value, Several) and len(targets) == len(value.recipes):
        return value.recipes
    if len(targets) == 1 and (targets[0].indices is None or not isinstance(value, Several)):
        return (value,)
    names.update({target.name: Failed() for target in targets})
    if not isinstance(value, Several):
        raise problem("D04", "the columns of a table take one name", targets[1].span)
    hint = "such as `ids[B,T]: V, next[B,T]: V = …`"
    message = f"this gives {len(value.recipes)} fields, and {counted(len(targets), 'name')}"
    raise problem("D25", f"{message} to take them", span, hints=[hint])


def _value(expression: syntax.Expression, name: str, scope: Scope, problems: Problems) -> Value:
    """What `name` is bound to; a source is called so from now on. After a mistake the name is known to have failed."""
    value: Value = Failed()
    with problems.collecting():
        value = evaluate(expression, scope)
    is_opened_here = isinstance(expression, syntax.Call)
    return replace(value, name=name) if is_opened_here and isinstance(value, Source) else value


def _check_section(section: syntax.Section, fields: Sequence[FieldDraft], splits: Sequence[Split], problems: Problems) -> None:
    if len(section.body) > MAX_LINES:
        raise problem("D24", f"a `data` section has at most {MAX_LINES:,} lines", section.body[MAX_LINES].span)
    if len(splits) > 1:
        raise problem("D21", "there is a split already", splits[1].span, notes=[f"the first is on line {splits[0].span.line}"])
    if not fields and not problems.found:
        raise problem("D04", "this `data` section binds no field", section.span, hints=['such as `x[B,F] = source["p*"]`'])
    for other in fields:
        if other.axes[0].name != fields[0].axes[0].name:
            message = f"{quoted(other.name)} has its rows on {quoted(other.axes[0].name)}, "
            message += f"{quoted(fields[0].name)} on {quoted(fields[0].axes[0].name)}"
            raise problem("D08", message, other.axes[0].span, hints=["the first axis of every field is the batch"])
