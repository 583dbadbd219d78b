"""Machine code in memory: object files loaded by LLVM, as addresses."""

from __future__ import annotations

from archspec.codegen.machine import this_machine


class Linked:
    """Object files that are loaded. The addresses are good for as long as this lives."""

    def __init__(self) -> None:
        import llvmlite.binding as llvm

        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target_machine())
        self._loaded: dict[str, int] = {}

    def load(self, symbol: str, binary: bytes) -> int:
        """The address of the one symbol that an object exports."""
        import llvmlite.binding as llvm

        if symbol not in self._loaded:
            self._engine.add_object_file(llvm.object_file.ObjectFileRef.from_data(binary))
            self._engine.finalize_object()
            self._loaded[symbol] = int(self._engine.get_function_address(symbol))
        return self._loaded[symbol]


def _target_machine() -> object:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = this_machine()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(cpu=machine.cpu, features=machine.features, opt=3, jit=True)
