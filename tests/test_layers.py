"""The layers of the package: a module imports only from what stands before it on the way from text to program."""

from __future__ import annotations

import ast
import graphlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import REPOSITORY, command_environment

PACKAGE = REPOSITORY / "archspec"
MAY_IMPORT = {
    "diagnostics": "",
    "frontend": "diagnostics",
    "ir": "diagnostics",
    "ops": "diagnostics ir",
    "learning": "diagnostics ir ops",
    "lower": "diagnostics frontend ir ops learning",
    "differentiate": "diagnostics ir ops",
    "optimise": "diagnostics ir ops",
    "plan": "diagnostics ir ops",
    "codegen": "diagnostics ir ops plan",
    "data": "diagnostics frontend",
    "runtime": "diagnostics ir ops learning lower plan data saving",
    "viz": "diagnostics frontend ir ops learning lower plan",
    "trained": "diagnostics frontend ir ops learning lower plan data runtime viz pipeline spec saving",
}
HEAVY = {"numba", "llvmlite", "networkx", "lark", "scipy"}


def module_name(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(node: ast.AST) -> Iterator[str]:
    """What a module imports when it is loaded or later; not what it imports for its annotations alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.ImportFrom) and child.module:
            names = [f"{child.module}.{alias.name}" for alias in child.names]
            yield from (name if name in MODULES else child.module for name in names)
        elif isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        else:
            yield from imports(child)


def imported(module: str) -> set[str]:
    return set(imports(ast.parse(MODULES[module].read_text(encoding="utf-8")))) - {module}


def layer(module: str) -> str:
    return module.split(".")[1] if "." in module else module


@pytest.mark.parametrize("name", MAY_IMPORT)
def test_imports_point_backwards(name):
    allowed = {name, "records", *MAY_IMPORT[name].split()}
    own = [module for module in MODULES if layer(module) == name]
    assert own, f"there is no archspec.{name}"
    wrong = {(m, i) for m in own for i in imported(m) if i.startswith("archspec.") and layer(i) not in allowed}
    assert not wrong


def test_every_package_has_its_place():
    packages = {folder.name for folder in PACKAGE.iterdir() if (folder / "__init__.py").is_file()}
    assert packages == set(MAY_IMPORT) - {"diagnostics"}


def test_code_generation_and_runtime_do_not_know_each_other():
    assert "runtime" not in MAY_IMPORT["codegen"].split()
    assert "codegen" not in MAY_IMPORT["runtime"].split()
    both = [m for m in MODULES if {"codegen", "runtime"} <= {layer(i) for i in imported(m)}]
    assert both == ["archspec.assemble"]


def test_no_cycle():
    tree = {module: {i for i in imported(module) if i in MODULES} for module in MODULES}
    list(graphlib.TopologicalSorter(tree).static_order())


LOADED = """
import json, sys
from archspec.cli import main
code = main(sys.argv[1:])
print("\\n" + json.dumps([code, sorted(sys.modules)]))
"""


@pytest.mark.parametrize(
    "command",
    [
        "check specs/digits.arch",
        "check specs/digits_deep.arch",
        "show specs/digits.arch",
        "show specs/digits.arch --size B=32 --step",
        "show specs/digits.arch --stage gradient",
        "show specs/digits.arch --stage syntax",
        "show specs/digits.arch --stage graph",
        "show specs/digits.arch --stage optimised",
        "show specs/digits.arch --stage plan",
        "fmt --check specs/digits.arch",
    ],
)
def test_looking_loads_no_compiler(command):
    assert not loaded_by(command) & HEAVY


@pytest.mark.parametrize("command", ["show specs/digits.arch --stage code", "viz specs/digits.arch -o {folder}/digits.html"])
def test_looking_at_code_loads_no_numba(command, tmp_path):
    """The register tile depends on the CPU, which llvmlite knows."""
    assert loaded_by(command.format(folder=tmp_path)) & HEAVY <= {"llvmlite"}


def loaded_by(command: str) -> set[str]:
    process = subprocess.run(
        [sys.executable, "-c", LOADED, *command.split()],
        cwd=REPOSITORY,
        env=command_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    code, modules = json.loads(process.stdout.splitlines()[-1])
    assert code == 0
    return {name.split(".")[0] for name in modules}
