"""Machine code in memory: object files loaded by LLVM, as addresses."""

from __future__ import annotations

from archspec.codegen.machine import this_machine

ENTRY = "entry"


class Linked:
    """Object files that are loaded. The addresses are good for as long as this lives.

    Each object gets an engine of its own, since all of them call their one symbol `entry`.
    """

    def __init__(self) -> None:
        self._engines: list[object] = []

    def load(self, binary: bytes) -> int:
        """The address of the object's entry."""
        import llvmlite.binding as llvm

        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target_machine())
        engine.add_object_file(llvm.object_file.ObjectFileRef.from_data(binary))
        engine.finalize_object()
        self._engines.append(engine)
        return int(engine.get_function_address(ENTRY))


def _target_machine() -> object:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = this_machine()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(cpu=machine.cpu, features=machine.features, opt=3, jit=True)
