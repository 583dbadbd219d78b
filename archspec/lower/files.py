"""The files of a spec: what each defines by name, its imports, and the standard library that every file can see."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from pathlib import Path

from archspec.diagnostics import ArchError, Diagnostic, Source, Span, nearest
from archspec.frontend import syntax
from archspec.frontend.parse import parse, read_source
from archspec.records import field, record

STDLIB = Path(__file__).parent.parent / "stdlib"
MAX_FILES = 200
MAX_CHARACTERS = 5_000_000


@record
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


def load_texts(source: Source, texts: Mapping[str, str]) -> SpecFile:
    """The same where `texts` holds the imported files, by their paths from the spec's folder; no file is read."""
    return _Texts((), texts=texts).load(source, Path(), ())


def imported_texts(file: SpecFile, folder: Path = Path()) -> dict[str, str]:
    """What `load_texts` needs of a spec: its imported files by their paths from its folder."""
    found: dict[str, str] = {}
    items = [item for item in file.tree.items if isinstance(item, syntax.Import)]
    for item, (_, inner) in zip(items, file.imports, strict=True):
        path = _beside(item, folder)
        found |= {str(path): inner.source.text, **imported_texts(inner, path.parent)}
    return found


def _beside(item: syntax.Import, folder: Path) -> Path:
    return Path(os.path.normpath(folder / item.path.value))


@record(frozen=False)
class _Loader:
    roots: tuple[Path, ...]
    files: int = 0
    characters: int = 0

    def load(self, source: Source, folder: Path, above: tuple[Path, ...]) -> SpecFile:
        tree = parse(source)
        problems: list[Diagnostic] = []
        imports = [i for i in tree.items if isinstance(i, syntax.Import)]
        files = [self._attempt(item, folder, above, problems) for item in imports]
        blocks, sections = _definitions(tree, problems)
        if not problems:
            _check_imports(imports, files, _figures(tree) | {b.name: b.name_span for b in blocks.values()}, problems)
        if problems:
            raise ArchError(problems)
        return SpecFile(source, tree, tuple((i.alias, f) for i, f in zip(imports, files, strict=True) if f), blocks, sections)

    def _attempt(
        self, item: syntax.Import, folder: Path, above: tuple[Path, ...], problems: list[Diagnostic]
    ) -> SpecFile | None:
        try:
            return self._import(item, folder, above)
        except ArchError as error:
            problems += error.diagnostics
            return None

    def _import(self, item: syntax.Import, folder: Path, above: tuple[Path, ...]) -> SpecFile:
        path = self.path(item, folder)
        if path in above:
            hint = "put what both need into a third file"
            raise _import_error(item, f"`{item.path.value}` imports itself, directly or through others", hint)
        self.files += 1
        if self.files > MAX_FILES:
            raise _import_error(item, f"a spec may import at most {MAX_FILES} files", "put several into one")
        text = self.text(item, path)
        self.characters += len(text)
        if self.characters > MAX_CHARACTERS:
            raise _import_error(item, f"the imported files are larger than {MAX_CHARACTERS:,} characters in all", "")
        shown = os.path.normpath(os.path.join(os.path.dirname(item.span.source.path), item.path.value))
        return self.load(Source(shown, text), path.parent, (*above, path))

    def path(self, item: syntax.Import, folder: Path) -> Path:
        path = _resolved(item, folder)
        if not any(path.is_relative_to(root.resolve()) for root in self.roots):
            raise _import_error(item, f"`{item.path.value}` lies outside the spec's folder", "allow it: --allow DIR")
        return path

    def text(self, item: syntax.Import, path: Path) -> str:
        if not path.is_file():
            raise _no_file(item, path)
        return read_source(path).text


@record(frozen=False)
class _Texts(_Loader):
    """A loader whose files are given, not read."""

    texts: Mapping[str, str] = field(default_factory=dict)

    def path(self, item: syntax.Import, folder: Path) -> Path:
        return _beside(item, folder)

    def text(self, item: syntax.Import, path: Path) -> str:
        if str(path) not in self.texts:
            raise _import_error(item, f"the text of `{item.path.value}` was not kept", "")
        return self.texts[str(path)]


def _resolved(item: syntax.Import, folder: Path) -> Path:
    try:
        path = (folder / item.path.value).resolve()
        path.is_file()
        return path
    except (OSError, ValueError, RuntimeError):
        raise _import_error(item, "this cannot be the path of a file", "") from None


