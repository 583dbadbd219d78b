"""Graph to graph: what training does differently, and the gradient of the loss."""

from archspec.differentiate.modes import for_evaluation, for_training
from archspec.differentiate.reverse import differentiate

__all__ = ["differentiate", "for_evaluation", "for_training"]
