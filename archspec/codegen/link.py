"""Machine code in memory: object files loaded by LLVM, as addresses."""

from __future__ import annotations

from archspec.codegen.machine import this_machine
from archspec.records import record


@record
class Linkable:
    """Machine code that exports `symbol`; `others` are the object files that it calls into, by what they export."""

    symbol: str
    binary: bytes
    others: tuple[tuple[str, bytes], ...] = ()


class Linked:
    """Object files that are loaded. The addresses are good for as long as this lives."""

    def __init__(self) -> None:
        import llvmlite.binding as llvm

        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target_machine())
        self._loaded: dict[str, int] = {}
        self._added: set[str] = set()

    def load(self, code: Linkable) -> int:
        """The address of the one symbol that it exports."""
        if code.symbol not in self._loaded:
            for symbol, binary in (*code.others, (code.symbol, code.binary)):
                self._add(symbol, binary)
            self._engine.finalize_object()
            self._loaded[code.symbol] = int(self._engine.get_function_address(code.symbol))
        return self._loaded[code.symbol]

    def _add(self, symbol: str, binary: bytes) -> None:
        import llvmlite.binding as llvm

        if symbol not in self._added:
            self._added.add(symbol)
            self._engine.add_object_file(llvm.object_file.ObjectFileRef.from_data(binary))


def _target_machine() -> object:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = this_machine()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(cpu=machine.cpu, features=machine.features, opt=3, jit=True)
