"""Kernels compiled by several processes."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from archspec.codegen import cache, worker
from archspec.codegen.link import Linkable, Linked
from archspec.codegen.objects import Object, Primitive
from archspec.codegen.shapes import TileShape
from archspec.codegen.worker import Crew, Task

SHAPE = TileShape(rows=4, vectors=2, lanes=4, fused=False)
FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


def task(number, body=None):
    """A kernel that writes its number; the number is also its name in the cache."""
    name, body = f"k{number}", body or f"y[0] = F({number})"
    source = f'def {name}(y, thread, threads):\n    """\n    y = {number}\n    """\n    {body}\n'
    return Task(cache.key_of("test", source), source, name, ("f8",), "f8", SHAPE, f"test_{name}")


def value(made, symbol):
    linked, y = Linked(), np.zeros(1)
    words = np.array([y.ctypes.data], np.int64)
    FUNCTION(linked.load(Linkable(symbol, made.binary)))(words.ctypes.data, 0, 1)
    return y[0]


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


@pytest.mark.parametrize("tasks", [2, None], ids=["alone", "with helpers"])
def test_a_crew_makes_everything_that_it_is_given_at_any_time(two_cores, tasks):
    crew = Crew(tasks)
    crew.add([task(1), task(2)])
    crew.add([task(n) for n in range(3, 8)])
    made = crew.finish()
    assert [value(made[task(n).key], f"test_k{n}") for n in range(1, 8)] == list(range(1, 8))


def test_what_a_helper_cannot_make_is_tried_here(two_cores, monkeypatch):
    monkeypatch.setattr(worker.Channel, "ask", lambda channel, task: None)
    crew = Crew()
    crew.add([task(n) for n in range(4)])
    assert len(crew.finish()) == 4


def test_without_a_process_for_helpers_this_one_compiles(monkeypatch):
    monkeypatch.setattr(worker, "_start", lambda count: (None, []))
    crew = Crew()
    crew.add([task(n) for n in range(4)])
    assert len(crew.finish()) == 4


def test_what_killed_helpers_leave_is_made_here(two_cores):
    crew = Crew()
    process = crew._end.peek()[2][1]
    crew.add([task(n) for n in range(4)])
    os.killpg(process.pid, signal.SIGKILL)
    assert len(crew.finish()) == 4


def test_helpers_share_one_start(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    crew = Crew()
    crew.add([task(n) for n in range(12)])
    assert len(crew.finish()) == 12
    assert len(crew._threads) == 3


def test_a_process_with_helpers_needs_no_numba():
    body = "crew = Crew(); crew.add([task(n) for n in range(100, 106)]); print(len(crew.finish()), 'numba' in sys.modules)"
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from test_worker import Crew, task; {body}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "6 False\n"


def test_a_mistake_in_a_kernel_is_raised_here_and_ends_the_helpers(two_cores):
    crew = Crew()
    crew.add([task(1, "y[0] = nothing")])
    with pytest.raises(Exception, match="nothing"):
        crew.finish()
    assert not crew._end.alive


def test_a_crew_that_is_not_needed_leaves(two_cores):
    crew = Crew()
    end = crew._end
    del crew
    assert not end.alive


def test_the_costliest_kernels_come_first():
    short, long = task(1), task(2, "y[0] = F(1.0) + F(2.0)")
    crew = Crew(0)
    crew.add([long, short])
    assert crew._list.take() == long
    assert crew._list.take() == short


def test_an_object_says_which_primitives_it_calls():
    made = Object(b"\x7fELF\n\0", (Primitive("tile", "float32", SHAPE), Primitive("pack_right", "float64", SHAPE, across=True)))
    assert Object.from_bytes(made.to_bytes()) == made


def test_each_primitive_has_a_symbol_of_its_own():
    shapes = (SHAPE, TileShape(4, 1, 4, False), TileShape(4, 2, 4, True), TileShape(2, 2, 4, False), TileShape(4, 2, 8, False))
    ways = [(False, False), (True, False), (False, True)]
    what = ("tile", "tile_onto", "tile_at", "pack_right", "pack_left", "pack_left_at")
    all_of_them = [Primitive(w, d, s, *way) for w in what for d in ("float32", "float64") for s in shapes for way in ways]
    assert len({primitive.symbol for primitive in all_of_them}) == len(all_of_them)
