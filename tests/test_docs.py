"""The pages say what is true: their specs are checked, their commands and Python lines run, their tables are made anew.

A fenced block is read by the words after its fence:

    arch             a whole spec: every model in it is lowered; with `file=NAME` it is also written for the commands
    arch context     the model that `arch body` blocks stand in, for `...`
    arch data        the lines of a `data` section, bound to the files that `file=NAME` blocks make
    arch refused     a spec with a mistake; the block after it, `text`, is the message
    arch lines FILE  lines of a file
    console          commands after `$ `, each with what it prints on stdout; `console not run` is left alone
    python           a session with `>>> `, or code of the compiler's page
    csv file=NAME    a file

Figures with a fraction may differ a little, since CPUs round sums differently. ARCHSPEC_UPDATE=1 writes what is printed
into the pages.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import REPOSITORY, command_environment

import archspec
from archspec import reference
from archspec.data import bind, transforms
from archspec.diagnostics import Source
from archspec.frontend import syntax
from archspec.frontend.parse import parse
from archspec.ir.build import Builder, Loops
from archspec.ir.graph import Node
from archspec.ir.verify import verify
from archspec.learning.recipes import RECIPES
from archspec.lower.builtins import BUILTINS
from archspec.lower.files import library_names
from archspec.optimise.local import reduced

PAGES = {path.relative_to(REPOSITORY).as_posix(): path for path in (REPOSITORY / "README.md", *REPOSITORY.glob("docs/*.md"))}
UPDATE = os.environ.get("ARCHSPEC_UPDATE") == "1"
FENCE = re.compile(r"^```(?P<words>\w[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: the words after the fence, its text, and the line where the text begins."""

    page: str
    words: tuple[str, ...]
    text: str
    line: int

    @property
    def kind(self) -> str:
        return " ".join(word for word in self.words if not set(word) & set("=/"))

    @property
    def file(self) -> str | None:
        return next((word.removeprefix("file=") for word in self.words if word.startswith("file=")), None)


def blocks_of(page: str) -> list[Block]:
    text = PAGES[page].read_text(encoding="utf-8")
    found = FENCE.finditer(text)
    return [Block(page, tuple(m["words"].split()), m["text"], text.count("\n", 0, m.start()) + 2) for m in found]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def blocks(*kinds):
    return [pytest.param(block, id=f"{block.page}:{block.line}") for block in BLOCKS if block.kind in kinds]


def replace(block: Block, text: str) -> None:
    """Writes a new text into a block's page."""
    path = PAGES[block.page]
    page = path.read_text(encoding="utf-8")
    assert page.count(block.text) == 1, "only a text that the page holds once can be replaced"
    path.write_text(page.replace(block.text, text), encoding="utf-8")


def test_every_block_is_of_a_known_kind():
    known = {
        "arch",
        "arch lines",
        "arch context",
        "arch body",
        "arch data",
        "arch refused",
        "text",
        "csv",
        "console",
        "console not run",
    }
    assert {block.kind for block in BLOCKS} <= known | {"python"}


# --- specs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", blocks("arch"))
def test_spec(block):
    spec = archspec.loads(block.text, folder=REPOSITORY / "specs", name=block.page)
    if spec.file.models():
        spec.check(data=False)


@pytest.mark.parametrize("block", blocks("arch body"))
def test_body(block):
    context = next(b for b in BLOCKS if b.kind == "arch context")
    archspec.loads(context.text.replace("  ...\n", block.text), name=block.page).check()


@pytest.mark.parametrize("block", blocks("arch refused"))
def test_refused(block):
    expected = BLOCKS[BLOCKS.index(block) + 1]
    assert (expected.page, expected.kind) == (block.page, "text")
    with pytest.raises(archspec.ArchError) as caught:
        archspec.loads(block.text, name=block.page).check()
    message = f"{caught.value}\n"
    if UPDATE and message != expected.text:
        replace(expected, message)
    assert message == expected.text


