"""Pieces of LLVM code that the register tiles and the packing of their operands are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from archspec.codegen.shapes import NBYTES, TileShape
from archspec.records import record

Value = ir.Value
INDEX = ir.IntType(64)


@record
class Number:
    """An element type, as numba and as LLVM name it."""

    dtype: str

    @property
    def nbytes(self) -> int:
        return NBYTES[self.dtype]

    @property
    def name(self) -> str:
        return f"f{8 * self.nbytes}"

    @property
    def numba_pointer(self) -> Any:
        return types.CPointer(getattr(types, self.dtype))

    @property
    def llvm(self) -> Any:
        return ir.FloatType() if self.dtype == "float32" else ir.DoubleType()

    @property
    def pointer(self) -> Any:
        return self.llvm.as_pointer()

    def vector(self, lanes: int) -> Any:
        return ir.VectorType(self.llvm, lanes)


@record
class Emitter:
    """Emits code on elements of one type at the builder's place."""

    builder: ir.IRBuilder
    number: Number

    def fold(self, stop: Value, initial: list[Value], step: Callable[[Value, list[Value]], list[Value]]) -> list[Value]:
        """The values after step(index, values) for each index below `stop`, held in registers."""
        entry = self.builder.block
        kinds = [value.type for value in initial]
        with self.loop(INDEX(0), stop, as_written=False) as index:
            carried = [self.builder.phi(kind) for kind in kinds]
            updated = step(index, carried)
            last = self.builder.block
        totals = [self.builder.phi(kind) for kind in kinds]
        for phi, first, then in zip([*carried, *totals], [*initial, *initial], [*updated, *updated], strict=True):
            phi.add_incoming(first, entry)
            phi.add_incoming(then, last)
        return totals

    @contextmanager
    def loop(self, start: Value, stop: Value, stride: int = 1, as_written: bool = True) -> Iterator[Value]:
        """A loop around the code that the `with` body emits; yields the index.

        `as_written`: LLVM neither unrolls nor vectorises it, which halves the time to compile and changes no speed.
        """
        builder = self.builder
        entry, body, done = builder.block, builder.append_basic_block("loop"), builder.append_basic_block("done")
        builder.cbranch(builder.icmp_signed("<", start, stop), body, done)
        builder.position_at_end(body)
        index = builder.phi(INDEX)
        index.add_incoming(start, entry)
        yield index
        following = builder.add(index, INDEX(stride), flags=["nsw"])
        index.add_incoming(following, builder.block)
        branch = builder.cbranch(builder.icmp_signed("<", following, stop), body, done)
        if as_written:
            branch.set_metadata("llvm.loop", self._no_transformation())
        builder.position_at_end(done)

    def _no_transformation(self) -> Value:
        module = self.builder.module
        unroll = module.add_metadata(["llvm.loop.unroll.disable"])
        vectorise = module.add_metadata(["llvm.loop.vectorize.width", ir.IntType(32)(1)])
        loop = ir.values.MDValue(module, [], name=str(len(module.metadata)))
        loop.operands = (loop, unroll, vectorise)  # a loop is told from another by naming itself
        return loop

    def multiply_add(self, shape: TileShape) -> Callable[[Value, Value, Value], Value]:
        """x * y + z on vectors, in exactly one way: fused, or multiplied and added.

        The flag keeps numba from adding the kernel's own fast-math flags, under which LLVM may change the order of the
        sum: numba leaves instructions alone that have one.
        """
        builder = self.builder
        if not shape.fused:
            return lambda x, y, z: builder.fadd(builder.fmul(x, y, flags=["nsz"]), z, flags=["nsz"])
        vector = self.number.vector(shape.lanes)
        kind = ir.FunctionType(vector, [vector] * 3)
        fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{shape.lanes}{self.number.name}")
        return lambda x, y, z: builder.call(fma, [x, y, z])

    def load(self, lanes: int, pointer: Value) -> Value:
        value = self.builder.load(self._vectors(lanes, pointer))
        value.align = self.number.nbytes
        return value

    def store(self, value: Value, pointer: Value) -> None:
        self.builder.store(value, self._vectors(value.type.count, pointer)).align = self.number.nbytes

    def prefetch(self, pointer: Value, to_write: bool = False, nearest: int = 1) -> None:
        """Asks for the cache line of an element, to be read or written and kept in all caches from the `nearest` one on."""
        number = ir.IntType(32)
        place = self.builder.bitcast(pointer, ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [place.type, number, number, number])
        function = cgutils.get_or_insert_function(self.builder.module, kind, "llvm.prefetch.p0")
        self.builder.call(function, [place, number(int(to_write)), number(4 - nearest), number(1)])

    def masked_load(self, lanes: int, count: Value) -> Callable[[Value], Value]:
        """A load of the first `count` lanes, zero in the others; memory beyond is not touched."""
        vector = self.number.vector(lanes)
        numbers = ir.VectorType(INDEX, lanes)(list(range(lanes)))
        mask = self.builder.icmp_signed("<", numbers, self.splat(count, lanes))
        kind = ir.FunctionType(vector, [vector.as_pointer(), ir.IntType(32), mask.type, vector])
        name = f"llvm.masked.load.v{lanes}{self.number.name}.p0"
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        alignment, zero = ir.IntType(32)(self.number.nbytes), vector([0.0] * lanes)
        return lambda place: self.builder.call(function, [self._vectors(lanes, place), alignment, mask, zero])

    def splat(self, value: Value, lanes: int) -> Value:
        undefined = ir.VectorType(value.type, lanes)(ir.Undefined)
        single = self.builder.insert_element(undefined, value, ir.IntType(32)(0))
        return self.shuffle(single, single, [0] * lanes)

    def shuffle(self, a: Value, b: Value, lanes: list[int]) -> Value:
        return self.builder.shuffle_vector(a, b, ir.VectorType(ir.IntType(32), len(lanes))(lanes))

    def shifted(self, pointer: Value, offset: Value) -> Value:
        return self.builder.gep(pointer, [offset])

    def walked(self, by: Value, index: Value) -> Value:
        """The offset of `index` by a stride, or in a table."""
        return self.builder.load(self.shifted(by, index)) if isinstance(by.type, ir.PointerType) else self.times(index, by)

    def plus(self, a: Value, b: Value) -> Value:
        return self.builder.add(a, b)

    def times(self, a: Value, b: Value) -> Value:
        return self.builder.mul(a, b)

    def less(self, a: Value, b: Value) -> Value:
        return self.builder.icmp_signed("<", a, b)

    def smaller(self, a: Value, b: Value) -> Value:
        return self.builder.select(self.less(a, b), a, b)

    def rounded_down(self, value: Value, power_of_two: int) -> Value:
        return self.builder.and_(value, INDEX(-power_of_two))

    def less_equal(self, a: Value, b: Value) -> Value:
        return self.builder.icmp_signed("<=", a, b)

    def equal(self, a: Value, b: Value) -> Value:
        return self.builder.icmp_signed("==", a, b)

    def _vectors(self, lanes: int, pointer: Value) -> Value:
        return self.builder.bitcast(pointer, self.number.vector(lanes).as_pointer())
