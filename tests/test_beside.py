"""Work in a copy of the process: its value is the same wherever it is done."""

import subprocess
import sys
import threading

import pytest
from support import command_environment

from archspec import beside
from archspec.beside import beside as start

WHERE = """
import os
from archspec.beside import beside
waiting = [beside(lambda k=k: (os.getpid(), b"x" * (k << 20))) for k in range(3)]
found = [wait() for wait in waiting]
assert [len(data) for _, data in found] == [0, 1 << 20, 2 << 20]
print(sum(process != os.getpid() for process, _ in found), len(os.sched_getaffinity(0)))
"""


def test_it_is_done_by_another_process_where_there_is_a_processor_for_it():
    run = subprocess.run(
        [sys.executable, "-c", WHERE], env=command_environment(), capture_output=True, text=True, timeout=60, check=True
    )
    elsewhere, processors = map(int, run.stdout.split())
    assert elsewhere == (3 if processors > 1 else 0)


def test_a_process_with_threads_is_not_copied():
    over = threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    try:
        assert not beside._may_copy()
    finally:
        over.set()
        other.join()


@pytest.mark.parametrize("processors", [{0}, {3}])
def test_one_processor_does_one_thing_after_the_other(processors, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda process: processors)
    assert not beside._may_copy() and start(lambda: "done")() == "done"


def test_where_no_process_can_be_made_it_is_done_here(monkeypatch):
    def refuse():
        raise BlockingIOError

    monkeypatch.setattr("os.fork", refuse)
    monkeypatch.setattr(beside, "_may_copy", lambda: True)
    assert start(lambda: "done")() == "done"


FAILS = """
import os, sys
from archspec.beside import beside
here = os.getpid()

def work():
    if os.getpid() != here:
        {fault}
    return lambda: 7

print(beside(work)()())
"""


@pytest.mark.parametrize("fault", ["raise ValueError", "os.kill(os.getpid(), 9)", "os._exit(3)", "pass"])
def test_what_the_copy_fails_at_is_done_here(fault):
    """A function cannot be sent either."""
    text = FAILS.format(fault=fault)
    run = subprocess.run([sys.executable, "-c", text], env=command_environment(), capture_output=True, text=True, timeout=60)
    assert (run.stdout, run.stderr, run.returncode) == ("7\n", "", 0)
