"""Syntax to graph: names get meanings, axes get sizes, blocks are laid out, the loss is attached."""

from archspec.lower.model import Lowered, lower
from archspec.lower.training import Rule, Training

__all__ = ["Lowered", "Rule", "Training", "lower"]
