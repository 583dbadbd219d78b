"""The part of Numba that kernels need: it reads bytecode, infers types and lowers to LLVM, for scalars and pointers alone.

function -> Numba's IR -> types -> LLVM module -> optimised -> object file

Numba's own CPU target also knows arrays, strings and dictionaries. It imports all of that at the first function, asks the
rules of arrays for the type of every scalar operation, looks in two dozen passes for what a kernel never contains, and
makes machine code to be called from Python before it makes any that can be kept: twice the time in all. This target is
registered beside it (`numba.core.target_extension`) and does without. LLVM gets the same passes. What archspec uses of
Numba beyond its documented interface is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from llvmlite import ir
from numba.core import bytecode, codegen, funcdesc, interpreter, types
from numba.core.compiler import Flags, _make_subtarget
from numba.core.compiler_lock import global_compiler_lock
from numba.core.cpu import CPUContext, FastMathOptions
from numba.core.descriptors import TargetDescriptor
from numba.core.fastmathpass import rewrite_module
from numba.core.ssa import reconstruct_ssa
from numba.core.target_extension import CPU, dispatcher_registry, target_override, target_registry
from numba.core.targetconfig import ConfigStack
from numba.core.transforms import canonicalize_cfg
from numba.core.typed_passes import PreLowerStripPhis, type_inference_stage
from numba.core.typing import BaseContext, builtins, mathdecl, signature, templates
from numba.cpython import mathimpl, numbers, rangeobj, tupleobj  # noqa: F401  they say how operators are lowered

from archspec.codegen.loops import Lower
from archspec.codegen.objects import Object, Primitive
from archspec.records import record

NAME = "archspec"


# --- what the target knows ------------------------------------------------------------------------------------------


class _Typing(BaseContext):
    """Types of operators on numbers and pointers, of `range` and `math`, of intrinsics and of functions made callable."""

    def init(self) -> None:
        every = templates.builtin_registry
        self._seen = 0
        self._rules = templates.Registry()
        self._rules.functions = [rule for rule in every.functions if rule.__module__ == builtins.__name__]
        self._rules.attributes = [rule for rule in every.attributes if rule.__module__ == builtins.__name__]

    def load_additional_registries(self) -> None:
        self.install_registry(mathdecl.registry)

    def _load_builtins(self) -> None:
        every = templates.builtin_registry.globals  # intrinsics join at the end, whenever they are made
        new, self._seen = every[self._seen :], len(every)
        for value, kind in new:
            if all(_is_about_scalars(rule) for rule in kind.templates):
                self._rules.register_global(value, kind)
        self.install_registry(self._rules)


def _is_about_scalars(rule: Any) -> bool:
    """Whether a rule is of Numba's numbers or of an intrinsic, and not of arrays, dates or classes."""
    return issubclass(rule, templates._IntrinsicTemplate) or any(base.__module__ == builtins.__name__ for base in rule.__mro__)


class _Library(codegen.CPUCodeLibrary):
    """Modules linked and optimised as Numba does it, and left as LLVM code. `calls` are the primitives that they call."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.calls: list[Primitive] = []

    def _finalize_final_module(self) -> None:
        self._finalized = True


class _Codegen(codegen.JITCPUCodegen):
    _library_class = _Library


class _Lowering(CPUContext):
    """How those are lowered, without Numba's runtime for memory and exceptions."""

    def init(self) -> None:
        self.is32bit = False
        self._internal_codegen = _Codegen(NAME)

    def load_additional_registries(self) -> None:
        self.install_registry(mathimpl.registry)

    def post_lowering(self, module: Any, library: Any) -> None:
        if self.fastmath:
            rewrite_module(module, self.fastmath)


@cache
def _contexts() -> tuple[_Typing, _Lowering]:
    typing = _Typing()
    return typing, _Lowering(typing, NAME)


