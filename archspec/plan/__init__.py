"""Graph to plan: which kernels run in which order on which memory."""

from archspec.plan.memory import Memory, lay_out
from archspec.plan.plan import Plan, make_plan

__all__ = ["Memory", "Plan", "lay_out", "make_plan"]
