"""What an op is: one record with everything that any stage needs to know of it, and the registry of all records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from archspec.ir.build import Term
from archspec.records import field, record

Gradient = Callable[..., tuple[Term | None, ...]]


@record
class Op:
    """One op.

    `kind`       map (elementwise), reduce, contract or leaf
    `arity`      how many operands it takes
    `doc`        one line: what it computes, as an equation
    `scalar`     for a map, how one element is written in Python: `{0} * {1}`; names of `functions` may be called
    `functions`  name -> {precision -> a Python function of scalars that Numba compiles}; precision is f4 or f8
    `reference`  the same on NumPy arrays, written to be obvious
    `gradient`   (operands, result, gradient of the result) -> gradients of the operands, in the loops of the node;
                 None says that the op has no gradient, and its operands get none
    `samples`    operand values at which tests check the gradient
    `cheap`      so little work that computing it again beats storing it
    `spoken`     a spec may call it by its name
    """

    name: str
    kind: str
    arity: int
    doc: str
    scalar: str = ""
    functions: Mapping[str, Mapping[str, Callable[..., Any]]] = field(default_factory=dict)
    reference: Callable[..., Any] | None = None
    gradient: Gradient | None = None
    samples: tuple[tuple[float, ...], ...] = ()
    cheap: bool = False
    spoken: bool = True


class Registry:
    """The ops by name. Filled once, when `archspec.ops` is imported."""

    def __init__(self) -> None:
        self._ops: dict[str, Op] = {}

    def add(self, op: Op) -> Op:
        if op.name in self._ops:
            raise ValueError(f"two ops are called {op.name}")
        self._ops[op.name] = op
        return op

    def __getitem__(self, name: str) -> Op:
        return self._ops[name]

    def __contains__(self, name: object) -> bool:
        return name in self._ops

    def __iter__(self) -> Iterator[Op]:
        return iter(self._ops.values())

    def spoken(self, *kinds: str) -> tuple[str, ...]:
        """The names that a spec may call, of the given kinds."""
        return tuple(op.name for op in self if op.spoken and op.kind in kinds)


OPS = Registry()
