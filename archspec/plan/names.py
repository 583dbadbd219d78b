"""Names in generated code: those of the spec where they can stand there, others made safe.

A spec may use any letters; generated code is plain ASCII and must not meet a keyword, a builtin or a helper.
"""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata

RESERVED = frozenset(
    {*keyword.kwlist, *keyword.softkwlist, *dir(builtins), "np", "math", "F", "number", "maximum", "minimum", "at"}
    | {
        "tile",
        "tile_onto",
        "tile_at",
        "tile_at_onto",
        "pack_right",
        "pack_left",
        "pack_left_at",
        "MR",
        "NR",
        "thread",
        "threads",
        "share",
        "own",
        "uniform",
        "accumulate",
        "largest",
        "smallest",
        "fence",
        "room",
        "laid",
        "prefetch",
        "prefetch_to_write",
        "turns",
    }
    | {"floor", "exp", "expm1", "log", "log1p", "sigmoid", "tanh", "erf", "sin", "cos", "power", "cuda", "args", "numba"}
)


def safe(name: str) -> str:
    """`name` as an ASCII identifier that means nothing else: `größe` -> `grosse`-like, `class` -> `class_`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"\W", "_", plain).strip("_") or "v"
    if plain[0].isdigit():
        plain = f"v{plain}"
    return f"{plain}_" if plain in RESERVED else plain[:60]


# What the emitter writes itself, in every kernel and around a product; a number after `t` makes a temporary name.
EMITTED = frozenset({"block", "blocks"})
AROUND_PRODUCTS = frozenset(
    (
        "panels tiles work begin end turn low high block height p depth panel start top bottom b b_k tile_row first columns "
        "rows sums r t above below done skip steps group many"
    ).split(),
)
TEMPORARY = re.compile(r"t\d+")


class Names:
    """Gives every thing in one kernel a name of its own."""

    def __init__(self) -> None:
        self.taken: set[str] = set(EMITTED)

    def new(self, wanted: str) -> str:
        base = name = safe(wanted)
        n = 1
        while name in self.taken or TEMPORARY.fullmatch(name):
            n += 1
            name = f"{base}_{n}" if base[-1].isdigit() or base == "t" else f"{base}{n}"
        self.taken.add(name)
        return name
