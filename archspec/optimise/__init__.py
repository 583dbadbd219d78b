"""Graph to graph: the same numbers with less work."""

from archspec.optimise.passes import PASSES, optimise

__all__ = ["PASSES", "optimise"]
