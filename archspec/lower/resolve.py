"""What a name means that no scope defines, which axis an expression names, which way a condition goes."""

from __future__ import annotations

from archspec.diagnostics import ArchError, Diagnostic, Span, did_you_mean
from archspec.frontend import syntax
from archspec.lower import arithmetic
from archspec.lower.builtins import BUILTINS
from archspec.lower.files import SpecFile, library_block, library_names
from archspec.lower.recipes import initializer_named, initializer_names, is_initializer, kind_elsewhere
from archspec.lower.scope import Scope, names_in, unknown_name, unordered_name
from archspec.lower.values import Builtin, Function, IndexName, Module, Num, Tensor, Truth, Value, kind_of


def resolve(name: str, span: Span, scope: Scope) -> Value:
    """A name that no scope defines: the file's blocks, its imports, the library, the ops, the initialisers."""
    found = in_file(name, scope.file) or library_function(name)
    if found is not None:
        return found
    if name in BUILTINS:
        return Builtin(name)
    if is_initializer(name):
        return initializer_named(name, span)
    known = (*scope.all_names(), *file_names(scope.file), *library_names(), *BUILTINS, *initializer_names())
    if (defined := scope.elsewhere(name)) is not None:
        raise unordered_name(name, span, defined, scope.loop_of(name))
    if (kind := kind_elsewhere(name)) is not None:
        raise ArchError(Diagnostic("S01", f"`{name}` is {kind} and stands in `train`", span))
    raise unknown_name(name, span, known, here=scope.all_names())


def in_file(name: str, file: object) -> Value | None:
    assert isinstance(file, SpecFile)
    if name in file.blocks:
        return Function(file.blocks[name], file)
    for alias, imported in file.imports:
        if alias == name:
            return Module(imported)
        if alias is None and (found := in_file(name, imported)) is not None:
            return found
    return None


def file_names(file: object) -> tuple[str, ...]:
    assert isinstance(file, SpecFile)
    return (*file.blocks, *(alias for alias, _ in file.imports if alias))


def library_function(name: str) -> Value | None:
    found = library_block(name)
    return Function(*found) if found else None


def axis_number(node: syntax.Expression, scope: Scope) -> Num:
    """An expression that names an axis: `D`, `4*H`, `64`."""
    if isinstance(node, syntax.Name) and not is_known(node.id, scope) and scope.elsewhere(node.id) is None:
        known = [name for name in scope.all_names() if isinstance(scope.find(name), Num)]
        hints = did_you_mean(node.id, known) or (f"declare it: dim {node.id}",)
        raise ArchError(Diagnostic("S08", f"unknown axis `{node.id}`", node.span, hints=hints))
    if isinstance(node, syntax.Name) and isinstance(found := scope.find(node.id), IndexName):
        return Num(found.axis.size.evaluate(scope.builder.sizes), found.axis.size)
    return as_axis(scope.context.evaluate(node, scope), node.span)


def as_axis(value: Value, span: Span, label: str = "") -> Num:
    """A value that names an axis."""
    if not isinstance(value, Num):
        raise ArchError(Diagnostic("S08", f"an axis is needed here, not {kind_of(value)}", span, label))
    if value.size is None or (value.value is not None and not 1 <= value.value <= arithmetic.LARGEST):
        message = f"the size of an axis is a whole number of at least 1, not {value.text}"
        raise ArchError(Diagnostic("S08", message, span, label))
    return value


def is_known(name: str, scope: Scope) -> bool:
    """Whether `name` means anything here."""
    defined = scope.find(name) is not None or in_file(name, scope.file) is not None
    return defined or name in library_names() or name in BUILTINS or is_initializer(name)


def means_something(name: str, scope: Scope) -> bool:
    """Whether `name` means anything here, in another place of the spec, or in `train`."""
    return is_known(name, scope) or scope.elsewhere(name) is not None or kind_elsewhere(name) is not None


def decide(node: syntax.Expression, scope: Scope) -> bool:
    """A condition that must be decided now."""
    value = scope.context.evaluate(node, scope)
    if isinstance(value, Tensor):
        hint = "where(condition, a, b) chooses element by element"
        message = "a condition is decided when the spec is read and cannot hang on a tensor"
        raise ArchError(Diagnostic("S07", message, node.span, hints=(hint,)))
    if not isinstance(value, Truth):
        raise ArchError(Diagnostic("S09", f"a condition must be true or false, not {kind_of(value)}", node.span))
    if value.value is None:
        open_axes = [f"`{n}`" for n in dict.fromkeys(names_in(node)) if _is_open(scope.find(n))]
        message = f"this hangs on the size of {' and '.join(open_axes) or 'an axis'}, which is not known yet"
        hint = "give it a size: dim NAME = …, or let the data bind it"
        raise ArchError(Diagnostic("S07", message, node.span, hints=(hint,)))
    return value.value


def _is_open(value: Value | None) -> bool:
    return isinstance(value, Num) and value.value is None
