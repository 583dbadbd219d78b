"""The files of a spec: what each defines by name, its imports, and the standard library that every file can see."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from archspec.diagnostics import ArchError, Diagnostic, Source, Span
from archspec.frontend import syntax
from archspec.frontend.parse import parse, read_source

STDLIB = Path(__file__).parent.parent / "stdlib"
MAX_FILES = 200


@dataclass(frozen=True)
class SpecFile:
    """One parsed file and the files that it imports, by alias (None for names merged into its own)."""

    source: Source
    tree: syntax.File
    imports: tuple[tuple[str | None, SpecFile], ...] = ()
    blocks: Mapping[str, syntax.Block] = field(default_factory=dict)
    sections: Mapping[str, syntax.Section] = field(default_factory=dict)

    def models(self) -> tuple[syntax.Block, ...]:
        return tuple(b for b in self.blocks.values() if b.kind == "model")


def load_file(source: Source, folder: Path, allow: Sequence[Path] = ()) -> SpecFile:
    """The file of `source` and all that it imports, parsed. Imports are read from `folder` and `allow` only."""
    return _Loader((folder, *allow)).load(source, folder, ())


@dataclass
class _Loader:
    roots: tuple[Path, ...]
    files: int = 0

    def load(self, source: Source, folder: Path, above: tuple[Path, ...]) -> SpecFile:
        tree = parse(source)
        problems: list[Diagnostic] = []
        imports = []
        for item in tree.items:
            if isinstance(item, syntax.Import):
                imports.append((item.alias, self._import(item, folder, above)))
        blocks, sections = _definitions(tree, problems)
        if problems:
            raise ArchError(problems)
        return SpecFile(source, tree, tuple(imports), blocks, sections)

    def _import(self, item: syntax.Import, folder: Path, above: tuple[Path, ...]) -> SpecFile:
        path = (folder / item.path.value).resolve()
        if not any(path.is_relative_to(root.resolve()) for root in self.roots):
            raise _import_error(item, f"`{item.path.value}` lies outside the spec's folder", "allow it: --allow DIR")
        if path in above:
            raise _import_error(item, f"`{item.path.value}` imports itself, directly or through others", "")
        self.files += 1
        if self.files > MAX_FILES:
            raise _import_error(item, f"a spec may import at most {MAX_FILES} files", "")
        if not path.is_file():
            raise _import_error(item, f"there is no file `{item.path.value}`", "paths start at the importing file")
        text = read_source(path).text
        return self.load(Source(item.path.value, text), path.parent, (*above, path))


def _import_error(item: syntax.Import, message: str, hint: str) -> ArchError:
    return ArchError(Diagnostic("S11", message, item.path.span, "imported here", hints=(hint,) if hint else ()))


def _definitions(tree: syntax.File, problems: list[Diagnostic]) -> tuple[dict[str, syntax.Block], dict[str, syntax.Section]]:
    blocks: dict[str, syntax.Block] = {}
    sections: dict[str, syntax.Section] = {}
    for item in tree.items:
        if isinstance(item, syntax.Block):
            if item.name in blocks:
                problems.append(defined_twice(item.name, item.name_span, blocks[item.name].name_span))
            blocks[item.name] = item
        elif isinstance(item, syntax.Section):
            if item.kind in sections:
                problems.append(_section_twice(item, sections[item.kind]))
            sections[item.kind] = item
    return blocks, sections


def defined_twice(name: str, span: Span, first: Span) -> Diagnostic:
    """Every name is assigned once: the message says where the first one is."""
    where = "in this line" if first.line == span.line else f"at line {first.line}"
    hint = "give it another name: a name is one node of the graph and one line in the profile"
    return Diagnostic("S05", f"`{name}` is defined twice", span, f"first defined {where}", hints=(hint,))


def _section_twice(item: syntax.Section, first: syntax.Section) -> Diagnostic:
    message = f"a spec has one `{item.kind}` section, this is the second"
    return Diagnostic("S05", message, item.span, f"the first is at line {first.span.line}", hints=("merge the two",))


# --- the standard library ----------------------------------------------------------------------------------------

_HEAD = re.compile(r"^block\s+(\w+)", re.MULTILINE)


@cache
def _library_index() -> dict[str, tuple[Source, range]]:
    """name -> where its block stands. Only the blocks that a spec uses are parsed, which keeps `check` quick."""
    index: dict[str, tuple[Source, range]] = {}
    for path in sorted(STDLIB.glob("*.arch")):
        source = Source(f"stdlib/{path.name}", path.read_text(encoding="utf-8"))
        heads = [(m.group(1), source.text.count("\n", 0, m.start()) + 1) for m in _HEAD.finditer(source.text)]
        ends = [line for _, line in heads[1:]] + [source.text.count("\n") + 2]
        for (name, line), end in zip(heads, ends, strict=True):
            index[name] = (source, range(line, end))
    return index


def library_names() -> tuple[str, ...]:
    """The blocks of the standard library."""
    return tuple(_library_index())


@cache
def library_block(name: str) -> tuple[syntax.Block, SpecFile] | None:
    """A block of the standard library, parsed when first asked for, with the file that it sees."""
    if name not in _library_index():
        return None
    source, lines = _library_index()[name]
    tree = parse(source, lines)
    block = next(item for item in tree.items if isinstance(item, syntax.Block))
    return block, SpecFile(source, tree)
