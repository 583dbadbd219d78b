"""Nodes without operands: what a batch feeds, weights, constants, sizes and positions."""

from __future__ import annotations

from archspec.ops.record import OPS, Op

OPS.add(Op("input", "leaf", 0, "a tensor that a batch feeds", spoken=False))
OPS.add(Op("weight", "leaf", 0, "a trainable or frozen tensor", spoken=False))
OPS.add(Op("constant", "leaf", 0, "a number", spoken=False, cheap=True))
OPS.add(Op("size", "leaf", 0, "the number of points along axes, as a float", spoken=False, cheap=True))
OPS.add(Op("position", "leaf", 0, "the number of the point along an axis, from 0", spoken=False, cheap=True))
