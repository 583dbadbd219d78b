"""Lowering a file: its settings and dims, one of its models, and what it trains on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from numbers import Integral, Real
from typing import Any

from archspec.diagnostics import ArchError, Diagnostic, Span, did_you_mean
from archspec.frontend import syntax
from archspec.ir.build import Builder
from archspec.ir.graph import BOOL, FLOAT, INT, Graph, Node, Origin
from archspec.ir.sizes import Axis, Size, shape_text
from archspec.lower.align import held_by
from archspec.lower.arithmetic import LARGEST
from archspec.lower.calls import in_declared_order, undefined_result
from archspec.lower.expressions import evaluate
from archspec.lower.files import SpecFile
from archspec.lower.generating import Generation, lower_generate, result_of
from archspec.lower.resolve import axis_number
from archspec.lower.scope import MAX_ELEMENTS, Context, Poisoned, Scope, axis_of, check_rank, elements, name_span, names_in
from archspec.lower.statements import check_let, run_body, run_collecting
from archspec.lower.training import Training, lower_train
from archspec.lower.values import Num, Tensor, Text, Truth, Value, kind_of, spelled
from archspec.records import record

Setting = int | float | bool | str


@record
class Lowered:
    """One model of a file: its graph, what `train` and `generate` say, and the settings and dims in force."""

    graph: Graph
    model: str
    inputs: tuple[str, ...]
    results: tuple[str, ...]
    training: Training | None
    settings: Mapping[str, Setting]
    dims: Mapping[str, int | None]
    generation: Generation = Generation()


def lower(
    file: SpecFile,
    overrides: Mapping[str, Setting] | None = None,
    dims: Mapping[str, int] | None = None,
    model: str | None = None,
) -> Lowered:
    """The graph of one model: forward, loss and metrics, as written.

    `overrides` replace the file's `let`s, `dims` give sizes to its open axes. Raises ArchError with every mistake found.
    """
    sizes = {name: plain(size) for name, size in dict(dims or {}).items()}
    return _Lowering(file, dict(overrides or {}), sizes).run(model)


def top_names(
    file: SpecFile, overrides: Mapping[str, Setting] | None = None
) -> tuple[Mapping[str, Setting], Mapping[str, int | None]]:
    """The settings and the dims of a file, as its `data` section sees them."""
    lowering = _Lowering(file, dict(overrides or {}), {})
    lowering.file_scope(file)
    lowering.check_given()
    if lowering.context.problems:
        raise ArchError(lowering.context.problems)
    return lowering.settings, lowering.dims


def ragged_dims(file: SpecFile) -> frozenset[str]:
    """The axes along which rows differ in length, `dim T?`."""
    dims = [item for item in file.tree.items if isinstance(item, syntax.Dim)]
    return frozenset(entry.name for item in dims for entry in item.entries if entry.ragged)


def plain(given: Any) -> Any:
    """A caller's number as one of Python's own; NumPy's are of other classes, and `y.max() + 1` is one."""
    if isinstance(given, bool | int | float):
        return given
    return int(given) if isinstance(given, Integral) else float(given) if isinstance(given, Real) else given


def is_size(given: object) -> bool:
    """Whether a caller's value can be the size of an axis; those that cannot are reported by `check_given`."""
    return isinstance(given, int) and not isinstance(given, bool) and 1 <= given <= LARGEST