@pytest.mark.parametrize("block", blocks("arch data"))
def test_data(block, tmp_path):
    write_files(block.page, tmp_path)
    tree = parse(Source(block.page, f"data {{\n{block.text}}}\n"))
    section = next(item for item in tree.items if isinstance(item, syntax.Section))
    dataset = bind(section, {"B": None, "F": None, "K": None}, {}, tmp_path)
    assert dataset.dims == {"F": 5, "K": 2} and dataset.classes == {"K": ("large", "small")}


@pytest.mark.parametrize("block", blocks("arch lines"))
def test_lines(block):
    lines = (REPOSITORY / block.words[-1]).read_text(encoding="utf-8").splitlines()
    assert set(block.text.splitlines()) <= set(lines)


def write_files(page: str, folder: Path) -> None:
    for block in BLOCKS:
        if block.page == page and block.file:
            (folder / block.file).write_text(block.text, encoding="utf-8")


# --- commands --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """What a reader has after `git clone`: the specs, and beside them what the pages tell them to write."""
    folder = tmp_path_factory.mktemp("clone")
    shutil.copytree(REPOSITORY / "specs", folder / "specs")
    for page in PAGES:
        write_files(page, folder)
    return folder


@pytest.fixture(scope="module")
def shell(clone, tmp_path_factory):
    """Runs a command line in the clone, where `archspec` is this archspec."""
    binaries = tmp_path_factory.mktemp("bin")
    command = binaries / "archspec"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m archspec "$@"\n')
    command.chmod(0o755)
    environment = command_environment()
    environment["PATH"] = f"{binaries}:{environment['PATH']}"

    def run(line: str) -> str:
        process = subprocess.run(
            ["bash", "-c", line], cwd=clone, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        return process.stdout

    return run


COMMAND = re.compile(r"^\$ (?P<line>.*)\n(?P<output>(?:(?!\$ ).*\n)*)", re.MULTILINE)


@pytest.mark.parametrize("block", blocks("console"))
def test_commands(block, shell):
    pairs = [(m["line"], m["output"]) for m in COMMAND.finditer(block.text)]
    assert pairs
    made = [(line, shell(line)) for line, _ in pairs]
    alike = [same(shown, output) for (_, shown), (_, output) in zip(pairs, made, strict=True)]
    if UPDATE and not all(alike):
        replace(block, "".join(f"$ {line}\n{output}" for line, output in made))
    for (_, shown), (_, output) in zip(pairs, made, strict=True):
        assert same(shown, output), f"shown:\n{shown}\nprinted:\n{output}"


NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")


def same(shown: str, printed: str) -> bool:
    """Equal but for the last digits of numbers with a fraction."""
    if NUMBER.sub("#", shown).split() != NUMBER.sub("#", printed).split():
        return False
    pairs = zip(NUMBER.findall(shown), NUMBER.findall(printed), strict=True)
    return all(float(a) == pytest.approx(float(b), rel=0.2, abs=0.06) for a, b in pairs)


# --- Python ----------------------------------------------------------------------------------------------------------


class Checker(doctest.OutputChecker):
    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return super().check_output(want, got, optionflags) or same(want, got)


@pytest.mark.parametrize("page", PAGES)
def test_python_sessions(page, clone, shell, monkeypatch):
    """All sessions of a page are one: later ones use the names of earlier ones."""
    monkeypatch.chdir(clone)
    sessions = "\n".join(b.text for b in BLOCKS if b.page == page and b.kind == "python" and ">>> " in b.text)
    test = doctest.DocTestParser().get_doctest(sessions, {}, page, page, 0)
    report = io.StringIO()
    with contextlib.redirect_stdout(report):
        failed, _ = doctest.DocTestRunner(Checker(), optionflags=doctest.ELLIPSIS).run(test)
    assert not failed, report.getvalue()


# --- the compiler's page ---------------------------------------------------------------------------------------------


def compiler_example(word):
    """The code of the page for those who change the compiler that mentions `word`."""
    return next(b.text for b in blocks_of("docs/compiler.md") if b.words[0] in ("python", "arch") and word in b.text)


def test_the_layer_that_the_page_adds():
    model = "dim B, D = 6, K = 3\nmodel m(x[B,D]) -> z[B,K] {\n  z = x |> glu(K)\n}\n"
    program = archspec.loads(compiler_example("block glu") + model).compile(dims={}, precision="f64")
    x, w = np.linspace(-1, 1, 12).reshape(2, 6), dict(program.weights)
    up, gate = (x @ w[f"m/z/glu/y/{name}/W"] for name in ("linear", "linear_2"))
    np.testing.assert_allclose(program.forward(x=x)["z"], up / (1 + np.exp(-gate)))


ATAN = """
import math
import numpy as np
from archspec.ops.record import OPS, Op

def atan_scalar(x):
    return math.atan(x)

{example}
import archspec
spec = archspec.loads("dim B\\nmodel m(x[B]) -> z[] {{ weight w[] ~ 0.7; z = sum(atan(w * x)) }}\\ntrain {{ loss = z }}")
program = spec.compile(dims={{}}, precision="f64")
x = np.array([0.3, -1.7, 2.0])
loss, gradient = program.gradient(x=x)
np.testing.assert_allclose(loss, np.arctan(0.7 * x).sum())
np.testing.assert_allclose(gradient["m/w"], (x / (1 + (0.7 * x) ** 2)).sum())
"""


def test_the_op_that_the_page_adds():
    """In a process of its own, since the registry is one for all tests."""
    code = ATAN.format(example=compiler_example("atan"))
    environment = command_environment() | {"ARCHSPEC_CACHE": "off"}
    process = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr


def test_the_rule_that_the_page_adds():
    names = {"Builder": Builder, "Loops": Loops, "Node": Node}
    exec(compiler_example("def double_to_sum"), names)
    graph = archspec.loads("dim B\nmodel m(x[B]) -> z[B] { z = 2 * x }").stages().graph
    changed = verify(reduced(graph, lambda op: (names["double_to_sum"],) if op == "multiply" else ()))
    assert [changed.nodes[v].op for v in changed.outputs.values()] == ["add"]


def test_the_transform_that_the_page_adds(monkeypatch, tmp_path):
    names: dict[str, Any] = {"np": np}
    exec(compiler_example("fit_center"), names)
    monkeypatch.setitem(transforms.TRANSFORMS, "center", transforms.Transform(names["center"], names["fit_center"]))
    (tmp_path / "t.csv").write_text("a\n1\n2\n6\n")
    tree = parse(Source("t.arch", 'data {\n  x[B] = csv("t.csv")["a"] |> center\n}'))
    dataset = bind(tree.items[0], {"B": None}, {}, tmp_path)
    assert dataset.field("x").array.tolist() == [-2, -1, 3]


# --- tables ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_tables_are_as_the_registries_say(page):
    text = PAGES[page].read_text(encoding="utf-8")
    if UPDATE:
        PAGES[page].write_text(reference.fill(text), encoding="utf-8")
    assert reference.fill(text) == text, f"python -m archspec.reference {page} writes them"


def test_the_language_page_has_every_table():
    text = PAGES["docs/language.md"].read_text(encoding="utf-8")
    assert re.findall(r"<!-- table: (\w+) -->", text) and all(f"<!-- table: {name} -->" in text for name in reference.TABLES)


def test_every_name_has_its_line():
    text = PAGES["docs/language.md"].read_text(encoding="utf-8")
    names = {*BUILTINS, *library_names(), *(name for _, name in RECIPES)}
    assert not [name for name in sorted(names) if not re.search(rf"^\| `{name}\b", text, re.MULTILINE)]


def test_links():
    for page, path in PAGES.items():
        text = path.read_text(encoding="utf-8")
        prose = re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))
        for target in re.findall(r"\]\(([^)]+)\)", prose):
            file, _, heading = target.partition("#")
            if "://" in target:
                continue
            there = path.parent / file if file else path
            assert there.exists(), f"{page}: {target}"
            assert not heading or heading in headings_of(there), f"{page}: {target}"


def headings_of(path):
    """The anchors of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
