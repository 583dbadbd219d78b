"""The `train` section: the loss and the metrics as graph outputs, the rest as a frozen description."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from archspec.diagnostics import ArchError, Diagnostic, Span, did_you_mean
from archspec.frontend import syntax
from archspec.learning.treatment import matches
from archspec.lower.align import held_by
from archspec.lower.expressions import evaluate, evaluate_tensor
from archspec.lower.recipes import OPTIMIZER, SCHEDULE, complete, recipe
from archspec.lower.resolve import decide
from archspec.lower.scope import Poisoned, Scope
from archspec.lower.settings import Settings
from archspec.lower.values import Num, Recipe, Tensor, kind_of
from archspec.lower.watched import PREFIX, watched_by
from archspec.records import field, record, replace

KEYS = ("loss", "metrics", "optimizer", "schedule", "clip", "stop", "batch", "epochs", "steps", "watch")
SETTINGS = Settings("`train`", "T01", "settings, `name = value`, and rules", KEYS)
RULE_SETTINGS = Settings("a rule", "T04", "settings: `decay = 0`", ("lr", "decay", "freeze"))
MAX_RULES = 200


DEFAULT_OPTIMIZER = complete(OPTIMIZER, "adam")


@record
class Rule:
    """Settings for the weights whose paths match `pattern`; None leaves what the optimiser says."""

    pattern: str
    lr: float | None = None
    decay: float | None = None
    freeze: bool | None = None
    span: Span | None = field(default=None, compare=False, repr=False)


@record
class Training:
    """What `train` says. A run lasts `steps` steps where given, else `epochs` passes over the training part."""

    optimizer: Recipe = DEFAULT_OPTIMIZER
    schedule: tuple[Recipe, ...] = ()
    clip: Recipe | None = None
    stop: Recipe | None = None
    batch: int = 32
    epochs: int | None = None
    steps: int | None = None
    metrics: tuple[str, ...] = ()
    watch: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()

    @property
    def phases(self) -> tuple[tuple[str, Any], ...]:
        return tuple((r.name, r.arguments) for r in self.schedule)


def lower_train(section: syntax.Section, scope: Scope) -> Training:
    """Adds `loss` and `metric:NAME` to the graph's outputs and returns the rest of the section."""
    training = Training()
    seen: dict[str, Span] = {}
    failed: set[str] = set()
    for item in section.body:
        try:
            training = _statement(item, training, seen, scope)
        except (ArchError, Poisoned) as error:
            names = {t.name for t in item.targets} if isinstance(item, syntax.Assign) else set()
            failed |= names
            if isinstance(error, ArchError):
                scope.context.report(_with_data_hint(error) if names & {"loss", "metrics"} and not scope.nearby else error)
    if "loss" not in seen and "loss" not in failed:
        hint = "loss = cross_entropy(z, y)"
        scope.context.problems.append(Diagnostic("T01", "`train` needs a loss", section.span, hints=(hint,)))
    if "metrics" not in failed:
        _check_stop(training, scope)
    _check_rules(training, section, scope)
    return training


def _with_data_hint(error: ArchError) -> ArchError:
    """Without a `data` section, an unknown name in `train` is most often what the loss should compare with."""
    hint = "`data` binds what the loss compares with: data { … y[B]: K = … }"
    near = [d.code != "S01" or any(h.startswith("did you mean") for h in d.hints) for d in error.diagnostics]
    return ArchError(d if n else replace(d, hints=(hint,)) for d, n in zip(error.diagnostics, near, strict=True))


def _statement(item: syntax.Statement, training: Training, seen: dict[str, Span], scope: Scope) -> Training:
    if isinstance(item, syntax.Rule):
        return replace(training, rules=(*training.rules, _rule(item, scope)))
    name, value = SETTINGS.read(item, seen)
    return _SETTERS[name](training, value, scope)


def _loss(training: Training, node: syntax.Expression, scope: Scope) -> Training:
    value = _figure(node, "loss", scope)
    scope.builder.outputs["loss"] = value
    return training


def _figure(node: syntax.Expression, name: str, scope: Scope) -> int:
    """A tensor without axes, made inside the path `train/NAME`."""
    inner = replace(scope.child(name))
    origin = replace(scope.builder.origin, path=f"train/{name}", name="", span=node.span)
    with scope.builder.at(origin):
        tensor = evaluate_tensor(node, inner)
    found = scope.builder.node(tensor.value)
    if found.axes or found.dtype != "float":
        hint = "take its mean: mean(…)" if found.dtype == "float" else "take the mean of numbers: mean(number(…))"
        what = f"holds {held_by(found)}" if found.dtype != "float" else f"has the shape {found.shape}"
        raise ArchError(Diagnostic("T03", f"`{name}` must be one number and {what}", node.span, hints=(hint,)))
    return tensor.value


def _metrics(training: Training, node: syntax.Expression, scope: Scope) -> Training:
    items = node.items if isinstance(node, syntax.List) else (node,)
    names: list[str] = []
    for item in items:
        name = _unique(_metric_name(item), names)
        scope.builder.outputs[f"metric:{name}"] = _figure(item, name, scope)
        names.append(name)
    return replace(training, metrics=tuple(names))


def _metric_name(node: syntax.Expression) -> str:
    if isinstance(node, syntax.Call):
        return _metric_name(node.function)
    if isinstance(node, syntax.Index):
        return _metric_name(node.value)
    if isinstance(node, syntax.Pipe):
        return _metric_name(node.stage)
    return node.id if isinstance(node, syntax.Name) else node.attribute if isinstance(node, syntax.Attribute) else "metric"


