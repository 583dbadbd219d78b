"""Syntax to graph: names get meanings, axes get sizes, blocks are laid out, the loss is attached.

Its mistakes, and those of `train`:

S01 unknown name              S08 not an axis           S15 axis without a size
S02 axes other than declared  S09 wrong kind of value
S03 axes that do not align    S10 too large             T01 not a part of `train`
S04 arguments of a call       S11 import                T02 wrong setting
S05 name given twice          S13 out of place          T03 not a figure
S06 requirement not met       S14 data and model differ T04 rules for weights
S07 impossible or not known

and those of `generate`:

G01 not a part of `generate`  G02 wrong setting         G03 nothing that can be fed back
"""

from archspec.lower.model import Lowered, lower
from archspec.lower.training import Rule, Training

__all__ = ["Lowered", "Rule", "Training", "lower"]