class _Lowering:
    def __init__(self, file: SpecFile, overrides: dict[str, Setting], dims: dict[str, int]) -> None:
        self.file, self.overrides, self.given = file, overrides, dims
        self.scopes: dict[int, Scope] = {}
        self.context = Context(Builder(), evaluate, run_body, self.file_scope)
        self.settings: dict[str, Setting] = {}
        self.dims: dict[str, int | None] = {}

    def run(self, wanted: str | None) -> Lowered:
        root = self.file_scope(self.file)
        self.check_given()
        block = _choose_model(self.file, wanted)
        results, scope = self._model(block, root)
        training = self._train(scope) if self._is_trained(block) else None
        generation = self._generate(block, scope)
        self._check_tensors()
        if self.context.problems:
            raise ArchError(self.context.problems)
        graph = self.context.builder.graph()
        inputs = tuple(t.name for t in block.tensors)
        return Lowered(graph, block.name, inputs, results, training, self.settings, self.dims, generation)

    # --- lets and dims ----------------------------------------------------------------------------------------

    def file_scope(self, file: object) -> Scope:
        """The names that a file defines at its top: settings and dims. The root file's can be overridden."""
        if id(file) not in self.scopes:
            assert isinstance(file, SpecFile)
            scope = self.scopes[id(file)] = Scope(self.context, file, "", body=file.tree.items)
            for item in file.tree.items:
                if isinstance(item, syntax.Let):
                    for binding in item.bindings:
                        self._define(binding, scope, partial(self._let, binding, scope, file is self.file))
                elif isinstance(item, syntax.Dim):
                    for entry in item.entries:
                        self._define(entry, scope, partial(self._dim, entry, scope, file is self.file))
        return self.scopes[id(file)]

    def _define(self, item: syntax.Binding | syntax.DimEntry, scope: Scope, action: Callable[[], None]) -> None:
        self._attempt(item.name, name_span(item, item.name), scope, action)

    def _let(self, binding: syntax.Binding, scope: Scope, root: bool) -> None:
        value = evaluate(binding.value, scope)
        check_let(binding, value, scope)
        if root and binding.name in self.overrides:
            value = _override(binding, value, self.overrides[binding.name])
        if isinstance(value, Num) and isinstance(value.value, int):
            value = self._named(binding, value, root)
        if root and isinstance(value, Num | Truth | Text) and value.value is not None:
            self.settings[binding.name] = value.value
        scope.define(binding.name, value, name_span(binding, binding.name))

    def _named(self, binding: syntax.Binding, value: Num, root: bool) -> Num:
        """A plain number names axes by the name of its `let`; an expression such as `2*E` by itself."""
        literal = isinstance(binding.value, syntax.Number) or binding.name in self.overrides
        if not root or not literal or not isinstance(value.value, int):
            return value
        self.context.builder.sizes[binding.name] = value.value
        return Num(value.value, Size.symbol(binding.name))

    def _dim(self, entry: syntax.DimEntry, scope: Scope, root: bool) -> None:
        size: int | None = None
        if entry.value is not None:
            number = axis_number(entry.value, scope)
            size = int(number.value) if number.value is not None else None
        if root:
            self.dims[entry.name] = size
        if root and is_size(self.given.get(entry.name)):
            size = self.dims[entry.name] = self._given_size(entry, size)
        if entry.ragged:
            self.context.ragged.add(entry.name)
        scope.define(entry.name, Num(size, Size.symbol(entry.name)), name_span(entry, entry.name))
        if size is not None:
            self._set_size(entry, size)

    def _set_size(self, entry: syntax.DimEntry, size: int) -> None:
        """Axes are one by their names, across files too."""
        known = self.context.builder.sizes.setdefault(entry.name, size)
        if known != size:
            message = f"the axis `{entry.name}` has the size {size} here and {known} elsewhere in the spec"
            hint = "axes of one name are one axis, in imported files too: give one of them another name"
            raise ArchError(Diagnostic("S02", message, entry.span, hints=(hint,)))

    def _given_size(self, entry: syntax.DimEntry, declared: int | None) -> int:
        size = self.given[entry.name]
        if declared is not None and declared != size:
            message = f"the spec says {entry.name} = {declared}, the data or caller {size}"
            raise ArchError(Diagnostic("S02", message, entry.span))
        return size

    def check_given(self) -> None:
        declared = [b.name for i in self.file.tree.items if isinstance(i, syntax.Let) for b in i.bindings]
        for name in self.overrides:
            if name not in declared:
                hints = did_you_mean(str(name), declared) or ("only a `let` of the spec can be set",)
                self.context.problems.append(Diagnostic("U02", f"the spec has no setting `{name}`", hints=hints))
        for name, size in self.given.items():
            if name not in self.dims:
                hints = did_you_mean(str(name), self.dims)
                self.context.problems.append(Diagnostic("U02", f"the spec has no axis `{name}`", hints=hints))
            elif not is_size(size):
                message = f"the size of `{name}` must be a whole number of at least 1, not {size!r}"
                self.context.problems.append(Diagnostic("U02", message))
        if any(p.code == "U02" for p in self.context.problems):
            raise ArchError(self.context.problems)

    # --- the model --------------------------------------------------------------------------------------------

    def _model(self, block: syntax.Block, root: Scope) -> tuple[tuple[str, ...], Scope]:
        scope = Scope(self.context, self.file, block.name, parent=root, body=block.body)
        for declaration in block.tensors:
            self._attempt(declaration.name, declaration.span, scope, partial(self._input, declaration, scope))
        for parameter in block.settings:
            self._attempt(parameter.name, parameter.span, scope, partial(self._setting, parameter, block, scope))
        run_collecting(block.body, scope)
        for declaration in block.results:
            self._attempt(declaration.name, declaration.span, scope, partial(self._output, block, declaration, scope))
        return tuple(r.name for r in block.results), scope

    def _attempt(self, name: str, span: Span, scope: Scope, action: Callable[[], None]) -> None:
        try:
            action()
        except (ArchError, Poisoned) as error:
            if isinstance(error, ArchError):
                self.context.report(error)
            scope.poison(name, span)

    def _input(self, declaration: syntax.TensorDeclaration, scope: Scope) -> None:
        self._declare(declaration.name, declaration.axes, declaration.of, declaration.span, scope)

    def _declare(
        self,
        name: str,
        patterns: tuple[syntax.Expression, ...],
        of: syntax.Expression | None,
        span: Span,
        scope: Scope,
    ) -> None:
        """An input of the graph, `x[B,F]` or `y[B]: K`."""
        axes = tuple(self._axis(p, scope) for p in patterns)
        check_rank(axes, span)
        index = self._axis(of, scope) if of is not None else None
        with self.context.builder.at(Origin("", name, span)):
            value = self.context.builder.input(name, axes, FLOAT if index is None else INT, index)
        scope.define(name, Tensor(value), span)
        self._declare_lengths(name, axes, span)

    def _declare_lengths(self, name: str, axes: tuple[Axis, ...], span: Span) -> None:
        """The input that holds how long each row is along a ragged axis, made where the axis first occurs."""
        builder, lengths = self.context.builder, self.context.lengths
        for ragged in (a for a in axes if str(a.size) in self.context.ragged):
            if axes[0] == ragged:
                message = f"`{name}` has the ragged axis {ragged} first"
                hint = f"the rows that differ in length come first: {name}[B,{ragged}]"
                raise ArchError(Diagnostic("S08", message, span, hints=(hint,)))
            if str(ragged) in lengths:
                continue
            if str(ragged) in builder.inputs:
                message = f"the input `{ragged}` has the name of a ragged axis, whose lengths go by that name"
                raise ArchError(Diagnostic("S05", message, span, hints=("give it another name",)))
            attributes = (("lengths", str(ragged)), ("name", str(ragged)))
            node = Node("input", (), axes[:1], dtype=INT, attributes=attributes, origin=Origin("", str(ragged), span))
            lengths[str(ragged)] = builder.inputs[str(ragged)] = builder.add(node)

    def _axis(self, pattern: syntax.Expression, scope: Scope) -> Axis:
        if isinstance(pattern, syntax.Spread):
            hint = "write the axes of the model's input, as in x[B,F]"
            raise ArchError(Diagnostic("S08", "a model's axes are named, `..` is for blocks", pattern.span, hints=(hint,)))
        if isinstance(pattern, syntax.Name) and scope.find(pattern.id) is None:
            hints = did_you_mean(pattern.id, self.dims) or (f"declare it: dim {pattern.id}",)
            raise ArchError(Diagnostic("S08", f"unknown axis `{pattern.id}`", pattern.span, hints=hints))
        return axis_of(axis_number(pattern, scope), self.context)

    def _setting(self, parameter: syntax.SettingParameter, block: syntax.Block, scope: Scope) -> None:
        if parameter.default is None:
            message = f"the model `{block.name}` needs a value for `{parameter.name}`"
            hint = f"give it a default, or make it a setting of the spec: let {parameter.name} = …"
            raise ArchError(Diagnostic("S04", message, parameter.span, hints=(hint,)))
        scope.define(parameter.name, evaluate(parameter.default, scope), parameter.span)

    def _output(self, block: syntax.Block, declaration: syntax.TensorDeclaration, scope: Scope) -> None:
        value = scope.names.get(declaration.name)
        if declaration.name in scope.poisoned:
            raise Poisoned
        if not isinstance(value, Tensor):
            raise ArchError(undefined_result(block, declaration))
        self._check_kind(declaration, value, scope)
        expected = tuple(self._axis(p, scope) for p in declaration.axes)
        with self.context.builder.at(Origin(block.name, declaration.name, declaration.span)):
            result = in_declared_order(value, expected, declaration, scope)
        self.context.builder.outputs[declaration.name] = result.value

    def _check_kind(self, declaration: syntax.TensorDeclaration, value: Tensor, scope: Scope) -> None:
        """`z[B]: K` holds indices into K, `z[B]` numbers."""
        node = self.context.builder.node(value.value)
        of = self._axis(declaration.of, scope) if declaration.of is not None else None
        if node.dtype == BOOL or (node.of if node.dtype == INT else None) != of:
            declared = f"indices into {of}" if of is not None else "numbers"
            message = f"`{declaration.name}` is declared to hold {declared} and holds {held_by(node)}"
            hint = "number(…) turns them into numbers"
            hint = f"{hint}; `{declaration.name}[…]: {node.of}` declares indices" if node.of is not None else hint
            raise ArchError(Diagnostic("S09", message, declaration.span, "declared here", hints=(hint,)))

    # --- data and training ------------------------------------------------------------------------------------

    def _train(self, model: Scope) -> Training | None:
        section = self.file.sections.get("train")
        targets = self._data_targets()
        self._check_fields(targets, model)
        if section is None:
            return None
        scope = Scope(self.context, self.file, "train", parent=model, nearby=tuple(targets))
        for name in dict.fromkeys(names_in(section.body)):
            if name in targets and name not in model.names and name not in self.file.blocks:
                t = targets[name]
                self._attempt(name, t.span, scope, partial(self._declare, t.name, t.indices or (), t.of, t.span, scope))
        return lower_train(section, scope)

    def _is_trained(self, block: syntax.Block) -> bool:
        """Whether `train` means this one of several models: it uses the results of this one, or of none."""
        section = self.file.sections.get("train")
        used = set(names_in(section.body)) if section else set()
        theirs = {r.name for model in self.file.models() for r in model.results}
        return bool(used & {r.name for r in block.results}) or not used & theirs

    def _check_tensors(self) -> None:
        """No tensor, whatever the size of the axes that are still open, may be larger than any memory."""
        builder = self.context.builder
        for axes, node in {n.axes: n for n in reversed(builder.nodes)}.items():
            if elements(axes, builder.sizes) > MAX_ELEMENTS:
                name = f"`{node.origin.name}{node.shape}`" if node.origin.name else node.shape
                message = f"the tensor {name} would have at least {elements(axes, builder.sizes):,} elements"
                hint = f"at most {MAX_ELEMENTS:,} are possible"
                raise ArchError([*self.context.problems, Diagnostic("S10", message, node.origin.span, hints=(hint,))])

    def _generate(self, block: syntax.Block, model: Scope) -> Generation:
        """What `generate` says, if it means this one of several models."""
        section = self.file.sections.get("generate")
        own = {r.name for r in block.results}
        theirs = {r.name for other in self.file.models() for r in other.results}
        if section is None or result_of(section) in theirs - own:
            return Generation()
        made = own & self.context.builder.outputs.keys()
        if own != made and result_of(section) not in made:
            return Generation()  # the result itself has mistakes
        return lower_generate(section, Scope(self.context, self.file, "generate", parent=model), sorted(own))

    def _data_targets(self) -> dict[str, syntax.Target]:
        """The tensors that `data` binds, by name."""
        section = self.file.sections.get("data")
        targets: dict[str, syntax.Target] = {}
        for item in section.body if section else ():
            for target in item.targets if isinstance(item, syntax.Assign) else ():
                if target.indices is None:
                    continue
                targets.setdefault(target.name, target)
        return targets

    def _check_fields(self, targets: dict[str, syntax.Target], model: Scope) -> None:
        """The data must feed every input of the model, with the model's own axes."""
        builder = self.context.builder
        for name, target in targets.items():
            if name in model.spans and name not in builder.inputs and name not in model.poisoned:
                self.context.problems.append(_computed(target, model.spans[name]))
        for name in [n for n in builder.inputs if n in model.names] if targets else []:
            node = builder.node(builder.inputs[name])
            if name not in targets:
                hints = did_you_mean(name, targets)
                message = f"`data` does not bind the model's input `{name}`"
                self.context.problems.append(Diagnostic("S14", message, node.origin.span, hints=hints))
                continue
            self._attempt(name, targets[name].span, model, partial(self._check_field, targets[name], builder.inputs[name]))

    def _check_field(self, target: syntax.Target, value: int) -> None:
        root = self.file_scope(self.file)
        node = self.context.builder.node(value)
        axes = tuple(self._axis(p, root) for p in target.indices or ())
        of = self._axis(target.of, root) if target.of is not None else None
        if axes != node.axes or of != node.of:
            found, needed = _type_text(target.name, axes, of), _type_text(target.name, node.axes, node.of)
            message = f"`data` binds {found}, and the model takes {needed}"
            line = node.origin.span.line if node.origin.span else 0
            hint = "write the same axes in both: they are one by their names"
            raise ArchError(Diagnostic("S14", message, target.span, f"declared at line {line}", hints=(hint,)))