def _unique(name: str, taken: list[str]) -> str:
    wanted, n = name, 1
    while wanted in taken or wanted == "loss":
        n += 1
        wanted = f"{name}_{n}"
    return wanted


def _optimizer(training: Training, node: syntax.Expression, scope: Scope) -> Training:
    return replace(training, optimizer=_single(recipe(node, OPTIMIZER, scope)))


def _single(found: Recipe) -> Recipe:
    if found.then:
        raise ArchError(Diagnostic("T02", f"{kind_of(found)} cannot be chained", found.then[0].span))
    return found


def _schedule(training: Training, node: syntax.Expression, scope: Scope) -> Training:
    first = recipe(node, SCHEDULE, scope)
    phases = [replace(first, then=())]
    for phase in first.then:
        phases += [replace(phase, then=()), *phase.then]
    for phase in phases[:-1]:
        if not phase.arguments.get("steps"):
            message = f"`{phase.name}` is followed by another schedule and needs `steps`"
            raise ArchError(Diagnostic("T02", message, phase.span, hints=(f"{phase.name}(steps=…)",)))
    return replace(training, schedule=tuple(phases))


def _clip(training: Training, node: syntax.Expression, scope: Scope) -> Training:
    return replace(training, clip=_single(recipe(node, "clipping", scope)))


def _stop(training: Training, node: syntax.Expression, scope: Scope) -> Training:
    return replace(training, stop=_single(recipe(node, "stopping rule", scope)))


def _check_stop(training: Training, scope: Scope) -> None:
    if training.stop is None:
        return
    figure = str(training.stop.arguments["figure"])
    part, _, name = figure.partition(".")
    if part not in ("validation", "train") or name not in ("loss", *training.metrics):
        message = f"there is no figure `{figure}` to stop by"
        hints = did_you_mean(figure, [f"validation.{name}" for name in ("loss", *training.metrics)])
        scope.context.problems.append(Diagnostic("T02", message, training.stop.span, hints=hints))


def _check_rules(training: Training, section: syntax.Section, scope: Scope) -> None:
    """There must be something left to train."""
    rules = training.rules[:MAX_RULES]
    if len(training.rules) > MAX_RULES:
        message = f"`train` holds at most {MAX_RULES} rules"
        scope.context.problems.append(Diagnostic("T04", message, training.rules[MAX_RULES].span))
    for path, spec in scope.builder.specs.items():
        freezes = [r.freeze for r in rules if r.freeze is not None and matches(r.pattern, path)]
        if not (freezes[-1] if freezes else spec.frozen):
            return
    if "loss" in scope.builder.outputs and scope.builder.specs and not scope.context.problems:
        span = next((r.span for r in reversed(rules) if r.freeze), None) or section.span
        hint = "let one of them train, or leave `train` out"
        scope.context.problems.append(
            Diagnostic("T04", "every weight is frozen, so nothing is left to train", span, hints=(hint,))
        )


def _count(name: str) -> Callable[[Training, syntax.Expression, Scope], Training]:
    def setter(training: Training, node: syntax.Expression, scope: Scope) -> Training:
        value = evaluate(node, scope)
        if not isinstance(value, Num) or not isinstance(value.value, int) or not 1 <= value.value <= 10**9:
            shown = value.text if isinstance(value, Num) else kind_of(value)
            message = f"`{name}` must be a whole number from 1 to 1,000,000,000, not {shown}"
            raise ArchError(Diagnostic("T02", message, node.span))
        return replace(training, **{name: value.value})

    return setter


def _watch(training: Training, node: syntax.Expression, scope: Scope) -> Training:
    items = node.items if isinstance(node, syntax.List) else (node,)
    found: dict[str, int] = {}
    for item in items:
        if isinstance(item, syntax.String):
            found |= watched_by(item.value, scope.builder.nodes, item.span)
            continue
        value = evaluate(item, scope)
        if not isinstance(value, Tensor) or not isinstance(item, syntax.Name):
            hint = 'those inside of blocks go by their paths: "*/attend/a"'
            message = "`watch` lists tensors of the model by their names"
            raise ArchError(Diagnostic("T03", message, item.span, hints=(hint,)))
        found[item.id] = value.value
    scope.builder.outputs.update({f"{PREFIX}{name}": value for name, value in found.items()})
    return replace(training, watch=tuple(found))


def _rule(item: syntax.Rule, scope: Scope) -> Rule:
    rule, seen = Rule(item.pattern.value, span=item.pattern.span), dict[str, Span]()
    for statement in item.body:
        rule = _rule_setting(rule, *RULE_SETTINGS.read(statement, seen), scope)
    return rule


def _rule_setting(rule: Rule, name: str, node: syntax.Expression, scope: Scope) -> Rule:
    if name == "freeze":
        return replace(rule, freeze=decide(node, scope))
    value = evaluate(node, scope)
    if not isinstance(value, Num) or value.value is None or value.value < 0:
        shown = value.text if isinstance(value, Num) else kind_of(value)
        raise ArchError(Diagnostic("T04", f"`{name}` must be a number of at least 0, not {shown}", node.span))
    return replace(rule, lr=float(value.value)) if name == "lr" else replace(rule, decay=float(value.value))


_SETTERS: dict[str, Callable[[Training, syntax.Expression, Scope], Training]] = {
    "loss": _loss,
    "metrics": _metrics,
    "optimizer": _optimizer,
    "schedule": _schedule,
    "clip": _clip,
    "stop": _stop,
    "batch": _count("batch"),
    "epochs": _count("epochs"),
    "steps": _count("steps"),
    "watch": _watch,
}
