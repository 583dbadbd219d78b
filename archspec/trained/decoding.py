"""Choosing the next entry of sequences by scores, and following several sequences side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archspec.records import record

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Choose = Callable[[Floats, int], Indices]


def log_softmax(scores: Floats) -> Floats:
    """The logarithms of the probabilities along the last axis. A score of -inf is never chosen."""
    raised = scores - scores.max(axis=-1, keepdims=True)
    shares: Floats = raised - np.log(np.exp(raised).sum(axis=-1, keepdims=True))
    return shares


# --- one sequence, or several that know nothing of each other ------------------------------------------------------


def greedy(scores: Floats) -> Indices:
    """The likeliest entry of each row; of equal ones the first.

    scores  (rows, entries)
    """
    chosen: Indices = scores.argmax(axis=1)
    return chosen


def sampled(scores: Floats, draws: Floats, rule: Mapping[str, Any]) -> Indices:
    """An entry for each row, drawn by a number in [0, 1).

    scores  (rows, entries)
    draws   (rows,)
    """
    shares = probabilities(scores, float(rule["temperature"]), int(rule["top_k"]), float(rule["top_p"]))
    sums = shares.cumsum(axis=1)
    passed = (sums <= (draws * sums[:, -1])[:, None]).sum(axis=1)
    chosen: Indices = np.minimum(passed, (shares > 0).cumsum(axis=1).argmax(axis=1))
    return chosen


def probabilities(scores: Floats, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> Floats:
    """The softmax of scores / temperature, with zero for what is not among the likeliest (rows, entries).

    top_k  how many entries may be drawn, 0 for all; of equal scores the first count as likelier
    top_p  only the fewest entries that have this share in all may be drawn (Holtzman et al. 2020, section 3.1)
    """
    order = np.argsort(-scores, axis=1, kind="stable")
    lined = np.exp(log_softmax(np.take_along_axis(scores, order, axis=1) / temperature))
    lined[:, top_k or scores.shape[1] :] = 0.0
    lined /= lined.sum(axis=1, keepdims=True)
    lined[lined.cumsum(axis=1) - lined >= top_p] = 0.0
    shares = np.zeros_like(lined)
    np.put_along_axis(shares, order, lined / lined.sum(axis=1, keepdims=True), axis=1)
    return shares


# --- sequences followed side by side ---------------------------------------------------------------------------------


@record(eq=False)
class Beam:
    """Sequences that are followed, the likeliest first, and those that have ended.

    said   (rows, length): the entries so far
    logs   (rows,): the logarithms of their probabilities
    ended  (score, entries) of sequences that are complete
    """

    said: Indices
    logs: Floats
    ended: tuple[tuple[float, tuple[int, ...]], ...] = ()

    def best(self) -> tuple[int, ...]:
        """The best complete sequence; where none has ended, the likeliest of those that are followed."""
        if self.ended:
            return max(self.ended, key=lambda pair: pair[0])[1]
        return tuple(self.said[int(self.logs.argmax())].tolist()) if len(self.said) else ()

    def is_over(self, width: int, penalty: float, longest: int) -> bool:
        """Whether nothing that is still followed can become better than what has ended."""
        if not len(self.said):
            return True
        if len(self.ended) < width:
            return False
        hope = float(self.logs.max()) / _norm(longest, penalty)
        return max(score for score, _ in self.ended) >= hope


def _norm(length: int, penalty: float) -> float:
    """What logarithms of sequences of different lengths are divided by (Wu et al. 2016, eq. 14)."""
    return float(((5 + length) / 6) ** penalty)


def widened(beam: Beam, scores: Floats, stops: Sequence[int], width: int, penalty: float) -> tuple[Beam, Indices]:
    """The beam one entry later, and which of its rows each row goes on.

    scores  (rows, entries): of what comes next in each row
    """
    totals = beam.logs[:, None] + log_softmax(scores)
    order = np.argsort(-totals, axis=None, kind="stable")[: 2 * width]
    rows, entries = np.unravel_index(order, totals.shape)
    ended = list(beam.ended)
    kept: list[tuple[int, int]] = []
    for row, entry in zip(rows.tolist(), entries.tolist(), strict=True):
        if not np.isfinite(totals[row, entry]) or len(kept) == width:
            break
        if entry in stops:
            said = (*beam.said[row].tolist(), entry)
            ended.append((float(totals[row, entry]) / _norm(len(said), penalty), said))
        else:
            kept.append((row, entry))
    before, last = np.array(kept, np.int64).reshape(-1, 2).T
    longer = np.concatenate([beam.said[before], last[:, None]], axis=1)
    return Beam(longer, totals[before, last], tuple(ended)), before
