"""What LLVM is told about loops: which of them become vectors, and how."""

import inspect
import re

import pytest
from llvmlite import ir
from numba.core.compiler import run_frontend

from archspec.codegen import numba_target
from archspec.codegen.loops import LoopHead, advice, innermost
from archspec.codegen.native import compile_source
from archspec.codegen.shapes import tile_shape
from archspec.ops import OPS

written_out = range


def turns_of(function):
    return [loop.turns for loop in innermost(run_frontend(function).blocks)]


def hints(turns):
    module = ir.Module()
    advice(module, LoopHead(0, turns))
    return str(module)


def test_the_innermost_loops_are_told_from_those_around_them():
    def rows(x, n):
        for i in range(n):
            m = x[i]
            for j in range(64):
                m = max(m, x[i * 64 + j])
            for _ in range(n):
                x[i] = m
            for k in range(3, 9):
                x[k] = m if m > 0 else -m
            for k in range(2):
                x[k] = m

    assert sorted(turns_of(rows), key=str) == [64, None, None]


def test_a_loop_that_is_written_out_leaves_vectors_to_the_one_around_it():
    def pooling(x, n):
        for i in range(n):
            for j in range(100):
                for u in written_out(3):
                    for v in written_out(3):
                        x[i] += x[j + u * v]

    assert turns_of(pooling) == [100]


def test_loops_are_vectors_before_they_are_unrolled_and_short_rows_end_in_a_mask():
    assert "unroll" in hints(64) and "predicate" not in hints(64)
    assert "unroll" in hints(62) and "predicate" in hints(62)
    assert "unroll" in hints(300) and "predicate" not in hints(300)
    assert "unroll" in hints(None) and "predicate" not in hints(None)


def compiled(body):
    """The size in bytes of the code of a kernel with `body`."""
    lines = "".join(f"    {line}\n" for line in body.split("\n"))
    source = f"def probe(x, y, thread, threads):\n{lines}"
    return compile_source(source, "probe", ("f4", "f4"), "f4", tile_shape("f4", ()), "probe").binary


def test_a_maximum_along_a_short_row_is_no_chain_of_comparisons():
    """A chain has an instruction or two for every element, and so grows with the row."""
    body = "m = x[0]\nfor j in range({0}):\n    m = largest(m, x[j])\ny[0] = m"
    assert len(compiled(body.format(64))) < 1.2 * len(compiled(body.format(256)))


FUNCTIONS = {name: versions["f4"] for op in OPS for name, versions in op.functions.items()}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_row_of_any_function_is_computed_in_vectors(name, monkeypatch):
    """Of `step`, `key` and the like there is one for a row."""
    arguments = [p.name for p in inspect.signature(FUNCTIONS[name]).parameters.values()]
    call = ", ".join({"index": "i", "step": "k[0]", "key": "k[1]"}.get(argument, "x[i]") for argument in arguments)
    source = f"def probe(x, y, k, thread, threads):\n    for i in range(k[2]):\n        y[i] = {name}({call})\n"
    modules = []
    emit = numba_target._emit
    monkeypatch.setattr(numba_target, "_emit", lambda lib, symbol: [emit(lib, symbol), modules.append(lib._final_module)][0])
    compile_source(source, "probe", ("f4", "f4", "i8"), "f4", tile_shape("f4", ()), "probe")
    assert re.search(r"store <\d+ x float>", str(modules[0]))