def _no_file(item: syntax.Import, path: Path) -> ArchError:
    """There is no such file: perhaps one with a similar name."""
    if not item.path.value:
        return _import_error(item, "this names no file", "give the path of an `.arch` file")
    if path.is_dir():
        return _import_error(item, f"`{item.path.value}` is a folder", "give the path of an `.arch` file")
    beside = [p.stem for p in islice(path.parent.glob("*.arch"), MAX_FILES)] if path.parent.is_dir() else []
    near = [os.path.join(os.path.dirname(item.path.value), f"{stem}.arch") for stem in nearest(path.stem, beside)]
    hint = f"did you mean `{near[0]}`?" if near else "paths start at the folder of the importing file"
    return _import_error(item, f"there is no file `{item.path.value}`", hint)


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
            problems += _check_signature(item)
        elif isinstance(item, syntax.Section):
            if item.kind in sections:
                problems.append(_section_twice(item, sections[item.kind]))
            sections[item.kind] = item
    figures = _figures(tree)
    problems += [defined_twice(n, b.name_span, figures[n]) for n, b in blocks.items() if n in figures]
    return blocks, sections


def _figures(tree: syntax.File) -> dict[str, Span]:
    """Where each `let` and `dim` stands. One would hide a block of its name."""
    lets = [(b.name, b.span) for i in tree.items if isinstance(i, syntax.Let) for b in i.bindings]
    dims = [(e.name, e.span) for i in tree.items if isinstance(i, syntax.Dim) for e in i.entries]
    return dict(lets + dims)


def _check_signature(block: syntax.Block) -> list[Diagnostic]:
    """Names that a signature gives twice; a setting may have the name of an axis, which it then fixes."""
    problems = _repeated([*((t.name, t.span) for t in block.tensors), *((s.name, s.span) for s in block.settings)])
    problems += _repeated((r.name, r.span) for r in block.results)
    problems += _check_groups(block)
    problems += [_second_spread(s[1]) for t in block.tensors if len(s := _spreads(t)) > 1]
    return problems + _repeated((a.id, a.span) for a in block.axes)


def _check_groups(block: syntax.Block) -> Iterator[Diagnostic]:
    """A group takes all axes of a bracket, and the last ones of a tensor."""
    for group in (a for a in block.axes if isinstance(a, syntax.Group) and len(block.axes) > 1):
        message = f"`{group.id}..` shares the bracket, where it stands for all the axes that a call gives"
        yield Diagnostic("S08", message, group.span, hints=(f"block {block.name}[{group.id}..](…)",))
    for tensor in (*block.tensors, *block.results):
        for group in (a for a in tensor.axes[:-1] if isinstance(a, syntax.Group)):
            message = f"`{group.id}..` stands for the last axes of `{tensor.name}`, and others come after it"
            yield Diagnostic("S08", message, group.span, hints=(f"put it last: {tensor.name}[.., {group.id}..]",))


def _spreads(declaration: syntax.TensorDeclaration) -> list[Span]:
    return [a.span for a in declaration.axes if isinstance(a, syntax.Spread)]


def _second_spread(span: Span) -> Diagnostic:
    return Diagnostic("S08", "`..` stands at most once among the axes of a tensor", span, hints=("name the other axes",))


def _repeated(named: Iterable[tuple[str, Span]]) -> list[Diagnostic]:
    first: dict[str, Span] = {}
    problems = []
    for name, span in named:
        head = Span(span.source, span.line, span.column, span.line, span.column + len(name))
        if name in first:
            problems.append(defined_twice(name, head, first[name]))
        first.setdefault(name, head)
    return problems


def _check_imports(
    imports: Sequence[syntax.Import],
    files: Sequence[SpecFile | None],
    taken: dict[str, Span],
    problems: list[Diagnostic],
) -> None:
    """An alias, or a block that comes without one, must not have a name that is taken."""
    for item, file in zip(imports, files, strict=True):
        for name in (item.alias,) if item.alias else file.blocks if file else ():
            if name in taken:
                problems.append(_import_clash(item, name, taken[name]))
            taken[name] = item.span


def _import_clash(item: syntax.Import, name: str, first: Span) -> Diagnostic:
    message = f"`{name}` comes from `{item.path.value}` and is defined here too"
    if item.alias:
        message = f"`{name}` is the name of two things"
    hint = "give the import a name of its own: import … as NAME"
    return Diagnostic("S05", message, item.path.span, f"the other one is at line {first.line}", hints=(hint,))


def defined_twice(name: str, span: Span, first: Span, hint: str = "") -> Diagnostic:
    """Every name is assigned once: the message says where the first one is."""
    where = "in this line" if first.line == span.line else f"at line {first.line}"
    hint = hint or "give it another name: a name is one node of the graph and one line in the profile"
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


@cache
def _library_sources() -> frozenset[int]:
    return frozenset(id(source) for source, _ in _library_index().values())


def in_library(span: Span) -> bool:
    """Whether `span` lies in the standard library; a user may have a folder `stdlib` too."""
    return span.source.path.startswith("stdlib/") and id(span.source) in _library_sources()


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
