"""Equal copies of a `repeat` drawn once: what a path and a node of a later copy are in the first one.

gpt/h/0/norm/y, gpt/h/1/norm/y, gpt/h/2/norm/y   ->   gpt/h/0/norm/y, 3 times
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from archspec.records import field, record
from archspec.viz.blocks import Block
from archspec.viz.drawing import Box
from archspec.viz.table import source_line


@record(frozen=False)
class Folding:
    """`copies` maps the path of a later copy, in terms of first ones, to the first copy's."""

    copies: dict[str, str] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)

    def path(self, path: str) -> str:
        """The path in the first copies."""
        if path not in self.known:
            around, _, name = path.rpartition("/")
            whole = f"{self.path(around)}/{name}" if around else name
            self.known[path] = self.copies.get(whole, whole)
        return self.known[path]


def folding(blocks: Iterable[Block]) -> Folding:
    """What the blocks of a model fold."""
    found = Folding()
    for block in _all_blocks(blocks):
        around, _, name = block.path.rpartition("/")
        for k in range(1, block.times):
            found.copies[f"{around}/{int(name) + k}"] = block.path
    return found


def _all_blocks(blocks: Iterable[Block]) -> Iterator[Block]:
    for block in blocks:
        yield block
        yield from _all_blocks(block.children)


def boxes_of(paths: Iterable[str], blocks: Iterable[Block]) -> tuple[Box, ...]:
    """The boxes around some folded paths, from the outermost in."""
    known = {block.path: block for block in _all_blocks(blocks)}
    wanted: dict[str, None] = {}
    for path in paths:
        names = path.split("/")
        wanted.update(dict.fromkeys("/".join(names[: k + 1]) for k in range(len(names)) if path))
    return tuple(_box(path, known.get(path)) for path in sorted(wanted, key=lambda p: p.count("/")))


def _box(path: str, block: Block | None) -> Box:
    around, _, name = path.rpartition("/")
    times = block.times if block is not None else 1
    label = f"{around.rpartition('/')[2]} ×{times}" if times > 1 else name
    return Box(path, label, around, times, source_line(block) if block is not None else "")
