"""The driver: runs a table of kernel calls on every thread, the same code for all models.

A row of the table is (address of the kernel, barrier before it, arguments …). Every thread walks the whole table and
does its share of each kernel; where a kernel reads what another thread wrote, the threads meet at a barrier first. A table
that takes in a batch begins with a row of `let_in` for each input. The barrier after those is a gate, a 2: there the table
ends if one of them was refused. A gate that is a 3 ends it if the loss is not finite.

These are bodies that Numba compiles; the names that they do not define are those of `intrinsics`.
"""

# ruff: noqa: F821
# mypy: disable-error-code="no-untyped-def, name-defined"

from __future__ import annotations

# An array of NumPy's, in 64-bit words: what every module in C that is compiled for NumPy reads (`PyArrayObject_fields`).
TYPE, DATA, RANK, SHAPE, DTYPE, FLAGS = 1, 2, 3, 4, 7, 8
PLAIN = 0x101  # in C's order, and aligned


def meet(counters, threads):
    """A barrier of two atomics: arrive, then spin until all have; let others run when that takes long."""
    target = (fetch_add(counters, 1) // threads + 1) * threads
    spins = 0
    while load_acquire(counters) < target:
        spins += 1
        if spins > 4000:
            yield_processor()
            spins = 0


def drive(table, rows, width, counters, thread, threads):
    """Runs `rows` rows of `width` words; counters[0] counts arrivals at barriers and only grows, counters[8] is set by rows
    that refuse an input; counters[9] is the address of the loss, and counters[10] the bits that all are 1 in numbers that are
    not finite.

    Numbers too small for a whole mantissa become zero meanwhile, on every thread: an optimiser's averages of gradients that
    have become zero, as those of a dead ReLU, fade into such numbers, and arithmetic on them takes a hundred cycles.
    """
    before = flush_tiny()
    for row in range(rows):
        start = pointer_at(table, row * width)
        if threads > 1 and start[1] != 0:
            meet(counters, threads)
        if start[1] == 2 and counters[8] != 0:
            break
        if start[1] == 3 and words_at(counters[9])[0] & counters[10] == counters[10]:
            break
        call_kernel(start, thread, threads)
    if threads > 1:
        meet(counters, threads)
    restore_tiny(before)


def let_in(given, which, kind, dtype, rank, shape, place, nbytes, end, counters, thread, threads):
    """Copies this thread's share of an array of NumPy's to `place`; sets counters[8] where it is no such array.

    given[which] is the address of the object. It must be of the type at the address `kind` and of the dtype at the address
    `dtype`, of `rank` axes as long as `shape` says, contiguous, and its numbers 0 to end - 1 where `end` is not 0.
    """
    array = words_at(given[which])
    if array[TYPE] != kind or array[DTYPE] != dtype or array[RANK] & 0xFFFFFFFF != rank or array[FLAGS] & PLAIN != PLAIN:
        counters[8] = 1
        return
    extents = words_at(array[SHAPE])
    for axis in range(rank):
        if extents[axis] != shape[axis]:
            counters[8] = 1
            return
    if end == 0:
        first, last = nbytes * thread // threads, nbytes * (thread + 1) // threads
        source = bytes_at(array[DATA])
        target = bytes_at(place)
        for i in range(first, last):
            target[i] = source[i]
    else:
        numbers = words_at(array[DATA])
        target_numbers = words_at(place)
        wrong = 0
        for i in range(nbytes // 8 * thread // threads, nbytes // 8 * (thread + 1) // threads):
            number = numbers[i]
            target_numbers[i] = number
            wrong |= (number < 0) | (number >= end)
        if wrong:
            counters[8] = 1


def wait(board, counters, thread, threads):
    """A worker thread between steps: waits until a table is posted and runs it, and returns after a while without one.

    board[0] counts the tables posted, and is raised after the rest has been set; 1, 2 and 3 are the address, the rows and
    the width of the last one; 5 is set when all is over. 8*thread is the number of the last one that this thread has run, in a
    cache line of its own. Between short steps a thread looks again at once; after some microseconds it lets others run.
    """
    seen = board[8 * thread]
    idle = 0
    while idle < 10000 and board[5] == 0:
        if load_acquire(board) != seen:
            seen += 1
            board[8 * thread] = seen
            drive(words_at(board[1]), board[2], board[3], counters, thread, threads)
            idle = 0
        else:
            idle += 1
            if idle > 8000:
                yield_processor()
