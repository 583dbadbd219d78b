"""The ops: one record each. Importing this package fills the registry."""

from archspec.ops import arithmetic, comparison, exponential, leaves, products, randomness, reductions, structure, trigonometry
from archspec.ops.record import OPS, Op

__all__ = [
    "OPS",
    "Op",
    "arithmetic",
    "comparison",
    "exponential",
    "leaves",
    "products",
    "randomness",
    "reductions",
    "structure",
    "trigonometry",
]
