"""The loops around register tiles, as the source of a kernel."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Protocol

from archspec.codegen.cuts import Cut, is_bare
from archspec.codegen.words import bracketed, factor_text, joined, offset_text, share_text, size_text, times_text
from archspec.ir.sizes import ONE
from archspec.plan import kernel as k

WORTH_PREFETCHING = 256  # steps of a sum: with 128 the cell of an LSTM takes as long with as without, with 256 a seventh less


class Printer(Protocol):
    """Writes a kernel line by line."""

    def line(self, text: str) -> None: ...

    def nested(self, shared: bool = False) -> AbstractContextManager[None]: ...

    def body(self, statements: Iterable[k.Statement]) -> None: ...

    def split(self, s: k.Split) -> None: ...


class ProductLoops:
    """Tiles shared among the threads in the order batch, block of rows, panel of columns, row of tiles; or, of a product
    without batches, whole rows of tiles where each thread has many: a thread then reads what it has written before.

    The loops are those of `reference_kernel` in benchmarks/matmul.py, cut as `blocking` says: a block of the left side
    stays near while all panels pass; the right side is read where it lies or packed, panel by panel.
    """

    def __init__(self, out: Printer, product: k.Product, cut: Cut) -> None:
        self.out, self.product, self.cut = out, product, cut
        self.line, self.nested = out.line, out.nested
        self.batch, self.m, self.n = (size_text(x) for x in (product.batch[1], product.m[1], product.n[1]))
        self.depth = size_text(product.k) if cut.depth is None else "depth"
        self.sums = f"own + {size_text(cut.sums_at)}"

    def write(self) -> None:
        s = self.product
        self.line(f"panels = ({self.n} + NR - 1) // NR")
        self.line(f"tiles = ({self.m} + MR - 1) // MR")
        if self.batch == "1":
            self._shared_tiles()
            self._blocks_of_rows("above", "below")
            return
        self.line("work = tiles * panels")
        whole = f"{factor_text(s.batch[1])} * work"
        self.line(f"begin, end = {share_text(whole, 0)}, {share_text(whole, 1)}")
        self.line(f"for {s.batch[0]} in range(begin // work, (end + work - 1) // work):")
        with self.nested(shared=True):
            if s.batch_split is not None:
                self.out.split(s.batch_split)
            self.line(f"low, high = max(begin - {s.batch[0]}*work, 0), min(end - {s.batch[0]}*work, work)")
            self._blocks_of_rows("0", "tiles")

    def _shared_tiles(self) -> None:
        """The tiles of this thread: from `above` to `below` in rows, from `low` to `high` in the order of the loops."""
        self.line(f"if tiles >= {self.cut.many_tiles} * threads:")
        with self.nested():
            self.line(f"above, below = {share_text('tiles', 0)}, {share_text('tiles', 1)}")
            self.line("low, high = 0, (below - above) * panels")
        self.line("else:")
        with self.nested():
            self.line("above, below = 0, tiles")
            self.line(f"low, high = {share_text('tiles * panels', 0)}, {share_text('tiles * panels', 1)}")

    def _blocks_of_rows(self, above: str, below: str) -> None:
        """The blocks from one row of tiles to another."""
        cut, steps = self.cut, size_text(self.product.k)
        step = f"min({cut.tiles}, (tiles + threads - 1) // threads)" if cut.pack_left else f"{cut.tiles}"
        self.line(f"for block in range({above}, {below}, {step}):")
        with self.nested(shared=True):
            self.line(f"height = min({step}, {below} - block)")
            self.line(f"done = {'block' if above == '0' else f'(block - {above})'} * panels")
            self.line("if done < high and low < done + height*panels:")
            with self.nested():
                if cut.depth is None:
                    self._panels()
                    return
                self.line(f"for p in range(0, {steps}, {cut.depth}):")
                with self.nested():
                    self.line(f"depth = min({cut.depth}, {steps} - p)")
                    self._panels()

    def _panels(self) -> None:
        s = self.product
        if self.cut.pack_left:
            self.line("for tile_row in range(block, block + height):")
            with self.nested():
                pack = "pack_left" if s.left_tables is None else "pack_left_at"
                rows = f"min(MR, {self.m} - tile_row*MR)"
                self.line(f"{pack}({self._left_side()}, {self._packed_left()}, {self.depth}, {rows})")
        self.line("for panel in range(panels):")
        with self.nested():
            self.line("first = panel*NR")
            self.line(f"columns = min(NR, {self.n} - first)")
            self.line("start = done + panel*height")
            self.line("top, bottom = max(low - start, 0), min(high - start, height)")
            self.line("if top < bottom:")
            with self.nested():
                if s.ahead is None:
                    self._right()
                else:
                    self._right_ahead(s.ahead)
                self._tiles()

    # --- operands -------------------------------------------------------------------------------------------------

    def _right_ahead(self, ahead: k.Ahead) -> None:
        """The panel that was laid out before the loop, or what else is read."""
        s = self.product
        panel = "panel" if self.batch == "1" else f"({s.batch[0]}*panels + panel)"
        within = "" if self.cut.depth is None else " + p*NR"
        self.line(f"if {ahead.turns} >= {k.LEAST_TURNS}:")
        with self.nested():
            self.line(f"b, b_k = at({ahead.laid}, {panel}*NR*{bracketed(size_text(s.k))}{within}), NR")
        self.line("else:")
        with self.nested():
            self._right()

    def _right(self) -> None:
        """Where the panel of the right side is read: in place, or packed for this thread."""
        s, cut = self.product, self.cut
        k_stride, n_stride = (size_text(x) for x in s.right_strides)
        right = joined(offset_text(s.right_offset), times_text("first", s.right_strides[1]))
        if cut.depth is not None:
            right = joined(right, times_text("p", s.right_strides[0]))
        pack = f"pack_right(at({s.right}, {right}), {k_stride}, {n_stride}, at({s.scratch}, own), {self.depth}, columns)"
        if cut.never_packed_below == 0:
            self.line(pack)
            self.line(f"b, b_k = at({s.scratch}, own), NR")
            return
        self.line(f"b, b_k = at({s.right}, {right}), {k_stride}")
        few = "" if cut.in_place else f" or bottom - top > {cut.never_packed_below}"
        self.line(f"if columns < NR{few}:")
        with self.nested():
            self.line(pack)
            self.line(f"b, b_k = at({s.scratch}, own), NR")

    def _left_side(self, skipped: str = "p") -> str:
        """Where a row of tiles of the left side begins, and how it is walked: by two strides or two tables. Where the sum is
        cut, the first steps are `skipped`."""
        s, cut = self.product, self.cut
        if s.left_tables is not None:
            rows, steps = s.left_tables
            steps = steps if cut.depth is None else f"at({steps}, p)"
            return f"at({s.left}, {offset_text(s.left_offset)}), at({rows}, tile_row*MR), {steps}"
        m_stride, k_stride = s.left_strides
        left = joined(offset_text(s.left_offset), f"tile_row*MR*{factor_text(m_stride)}")
        left = left if cut.depth is None and skipped == "p" else joined(left, times_text(skipped, k_stride))
        return f"at({s.left}, {left}), {size_text(m_stride)}, {size_text(k_stride)}"

    def _packed_left(self) -> str:
        packed = f"own + {size_text(self.cut.packed_at)}"
        return f"at({self.product.scratch}, {packed} + (tile_row - block)*MR*{bracketed(self.depth)})"

    # --- tiles ----------------------------------------------------------------------------------------------------

    def _tiles(self) -> None:
        """The tiles of a panel, a few together where maps follow."""
        if self.cut.together > 1:
            self._tiles_together()
            return
        self.line("for tile_row in range(block + top, block + bottom):")
        with self.nested():
            call = self._call()
            place = _place_in_result(self.product)
            if place is None:
                self._sums_apart(*call)
            else:
                self._sums_in_place(*call, place)

    def _tiles_together(self) -> None:
        """The sums of some tiles, then the maps on all of them: each time that these begin and end, little is computed."""
        s, together = self.product, self.cut.together
        self.line(f"for group in range(block + top, block + bottom, {together}):")
        with self.nested():
            self.line(f"many = min({together}, block + bottom - group)")
            self.line("for tile_row in range(group, group + many):")
            with self.nested():
                tile, operands = self._call()
                self._sums(tile, operands, f"at({s.scratch}, {self.sums} + (tile_row - group)*MR*NR), NR")
            self.line(f"rows = min(many*MR, {self.m} - group*MR)")
            self._maps("group")

    def _call(self) -> tuple[str, str]:
        """Which primitive makes a tile's sums, and of what."""
        self.line(f"rows = min(MR, {self.m} - tile_row*MR)")
        self._prefetch()
        tables = self.product.left_tables is not None and not self.cut.pack_left
        return "tile_at" if tables else "tile", self._operands()

    def _sums_in_place(self, tile: str, operands: str, place: str) -> None:
        """A tile's sums, made right where they are stored if the tile is whole."""
        s = self.product
        self.line("if rows == MR and columns == NR:")
        with self.nested():
            self.line(f"{s.m[0]}, {s.n[0]} = tile_row*MR, first")
            self._sums(tile, operands, place)
        self.line("else:")
        with self.nested():
            self._sums_apart(tile, operands)

    def _operands(self) -> str:
        """Both sides of a tile and the steps of its sums: of those of which some count for nothing, only the others."""
        s, cut = self.product, self.cut
        if cut.pack_left:
            return f"{self._packed_left()}, 1, MR, b, b_k, {self.depth}"
        if s.reach == "all" or s.left_tables is not None or cut.depth is not None:
            return f"{self._left_side()}, b, b_k, {self.depth}"
        steps = size_text(s.k)
        if s.reach == "from row":
            self.line(f"skip = min({steps}, tile_row*MR)")
            return f"{self._left_side('skip')}, at(b, skip*b_k), b_k, {steps} - skip"
        counted = {
            "until row": f"min({steps}, tile_row*MR + rows)",
            "lower": f"{steps} if first < tile_row*MR + rows else 0",
            "upper": f"{steps} if tile_row*MR < first + columns else 0",
        }
        self.line(f"steps = {counted[s.reach]}")
        return f"{self._left_side()}, b, b_k, steps"

    def _prefetch(self) -> None:
        """What maps on the sums read beside them is on its way while the tile computes, where that takes long enough; and so is
        where results go: the rows of a tile lie apart, and a processor sees by itself only what follows in a row. What a step
        of a loop writes is near from the step before; places of rows that take divisions cost as much as they bring."""
        s = self.product
        is_long = (s.k.constant or WORTH_PREFETCHING) >= WORTH_PREFETCHING
        is_far = s.ahead is None and (s.m_split is None or is_long)
        touched = [x for x in s.element if (isinstance(x, k.Store) and is_far) or (isinstance(x, k.Load) and is_long)]
        rows = dict.fromkeys(text for text in map(self._prefetched, touched) if text)
        if not rows:
            return
        self.line("for r in range(rows):")
        with self.nested():
            self._row()
            for text in rows:
                self.line(text)

    def _prefetched(self, x: k.Load | k.Store) -> str:
        """The call that asks for the row of a tile of which an element is read or written; none for what all rows share."""
        s = self.product
        counters = {s.m[0], *(s.m_split.names if s.m_split is not None else ())}
        if x.dtype != "float" or dict(x.offset.terms).get(s.n[0]) != ONE or not counters & {name for name, _ in x.offset.terms}:
            return ""
        others = tuple((name, size) for name, size in x.offset.terms if name != s.n[0])
        call = "prefetch" if isinstance(x, k.Load) else "prefetch_to_write"
        return f"{call}(at({x.parameter}, {joined(offset_text(k.Offset(others)), 'first')}))"

    def _sums_apart(self, tile: str, operands: str) -> None:
        """A tile's sums in scratch memory, and the maps on them."""
        s = self.product
        self._sums(tile, operands, f"at({s.scratch}, {self.sums}), NR", apart=True)
        self._maps("tile_row")

    def _maps(self, first: str) -> None:
        """The maps on the sums of the tiles from a `first` one on."""
        s = self.product
        self._elements((f"{s.total} = {s.scratch}[sums + t]",), s.row, s.element, first)

    def _sums(self, tile: str, operands: str, place: str, apart: bool = False) -> None:
        """The call of a tile. Where the sum is cut, what it has come to is in the result; if it is to grow `apart`, it is
        fetched from there."""
        s, arguments = self.product, f"{operands}, {place}, rows, columns"
        if self.cut.depth is None:
            self.line(f"{tile}({arguments})")
            return
        self.line("if p > 0:")
        with self.nested():
            if apart:
                store = s.element[0]
                assert isinstance(store, k.Store)
                self._elements((f"{s.scratch}[sums + t] = {store.parameter}[{offset_text(store.offset)}]",))
            self.line(f"{tile}_onto({arguments})")
        self.line("else:")
        with self.nested():
            self.line(f"{tile}({arguments})")

    def _row(self, first: str = "tile_row") -> None:
        s = self.product
        self.line(f"{s.m[0]} = {first}*MR + r")
        if s.m_split is not None:
            self.out.split(s.m_split)

    def _elements(
        self,
        lines: tuple[str, ...],
        row: tuple[k.Statement, ...] = (),
        element: tuple[k.Statement, ...] = (),
        first: str = "tile_row",
    ) -> None:
        """Loops over the elements of tiles from a `first` one on, around `lines` and maps, those of a row before."""
        s = self.product
        self.line("for r in range(rows):")
        with self.nested():
            self._row(first)
            self.out.body(row)
            self.line(f"sums = {self.sums} + r*NR")
            self.line("for t in range(columns):")
            with self.nested():
                self.line(f"{s.n[0]} = first + t")
                if s.n_split is not None:
                    self.out.split(s.n_split)
                for text in lines:
                    self.line(text)
                self.out.body(element)


def _place_in_result(s: k.Product) -> str | None:
    """Where a tile of the sums stands in what is stored, and how far apart its rows are; None where maps come between."""
    if not is_bare(s) or s.m_split is not None or s.n_split is not None:
        return None
    store = s.element[0]
    assert isinstance(store, k.Store)
    strides = dict(store.offset.terms)
    if len(strides) < len(store.offset.terms) or strides.get(s.n[0]) != ONE or s.m[0] not in strides:
        return None
    return f"at({store.parameter}, {offset_text(store.offset)}), {size_text(strides[s.m[0]])}"