class _Target(TargetDescriptor):
    @property
    def typing_context(self) -> _Typing:
        return _contexts()[0]

    @property
    def target_context(self) -> _Lowering:
        return _contexts()[1]


class Kernels(CPU):
    """The target by its class, as Numba's registries know it."""


class _Dispatcher:
    """Where Numba's intrinsics look up what they are compiled for."""

    targetdescr = _Target(NAME)


target_registry[NAME] = Kernels
dispatcher_registry[Kernels] = _Dispatcher


# --- compiling ------------------------------------------------------------------------------------------------------


@record
class Lowered:
    """A function as LLVM code in `library`, and how it is called."""

    library: Any
    description: Any


def flags_of(fastmath: set[str], noalias: bool = False) -> Flags:
    """How a function is compiled; `noalias`: no two of its pointers lead to the same memory."""
    flags = Flags()
    flags.fastmath = FastMathOptions(fastmath)
    flags.error_model = "numpy"
    flags.noalias = noalias
    return flags


@global_compiler_lock
def lower_function(function: Any, arguments: Sequence[Any], flags: Flags, returns: Any = None) -> Lowered:
    """A Python function of scalars and pointers, typed and lowered. `arguments` and `returns` are Numba types."""
    typing, target = _contexts()
    typing.refresh()
    target.refresh()
    target = _make_subtarget(target, flags)
    with target_override(NAME), ConfigStack().enter(flags.copy()):
        code = _intermediate_code(function)
        typed = type_inference_stage(typing, target, code, tuple(arguments), returns)
        code.blocks = PreLowerStripPhis()._strip_phi_nodes(code).blocks
        description = funcdesc.PythonFunctionDescriptor.from_specialized_function(
            code, typed.typemap, typed.return_type, typed.calltypes, target.mangler, False, flags.noalias, ()
        )
        library = target.codegen().create_library(function.__name__)
        with target.push_code_library(library):
            Lower(target, library, description, code).lower()
    return Lowered(library, description)


def _intermediate_code(function: Any) -> Any:
    """Numba's IR of a function. Each variable is assigned once: a name that is used again may have another type."""
    identity = bytecode.FunctionIdentity.from_function(function)
    code = interpreter.Interpreter(identity).interpret(bytecode.ByteCode(identity))
    code.blocks = canonicalize_cfg(code.blocks)
    return reconstruct_ssa(code)


def make_callable(function: Any, flags: Flags) -> Any:
    """The function, which kernels may call from now on. It is lowered for each set of types that they call it with."""
    typing, target = _contexts()

    class Rule(templates.AbstractTemplate):
        key = function

        def generic(self, arguments: tuple[Any, ...], keywords: Any) -> Any:
            return signature(lowered(arguments).description.restype, *arguments)

    @cache
    def lowered(arguments: tuple[Any, ...]) -> Lowered:
        made = lower_function(function, arguments, flags)
        target.insert_user_function(function, made.description, [made.library])
        return made

    typing.insert_global(function, types.Function(Rule))
    return function


def object_file(lowered: Lowered, entry: ir.Module, symbol: str) -> Object:
    """Optimised machine code that exports `symbol` of `entry`."""
    lowered.library.add_ir_module(entry)
    return Object(_emit(lowered.library, symbol), tuple(lowered.library.calls))


def module_object(module: ir.Module, symbol: str) -> Object:
    """The same of a module that no Python function stands behind."""
    library = lowering_context().codegen().create_library(symbol)
    library.add_ir_module(module)
    return Object(_emit(library, symbol))


def _emit(library: _Library, symbol: str) -> bytes:
    """Machine code with every symbol but one private: objects of several kernels are loaded side by side."""
    library.finalize()
    module = library._final_module
    for item in (*module.functions, *module.global_variables):
        if not item.is_declaration and item.name != symbol:
            item.linkage = "internal"
    return library.codegen._tm.emit_object(module)


def lowering_context() -> Any:
    """What says how types look in LLVM code and how functions are called."""
    return _contexts()[1]
