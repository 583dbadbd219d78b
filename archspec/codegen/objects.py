"""Object files and what they call of one another. Needs no compiler: cached code is loaded by this."""

from __future__ import annotations

import json

from archspec.codegen.shapes import NBYTES, TileShape
from archspec.records import as_dict, record


@record
class Primitive:
    """A function that many kernels call and that is compiled once, by all that its code hangs on, see `tiles`.

    `across` and `along` are what the source of a kernel says by a constant stride: of packing, that the elements of a row of
    the panel lie side by side, or those of a column (without either the code of both ways is there, and chooses); of a tile,
    that the right side is a packed panel, and that steps along the left side go by one element.
    """

    what: str
    dtype: str
    shape: TileShape
    across: bool = False
    along: bool = False

    @property
    def symbol(self) -> str:
        """The name that its object exports it by."""
        s = self.shape
        tile = f"f{8 * NBYTES[self.dtype]}_{s.rows}x{s.vectors}x{s.lanes}{'' if s.fused else '_unfused'}"
        return f"archspec_{self.what}_{tile}_{self.across:d}{self.along:d}"

    @property
    def parameters(self) -> str:
        """A letter for each: p a pointer to elements, t a table of int64, i an index."""
        left = "ptt" if "_at" in self.what else "pii"
        return f"{left}pii" if self.what.startswith("pack") else f"{left}piipiii"


@record
class Object:
    """An object file and the primitives that it calls."""

    binary: bytes
    calls: tuple[Primitive, ...] = ()

    def to_bytes(self) -> bytes:
        """As it is kept and sent: a line of JSON and the object file."""
        return json.dumps([as_dict(call) for call in self.calls]).encode() + b"\n" + self.binary

    @staticmethod
    def from_bytes(data: bytes) -> Object:
        head, _, binary = data.partition(b"\n")
        calls = (Primitive(**{**raw, "shape": TileShape(**raw["shape"])}) for raw in json.loads(head))
        return Object(binary, tuple(calls))
