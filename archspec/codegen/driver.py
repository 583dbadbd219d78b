"""The driver: runs a table of kernel calls on every thread, the same code for all models.

A row of the table is (address of the kernel, barrier before it, arguments …). Every thread walks the whole table and
does its share of each kernel; where a kernel reads what another thread wrote, the threads meet at a barrier first.

These are bodies that Numba compiles; the names that they do not define are those of `intrinsics`.
"""

# ruff: noqa: F821
# mypy: disable-error-code="no-untyped-def, name-defined"

from __future__ import annotations


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
    """Runs `rows` rows of `width` words; counters[0] counts arrivals at barriers and only grows.

    Numbers too small for a whole mantissa become zero meanwhile, on every thread: an optimiser's averages of gradients that
    have become zero, as those of a dead ReLU, fade into such numbers, and arithmetic on them takes a hundred cycles.
    """
    before = flush_tiny()
    for row in range(rows):
        start = pointer_at(table, row * width)
        if threads > 1 and start[1] != 0:
            meet(counters, threads)
        call_kernel(start, thread, threads)
    if threads > 1:
        meet(counters, threads)
    restore_tiny(before)


def wait(board, counters, thread, threads):
    """A worker thread between steps: waits until a table is posted and runs it, and returns after a while without one.

    board[0] counts the tables posted, and is raised after the rest has been set; 1, 2 and 3 are the address, the rows and
    the width of the last one; 4 + thread is the number of the last one that this thread has run; 4 + threads is set
    when all is over.
    """
    seen = board[4 + thread]
    idle = 0
    while idle < 2000 and board[4 + threads] == 0:
        if load_acquire(board) != seen:
            seen += 1
            board[4 + thread] = seen
            drive(words_at(board[1]), board[2], board[3], counters, thread, threads)
            idle = 0
        else:
            idle += 1
            yield_processor()
