"""A trained model that says what comes next: its scores after the entries so far, however it must be told those.

entries so far  ─ the last that fit its window, or one by one where its state is carried over ─▶  scores (rows, entries)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archspec.data import Field
from archspec.data.encode import END, START, UNKNOWN
from archspec.diagnostics import ArchError, Diagnostic
from archspec.records import record
from archspec.runtime.program import Program

Array = NDArray[Any]
ROUNDED = 16  # lengths are rounded up to a multiple, so that few tables of calls are made
CLOSE = 1e-3  # how far scores in one go and one by one may differ, relative to the largest


@record(eq=False)
class Told:
    """What a model has been told, row by row, and what it says to that.

    given   its other inputs
    said    (rows, length): the entries so far
    scores  (rows, entries) float64: of what comes next
    states  what its recurrences hold by then, where they are carried over; else None
    """

    given: Mapping[str, Array]
    said: Array
    scores: Array
    states: Mapping[str, Array] | None = None


@record(eq=False)
class Speaker:
    """A program, its result that has the scores, and the field of the data that its choices are appended to.

    vocabulary  what the entries stand for
    ragged      whether rows along the field's axis may differ in length
    longest     how many entries it sees at once; None where that is not limited
    fixed       whether it takes exactly so many
    """

    program: Program
    result: str
    field: Field
    vocabulary: tuple[str, ...]
    ragged: bool
    longest: int | None
    fixed: bool = False

    @property
    def begin(self) -> tuple[int, ...]:
        """What stands before the first entry."""
        return self._marks(START)

    @property
    def stops(self) -> tuple[int, ...]:
        """The entries that end a sequence."""
        return self._marks(END)

    def _marks(self, *names: str) -> tuple[int, ...]:
        return tuple(self.vocabulary.index(name) for name in names if name in self.vocabulary)

    def listen(self, given: Mapping[str, Array], said: Array) -> Told:
        """What the model says to its other inputs, one row each, and to the entries so far: (rows, at least 1)."""
        given = {name: np.repeat(array, len(said), axis=0) for name, array in given.items()}
        told = self._one_by_one(given, said) if self.program.carries else None
        if told is None:
            told = Told(given, said, self._scores(given, said))
            self._check_causal(told)
        return told

    def hear(self, told: Told, rows: Array, entries: Array) -> Told:
        """The same after row `rows[k]` has gone on with `entries[k]`."""
        given = {name: array[rows] for name, array in told.given.items()}
        said = np.concatenate([told.said[rows], entries[:, None]], axis=1)
        if told.states is None:
            return Told(given, said, self._scores(given, said))
        scores, states = self._follow(given, entries[:, None], {name: a[rows] for name, a in told.states.items()})
        return Told(given, said, scores, states)

    # --- all entries at once -----------------------------------------------------------------------------------------

    def _scores(self, given: Mapping[str, Array], said: Array, filling: int = 0) -> Array:
        """The scores after the last entry. Places after it, which nothing may see, keep the number of shapes small."""
        shown = said if self.longest is None else said[:, -self.longest :]
        count = shown.shape[1]
        padded = np.pad(shown, ((0, 0), (0, self._room(count) - count)), constant_values=filling % len(self.vocabulary))
        lengths = {self.field.axes[1]: np.full(len(said), count)} if self.ragged else {}
        found = self.program.outputs((self.result,), **{**given, **lengths, self.field.name: padded})
        return self._spoken(found[self.result][:, count - 1])

    def _room(self, count: int) -> int:
        if self.longest is None:
            return -(-count // ROUNDED) * ROUNDED
        return self.longest if self.fixed else min(self.longest, -(-count // ROUNDED) * ROUNDED)

    def _spoken(self, scores: Array) -> Array:
        """Scores as numbers to choose by: `<start>` and `<unknown>` are never said."""
        found: Array = scores.astype(np.float64)
        found[:, self._marks(START, UNKNOWN)] = -np.inf
        return found

    def _check_causal(self, told: Told) -> None:
        """What comes later must not change what a model says: else it cannot be asked before that is known."""
        if not self.ragged and not np.array_equal(told.scores, self._scores(told.given, told.said, filling=1)):
            message = f"`{self.result}` hangs on entries that come later, so the model cannot say what comes next"
            hint = "nothing in it may look ahead: attention with causal=true, recurrences that are not reversed"
            raise ArchError(Diagnostic("R09", message, hints=(hint,)))

    # --- one by one --------------------------------------------------------------------------------------------------

    def _one_by_one(self, given: Mapping[str, Array], said: Array) -> Told | None:
        """None where entries one by one are not what the same entries at once are: the states do not hold all of the past."""
        whole, _ = self._follow(given, said, {})
        states: Mapping[str, Array] = {}
        for k in range(said.shape[1]):
            scores, states = self._follow(given, said[:, k : k + 1], states)
        heard = np.isfinite(whole)
        is_close = np.abs(scores - whole)[heard].max() <= CLOSE * np.abs(whole[heard]).max()
        return Told(given, said, scores, states) if is_close else None

    def _follow(
        self, given: Mapping[str, Array], said: Array, states: Mapping[str, Array]
    ) -> tuple[Array, Mapping[str, Array]]:
        found, states = self.program.follow((self.result,), states, **{**given, self.field.name: said})
        return self._spoken(found[self.result][:, -1]), states
