"""The few instructions that Python cannot say: bit patterns, NaN-keeping extrema, atomics, calls through a table."""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

WORD = ir.IntType(64)


@intrinsic
def bits_of(typing, value):
    """The bit pattern of a float32 as an int32."""

    def emit(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), emit


@intrinsic
def float_of(typing, bits):
    """The float32 with the bit pattern of an int32."""

    def emit(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), emit


def _extremum(name: str, along_row: bool = False):
    """llvm.maximum or llvm.minimum: NaN if one operand is NaN, and a form that LLVM vectorises in reductions.

    `along_row`: b is the next element of a row. Where it is masked, LLVM would draw the mask out of the maximum, and then
    know no vector form; a `freeze` keeps the two apart.
    """
    chosen = ">" if name == "maximum" else "<"

    @intrinsic
    def extremum(typing, a, b):
        if isinstance(a, types.Integer) and isinstance(b, types.Integer):
            return types.int64(types.int64, types.int64), choose
        kind = types.float64 if types.float64 in (a, b) else types.float32

        def emit(context, builder, signature, arguments):
            llvm = context.get_value_type(kind)
            suffix = "f64" if kind == types.float64 else "f32"
            function = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(llvm, [llvm, llvm]), f"llvm.{name}.{suffix}"
            )
            if along_row:
                arguments = [arguments[0], _frozen(builder, arguments[1])]
            return builder.call(function, arguments)

        return kind(kind, kind), emit

    def choose(context, builder, signature, arguments):
        return builder.select(builder.icmp_signed(chosen, *arguments), *arguments)

    return extremum


def _frozen(builder, value):
    frozen = ir.instructions.Instruction(builder.block, value.type, "freeze", [value])
    builder._insert(frozen)
    return frozen


maximum, minimum = _extremum("maximum"), _extremum("minimum")
largest, smallest = _extremum("maximum", along_row=True), _extremum("minimum", along_row=True)


@intrinsic
def floor(typing, value):
    """The largest whole number that is not above a value, as a floating-point number."""

    def emit(context, builder, signature, arguments):
        kind = arguments[0].type
        suffix = "f64" if value == types.float64 else "f32"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind]), f"llvm.floor.{suffix}")
        return builder.call(function, arguments)

    return value(value), emit


@intrinsic
def accumulate(typing, total, value):
    """total + value as part of a sum along a row, whose order LLVM may choose once for all rows: vectors of partial sums."""
    kind = types.float64 if types.float64 in (total, value) else types.float32

    def emit(context, builder, signature, arguments):
        return builder.fadd(*arguments, flags=["reassoc", "contract", "nsz"])

    return kind(kind, kind), emit


@intrinsic
def fence(typing):
    """No instruction at all, but LLVM keeps it once for each turn of its loop. So turns of a loop over rows are never
    mixed into vectors across rows, and the bits of a row do not hang on its place, on the batch or on the threads."""

    def emit(context, builder, signature, arguments):
        builder.asm(ir.FunctionType(ir.VoidType(), []), "", "", [], side_effect=True)
        return context.get_dummy_value()

    return types.void(), emit


@intrinsic
def fetch_add(typing, pointer, amount):
    """Adds to a counter that threads share and returns what it was before."""

    def emit(context, builder, signature, arguments):
        return builder.atomic_rmw("add", arguments[0], arguments[1], "acq_rel")

    return types.int64(types.CPointer(types.int64), types.int64), emit


@intrinsic
def load_acquire(typing, pointer):
    """A counter that threads share; what was written before it was raised is visible afterwards."""

    def emit(context, builder, signature, arguments):
        return builder.load_atomic(arguments[0], "acquire", 8)

    return types.int64(types.CPointer(types.int64)), emit


@intrinsic
def store_release(typing, pointer, value):
    """Sets a counter that threads share."""

    def emit(context, builder, signature, arguments):
        builder.store_atomic(arguments[1], arguments[0], "release", 8)
        return context.get_dummy_value()

    return types.void(types.CPointer(types.int64), types.int64), emit


@intrinsic
def yield_processor(typing):
    """Lets another thread run: on a busy machine the one that is waited for may have lost its core."""

    def emit(context, builder, signature, arguments):
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.IntType(32), []), "sched_yield")
        builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), emit


@intrinsic
def pointer_at(typing, table, index):
    """The address of `table[index]`, or of what `table` points to `index` words on."""

    def emit(context, builder, signature, arguments):
        return builder.gep(arguments[0], [arguments[1]])

    return table(table, types.int64), emit


@intrinsic
def words_at(typing, address):
    """An address as a pointer to 64-bit words."""

    def emit(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], WORD.as_pointer())

    return types.CPointer(types.int64)(types.int64), emit


@intrinsic
def bytes_at(typing, address):
    """An address as a pointer to bytes."""

    def emit(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())

    return types.CPointer(types.uint8)(types.int64), emit


@intrinsic
def call_kernel(typing, row, thread, threads):
    """Calls the kernel whose address is row[0] with (&row[2], thread, threads)."""

    def emit(context, builder, signature, arguments):
        row, thread, threads = arguments
        kind = ir.FunctionType(ir.VoidType(), [WORD.as_pointer(), WORD, WORD])
        function = builder.inttoptr(builder.load(row), kind.as_pointer())
        builder.call(function, [builder.gep(row, [WORD(2)]), thread, threads])
        return context.get_dummy_value()

    return types.void(types.CPointer(types.int64), types.int64, types.int64), emit


# --- numbers too small for a whole mantissa -------------------------------------------------------------------------

FLUSH = 0x8040  # MXCSR: results and operands of that size count as zero


@intrinsic
def flush_tiny(typing):
    """Lets this thread take subnormal numbers for zero; returns the control word as it was. On x86 alone."""

    def emit(context, builder, signature, arguments):
        if not is_x86():
            return ir.IntType(32)(0)
        before = _control_word(builder)
        _set_control_word(builder, builder.or_(before, ir.IntType(32)(FLUSH)))
        return before

    return types.int32(), emit


@intrinsic
def restore_tiny(typing, before):
    """Sets the control word of `flush_tiny` again."""

    def emit(context, builder, signature, arguments):
        if is_x86():
            _set_control_word(builder, arguments[0])
        return context.get_dummy_value()

    return types.void(types.int32), emit


def is_x86() -> bool:
    return binding.get_process_triple().startswith(("x86_64", "i686"))


def _control_word(builder):
    place = cgutils.alloca_once(builder, ir.IntType(32))
    builder.call(_control(builder, "stmxcsr"), [builder.bitcast(place, ir.IntType(8).as_pointer())])
    return builder.load(place)


def _set_control_word(builder, word):
    place = cgutils.alloca_once(builder, ir.IntType(32))
    builder.store(word, place)
    builder.call(_control(builder, "ldmxcsr"), [builder.bitcast(place, ir.IntType(8).as_pointer())])


def _control(builder, name: str):
    kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer()])
    return cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{name}")