def _computed(target: syntax.Target, first: Span) -> Diagnostic:
    message = f"`data` binds `{target.name}`, which the model computes"
    hint = "give what comes from the data another name"
    return Diagnostic("S14", message, target.span, f"computed at line {first.line}", hints=(hint,))


def _type_text(name: str, axes: tuple[Axis, ...], of: Axis | None) -> str:
    return f"{name}{shape_text(axes)}" + (f": {of}" if of is not None else "")


def _choose_model(file: SpecFile, wanted: str | None) -> syntax.Block:
    models = {m.name: m for m in file.models()}
    if wanted is not None and wanted not in models:
        raise ArchError(Diagnostic("U02", f"the spec has no model `{wanted}`", hints=did_you_mean(wanted, models)))
    if not models:
        hint = "model classify(x[B,F]) -> z[B,K] { … }"
        raise ArchError(Diagnostic("S01", f"`{file.source.path}` has no model", hints=(hint,)))
    if wanted is None and len(models) > 1:
        hint = f"choose one with --model: {', '.join(f'`{m}`' for m in models)}"
        raise ArchError(Diagnostic("U02", f"the spec has {len(models)} models", hints=(hint,)))
    return models[wanted] if wanted is not None else next(iter(models.values()))


def _override(binding: syntax.Binding, default: Value, given: Setting) -> Value:
    """The value that replaces a `let`'s; it must be of the same kind."""
    span = name_span(binding, binding.name)
    shown = str(given).lower() if isinstance(given, bool) else repr(given)
    whole = isinstance(given, int) or (isinstance(default, Num) and isinstance(default.value, int))
    if isinstance(given, int | float) and (not math.isfinite(given) or (whole and abs(given) > LARGEST)):
        message = f"`{binding.name}` cannot be set to {shown}: it is not a number within the limits"
        raise ArchError(Diagnostic("U02", message, span))
    if isinstance(default, Truth) and isinstance(given, bool):
        return Truth(given)
    if isinstance(default, Text) and isinstance(given, str):
        return Text(given)
    if isinstance(default, Num) and isinstance(given, int | float) and not isinstance(given, bool):
        if isinstance(default.value, int) and isinstance(given, float) and not given.is_integer():
            message = f"`{binding.name}` is a whole number and cannot be set to {shown}"
            raise ArchError(Diagnostic("U02", message, span))
        whole = isinstance(default.value, int)
        return Num.integer(int(given)) if whole else Num(float(given))
    message = f"`{binding.name}` is {kind_of(default)} and cannot be set to {shown}"
    raise ArchError(Diagnostic("U02", message, span, hints=_in_its_kind(binding, default)))


def _in_its_kind(binding: syntax.Binding, default: Value) -> tuple[str, ...]:
    """How a value of a setting's own kind is written on the command line."""
    match default:
        case Text():
            return (f"quotes make it a string: --set '{binding.name}=\"…\"'",)
        case Truth():
            return (f"--set {binding.name}=true, or false",)
        case Num(value=float() | int()):
            return (f"--set {binding.name}={spelled(default)}, or another number",)
        case _:
            return ("numbers, strings and truth values can be set",)
