"""The tables of the language page, made from the registries: `python -m archspec.reference docs/language.md`.

A page holds `<!-- table: NAME -->` … `<!-- end -->`; what stands between is written anew. Without a page all tables are
printed. What a registry does not say of itself is said here, and a name without its line is an error.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from archspec.data.files import MAX_BYTES
from archspec.data.parameters import REQUIRED as NEEDED
from archspec.data.parameters import Parameter as Setting
from archspec.data.sources import SOURCES
from archspec.data.splits import RULES
from archspec.data.transforms import TRANSFORMS
from archspec.frontend.source import LARGEST_FILE
from archspec.learning import decoding, initializers, optimizers, schedules
from archspec.learning.recipes import RECIPES, REQUIRED, RecipeType
from archspec.lower.arithmetic import LARGEST
from archspec.lower.builtins import BUILTINS, REDUCTIONS
from archspec.lower.calls import MAX_DEPTH
from archspec.lower.expressions import MAX_COPIES
from archspec.lower.files import MAX_FILES, STDLIB
from archspec.lower.generating import KEYS as GENERATE_KEYS
from archspec.lower.scope import MAX_ELEMENTS, MAX_NODES, MAX_RANK
from archspec.lower.training import KEYS, RULE_SETTINGS
from archspec.ops import OPS

Rows = Iterable[Sequence[str]]
LETTERS = ("a", "b", "c")

BUILT = {
    # name: (how it is called, what it gives, whether it has a gradient) where the registry of ops does not say it
    "mean": ("mean[D](x)", "the sum over the number of points", True),
    "one_hot": ("one_hot(y)", "1 at the index and 0 elsewhere, along the axis that `y` indexes, which comes last", False),
    "iota": ("iota[T]", "0, 1, 2, … along `T`, as indices into `T`; `number(iota[T])` makes them numbers", False),
    "dropout": ("dropout(x, p=0.5)", "x / (1 - p) with probability 1 - p, else 0, in training; x in evaluation", True),
    "noise": ("noise(x)", "a standard normal number for every element of x in training; 0 in evaluation", False),
    "masked": ("masked[D]", "whether anything is left out along `D`, decided when the spec is read", False),
    "valid": ("valid[D]", "which points along `D` are not left out, as truth values", False),
    "concat": ("concat(a, b, …)", "one after another along the last axis; `concat[T](a, b)` along another", True),
    "split": ("split(x, n)", "n equal parts of the last axis, each to be named; `split[T](x, n)` of another", True),
    "first": ("first[T](x)", "x at the first point of `T`", True),
    "last": ("last[T](x)", "x at the last point of `T`, of each row where they differ in length", True),
    "flip": ("flip[T](x)", "x the other way round along `T`, each row within its own length", True),
    "flatten": ("flatten[H,W](x)", "these axes as one, `H*W`, where the first of them stands", True),
    "unflatten": ("unflatten[C](x, G, Q)", "the axis `C` as several, whose product it must be", True),
    "running": (
        "running(x, momentum=0.1, start=0, observe=x)",
        "x in training; in evaluation the average that training keeps: (1 - momentum) * average + momentum * observe",
        True,
    ),
    "where": ("where(c, a, b)", "a where `c` holds, b elsewhere", True),
    "stop_gradient": ("stop_gradient(a)", "a, a constant as far as the gradient is concerned", False),
}
SOURCE_SETTINGS = {
    "path": "the file, relative to the spec's folder; a gzipped one is unpacked",
    "header": "whether the first line names the columns; by default it does unless `columns` names them",
    "delimiter": 'what stands between cells; `" "` means any run of blanks',
    "missing": "cells that stand for no value",
    "columns": "names of the columns, for a file without a header",
    "skip": "lines to leave out at the top",
    "validation": "another file, for the validation part",
    "test": "another file, for the test part",
}
DATA = {
    "log": "natural logarithm",
    "log1p": "log(1 + x)",
    "sqrt": "square root",
    "abs": "absolute value",
    "standardize": "(x - mean) / deviation, both of the training part; a constant column becomes 0",
    "minmax": "(x - least) / range, both of the training part",
    "fill": 'a number in place of each missing cell: `"mean"` or `"median"` of the training part, or the number given',
    "one_hot": "one column for each category of the training part; an unknown or missing one is a row of zeros",
    "concat": "columns side by side",
    "holdout": "random rows for each part; `stratify` keeps the share of every class",
    "tail": "the last rows for the test part, those before them for validation",
}
TRAIN = {
    "loss": ("a tensor without axes, minimised", "required"),
    "metrics": ("a list of tensors without axes, reported by the name of the block that makes them", "none"),
    "optimizer": ("how weights are updated", "`adam`"),
    "schedule": ("phases of the learning rate, joined by `|>`", "constant"),
    "clip": ("a limit on the gradient", "none"),
    "stop": ("when to end before `epochs` or `steps`", "never"),
    "batch": ("rows in a step", "32"),
    "epochs": ("passes over the training part", "10"),
    "steps": ("updates in all; goes before `epochs`", "none"),
    "watch": ("tensors to look at: by name, or inside of blocks by a pattern of their paths", "none"),
}
GENERATE = {
    "next": ("the result that has the scores of what comes next, and the rule that chooses by them", "required"),
    "prompt": ("the text to begin with", "a new line, or `<start>`"),
    "length": ("the most entries that are added", "what `crop` keeps, or 200"),
}
RULE = {
    "lr": "learning rate in place of the optimiser's",
    "decay": "weight decay in place of the optimiser's",
    "freeze": "`true`: not trained",
}


def table(heads: Sequence[str], rows: Rows) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *([_cell(c) for c in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", "<br>")


def code(text: str) -> str:
    return f"`` {text} ``" if "`" in text else f"`{text}`"


# --- ops and the standard library ------------------------------------------------------------------------------------


def ops() -> str:
    rows = [(code(call), doc, "yes" if gradient else "no") for call, doc, gradient in map(_op, BUILTINS)]
    return table(("op", "what it gives", "gradient"), rows)


def _op(name: str) -> tuple[str, str, bool]:
    if name in BUILT:
        return BUILT[name]
    op = OPS[name]
    call = f"{name}[D](x)" if name in REDUCTIONS else f"{name}({', '.join(LETTERS[: op.arity])})"
    return call, op.doc, op.gradient is not None


def library() -> str:
    """The blocks of every file of the standard library, each with its equations and the comment above it."""
    parts = []
    for path in sorted(STDLIB.glob("*.arch")):
        rows = list(_blocks(path.read_text(encoding="utf-8")))
        parts.append(f"**{path.stem.capitalize()}**\n\n{table(('block', 'equations', 'notes'), rows)}")
    return "\n\n".join(parts)


MOST_LINES = 8  # of a block that the page shows; longer ones are read where they stand
_BLOCK = re.compile(r"(?P<notes>(?:^#.*\n)*)^block (?P<head>.*) \{\n(?P<body>(?:^ .*\n)*)^\}", re.MULTILINE)


def _blocks(text: str) -> Iterable[Sequence[str]]:
    for found in _BLOCK.finditer(text):
        notes = " ".join(line.lstrip("# ") for line in found["notes"].splitlines())
        lines = found["body"].splitlines()
        equations = "\n".join(code(line.strip()) for line in lines) if len(lines) <= MOST_LINES else ""
        yield code(found["head"]), equations, notes


# --- recipes ---------------------------------------------------------------------------------------------------------


def recipes(kind: str) -> str:
    return table((kind, "what it does"), [(code(_usage(r)), r.doc) for r in _of_kind(kind)])


def _of_kind(kind: str) -> Iterable[RecipeType]:
    return (r for (k, _), r in RECIPES.items() if k == kind)


def _usage(recipe: RecipeType) -> str:
    given = [n if p.default is REQUIRED else f"{n}={_shown(p.default)}" for n, p in recipe.parameters.items()]
    return f"{recipe.name}({', '.join(given)})" if given else recipe.name


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return f"[{', '.join(map(_shown, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


# --- data and training -----------------------------------------------------------------------------------------------


def sources() -> str:
    heads = ("setting of " + " and ".join(map(code, SOURCES)), "takes", "default", "meaning")
    rows = [(code(s.name), s.kind.says, _default(s), SOURCE_SETTINGS[s.name]) for k in SOURCES.values() for s in k.settings]
    return table(heads, rows)


def _default(setting: Setting) -> str:
    if setting.default is NEEDED:
        return "required"
    return "none" if setting.default in (None, ()) else code(_shown(setting.default))


def transforms() -> str:
    inputs = {name: ("columns", "columns", "…") if t.many else ("columns",) for name, t in TRANSFORMS.items()}
    rows = [(code(_call(name, *inputs[name], *t.settings)), DATA[name]) for name, t in TRANSFORMS.items()]
    return table(("transform", "what it gives"), rows)


def splits() -> str:
    rows = [(code(_call(name, *r.settings)), DATA[name]) for name, r in RULES.items()]
    return table(("split", "what it does"), rows)


def _call(name: str, *parts: str | Setting) -> str:
    shown = [p if isinstance(p, str) else _argument(p) for p in parts]
    return f"{name}({', '.join(shown)})"


def _argument(setting: Setting) -> str:
    if setting.default is NEEDED:
        return setting.name
    return f"{setting.name}=…" if setting.default is None else f"{setting.name}={_shown(setting.default)}"


def train() -> str:
    return table(("setting", "meaning", "default"), [(code(key), *TRAIN[key]) for key in KEYS])


def generate() -> str:
    return table(("setting", "meaning", "default"), [(code(key), *GENERATE[key]) for key in GENERATE_KEYS])


def decoding_rules() -> str:
    rows = [
        (code(_usage(r).replace("(", "(z, ", 1) if r.parameters else f"{r.name}(z)"), r.doc) for r in _of_kind(decoding.KIND)
    ]
    return table(("rule", "how it chooses by the scores z"), rows)


def rules() -> str:
    return table(("setting of a rule", "meaning"), [(code(key), RULE[key]) for key in RULE_SETTINGS.keys])


def limits() -> str:
    rows = {
        "bytes of a spec": LARGEST_FILE,
        "imported files": MAX_FILES,
        "blocks inside one another": MAX_DEPTH,
        "copies in a `repeat`": MAX_COPIES,
        "axes of a tensor": MAX_RANK,
        "nodes of the graph, before differentiation": MAX_NODES,
        "elements of a weight": MAX_ELEMENTS,
        "whole numbers": LARGEST,
        "bytes of a data file, unpacked": MAX_BYTES,
    }
    return table(("what", "at most"), [(what, f"{count:,}") for what, count in rows.items()])


# --- pages -----------------------------------------------------------------------------------------------------------

TABLES: dict[str, Callable[[], str]] = {
    "ops": ops,
    "library": library,
    "initializers": lambda: recipes(initializers.KIND),
    "optimizers": lambda: recipes(optimizers.KIND),
    "schedules": lambda: recipes(schedules.KIND),
    "clipping": lambda: recipes("clipping"),
    "stopping": lambda: recipes("stopping rule"),
    "sources": sources,
    "transforms": transforms,
    "splits": splits,
    "train": train,
    "rules": rules,
    "generate": generate,
    "decoding": decoding_rules,
    "limits": limits,
}
_REGION = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def fill(page: str) -> str:
    """The page with its tables made anew."""
    return _REGION.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[3]}", page)


def main() -> None:
    """Writes the tables into the pages that are named, or prints them all."""
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(fill(path.read_text(encoding="utf-8")), encoding="utf-8")
    if not sys.argv[1:]:
        print("\n\n".join(f"## {name}\n\n{make()}" for name, make in TABLES.items()))


if __name__ == "__main__":
    main()
