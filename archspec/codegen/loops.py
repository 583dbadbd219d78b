"""What LLVM is told about a kernel's loops, so that rows become vectors whatever their length.

LLVM unrolls short loops of known length before it looks for vectors, and then finds none: the maximum of 64 elements
would be a chain of 64 comparisons. Loops that hold no others are kept from that, but for those that a kernel wants written
out, `for j in written_out(9)`. Where a short row is no whole number of vectors, the last one is masked; beyond SHORT the
elements that are left over count less than a mask in every turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llvmlite import ir as llvm
from numba.core import ir, lowering
from numba.core.analysis import compute_cfg_from_blocks

from archspec.records import record

WRITTEN_OUT = "written_out"  # another name of `range`
FEW = 4  # turns that are no vector
SHORT = 128  # at 62 classes a mask makes cross-entropy 1.7 times as fast, at 300 features layer norm 1.3 times as slow
LANES = 16  # elements of the widest vector


class Lower(lowering.Lower):
    """Numba's lowering; the jump back to the head of a loop carries what LLVM is told about the loop."""

    def lower_function_body(self):
        self.told = {loop.head: loop for loop in innermost(self.blocks)}
        return super().lower_function_body()

    def lower_block(self, block):
        self.offset = next(offset for offset, one in self.blocks.items() if one is block)
        super().lower_block(block)

    def lower_inst(self, inst):
        super().lower_inst(inst)
        loop = self.told.get(inst.target) if isinstance(inst, ir.Jump) else None
        if loop is not None and self.offset >= loop.head:
            self.builder.block.terminator.set_metadata("llvm.loop", advice(self.module, loop))


@record
class LoopHead:
    """The number of the block that a loop begins with, and its turns where the source says them."""

    head: int
    turns: int | None


def innermost(blocks: Mapping[int, Any]) -> Iterator[LoopHead]:
    """The loops of more than a FEW turns that hold no others but such as are written out."""
    loops = [
        (loop, *_range_of(blocks[entry]))
        for loop in compute_cfg_from_blocks(blocks).loops().values()
        for entry in list(loop.entries)[:1]
    ]
    plain = [(loop, turns) for loop, name, turns in loops if name != WRITTEN_OUT]
    for loop, turns in plain:
        few = turns is not None and turns <= FEW
        if not few and not any(other.header in loop.body for other, _ in plain if other is not loop):
            yield LoopHead(loop.header, turns)


def _range_of(block: Any) -> tuple[str, int | None]:
    """What is called last in the block before a loop, its range, and its one argument if that is a number."""
    values = {s.target.name: s.value for s in block.body if isinstance(s, ir.Assign)}
    calls = [v for v in values.values() if isinstance(v, ir.Expr) and v.op == "call"]
    if not calls:
        return "", None
    function, argument = values.get(calls[-1].func.name), values.get(calls[-1].args[0].name) if calls[-1].args else None
    turns = argument.value if isinstance(argument, ir.Const) and len(calls[-1].args) == 1 else None
    return getattr(function, "name", ""), turns


def advice(module: llvm.Module, loop: LoopHead) -> llvm.MDValue:
    """The metadata of a loop, which name themselves: so LLVM tells a loop from another."""
    hints = [["llvm.loop.unroll.disable"], ["llvm.loop.vectorize.followup_vectorized"]]  # vectors may be unrolled
    if loop.turns is not None and loop.turns < SHORT and loop.turns % LANES:
        hints.append(["llvm.loop.vectorize.predicate.enable", llvm.IntType(1)(1)])
    made = llvm.MDValue(module, [], name=str(len(module.metadata)))
    made.operands = (made, *(module.add_metadata(hint) for hint in hints))
    return made
