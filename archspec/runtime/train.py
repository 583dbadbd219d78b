"""The training loop: epochs of shuffled batches, figures after each, early stopping."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from archspec.data.ragged import Ragged
from archspec.lower.training import Training
from archspec.records import field, record
from archspec.runtime.batches import in_order, lanes, shuffled
from archspec.runtime.feed import counts
from archspec.runtime.program import Program
from archspec.runtime.stage import Array

EVALUATION_ROWS = 1024
EVALUATION_ELEMENTS = 16_384
FINAL_ROWS = 50_000  # of a larger training part the last epoch's loss stands for its figures
DEFAULT_EPOCHS = 10
STEPS_PER_NORM, NORMS_PER_EPOCH = 16, 8  # the gradient's norm is taken of the first step and of few others
Record = dict[str, Any]
Step = Callable[[Mapping[str, Any], NDArray[np.int64]], float]


class Reporter(Protocol):
    """Who is told how a run goes."""

    def progress(self, epoch: int, step: int, total: int, loss: float) -> None: ...

    def epoch(self, record: Record) -> None: ...


@record
class Batches:
    """Rows to learn from.

    `arrays`   all rows of each input: arrays, or `Ragged` ones
    `parts`    the row numbers of train, validation and test
    `targets`  the inputs that only the loss and the metrics read
    """

    arrays: Mapping[str, Any]
    parts: Mapping[str, NDArray[np.int64]]
    targets: tuple[str, ...] = ()

    @property
    def row_elements(self) -> int:
        """How many elements the longest input of a row has; of ragged ones the mean."""
        return max((_row_elements(array) for array in self.arrays.values()), default=1)


@record(frozen=False)
class Outcome:
    """What a run came to. `metrics` are the last figures of every part, `history` one record an epoch."""

    history: list[Record] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    interrupted: bool = False
    stopped_early: bool = False


def steps_in_all(training: Training, rows: int) -> int:
    """How many updates a run makes on `rows` rows."""
    if training.steps is not None:
        return training.steps
    return math.ceil(rows / training.batch) * (training.epochs or DEFAULT_EPOCHS)


def train(
    program: Program,
    batches: Batches,
    training: Training,
    seed: int,
    reporter: Reporter,
    interrupted: Callable[[], bool] = lambda: False,
    step: Step | None = None,
) -> Outcome:
    """Trains a program and returns the run's figures. The order of the rows hangs on the seed and the epoch alone.

    `step` makes an update on some rows and returns the loss; by default `program.step_rows`.
    """
    return _Loop(program, batches, training, seed, reporter, interrupted, step or program.step_rows).run()


class _Loop:
    def __init__(
        self,
        program: Program,
        batches: Batches,
        training: Training,
        seed: int,
        reporter: Reporter,
        interrupted: Callable[[], bool],
        step: Step,
    ) -> None:
        self.program, self.batches, self.training = program, batches, training
        self.seed, self.reporter, self.interrupted, self.step = seed, reporter, interrupted, step
        self.total = steps_in_all(training, len(batches.parts["train"]))
        self.outcome = Outcome()
        self.best = math.inf
        self.best_weights: Array | None = None
        self.waited = 0

    def run(self) -> Outcome:
        epoch = 0
        while self.program.steps_done < self.total and not self._done():
            epoch += 1
            self._epoch(epoch)
        if self.best_weights is not None:
            self.program.state.weights[...] = self.best_weights
        self._final_figures()
        return self.outcome

    def _done(self) -> bool:
        self.outcome.interrupted = self.outcome.interrupted or self.interrupted()
        return self.outcome.interrupted or self.outcome.stopped_early

    def _epoch(self, epoch: int) -> None:
        start = time.perf_counter()
        norms: list[float] = []
        loss, rows = self._batches(epoch, norms)
        seconds = time.perf_counter() - start
        record: Record = {"epoch": epoch, "step": self.program.steps_done, "train.loss": loss}
        record |= self.figures("validation")
        record |= {"lr": self.program.learning_rate, "gradient_norm": sum(norms) / max(len(norms), 1)}
        record |= {"seconds": seconds, "rows_per_second": rows / max(seconds, 1e-9)}
        self.outcome.history.append(record)
        self.reporter.epoch(record)
        self._judge(record)

    def _batches(self, epoch: int, norms: list[float]) -> tuple[float, int]:
        """One pass over the training part, or what is left of the run; the mean loss and the rows seen.

        `norms` gets the gradient's norm of a few steps, for it costs a walk over all weights.
        """
        part, arrays = self.batches.parts["train"], self.batches.arrays
        apart = max(STEPS_PER_NORM, len(part) // self.training.batch // NORMS_PER_EPOCH)
        total, weight, seen = 0.0, 0.0, 0
        for rows in self._walk(part, lambda: shuffled(arrays, part, self.training.batch, self.seed, epoch)):
            if self.program.steps_done >= self.total or self._done():
                break
            loss, count = self.step(arrays, rows), self._count(rows)
            if not norms or self.program.steps_done % apart == 0:
                norms.append(self.program.step_norm)
            total, weight, seen = total + loss * count, weight + count, seen + len(rows)
            self.reporter.progress(epoch, self.program.steps_done, self.total, loss)
        return total / max(weight, 1.0), seen

    def _walk(self, part: NDArray[np.int64], batches: Callable[[], Iterator[NDArray[np.int64]]]) -> Iterator[NDArray[np.int64]]:
        """The batches of a part; where states are carried over, stretches side by side in their own order."""
        if not self.program.carries:
            yield from batches()
            return
        for first, rows in lanes(part, self.training.batch):
            if first:
                self.program.forget()
            yield rows

    def _count(self, rows: NDArray[np.int64]) -> float:
        """What a batch weighs in a mean over a part."""
        return counts(self.batches.arrays, self.batches.targets, rows)

    def figures(self, part: str) -> dict[str, float]:
        """Loss and metrics of a part, nothing where the data have none. A batch weighs as much as it has rows, or steps where
        the targets are ragged."""
        rows = self.batches.parts.get(part)
        if rows is None or not len(rows):
            return {}
        totals: dict[str, float] = {}
        weight, arrays = 0.0, self.batches.arrays
        size = max(self.training.batch, min(EVALUATION_ROWS, EVALUATION_ELEMENTS // self.batches.row_elements))
        for piece in self._walk(rows, lambda: in_order(arrays, rows, size)):
            count = self._count(piece)
            weight += count
            for name, value in self.program.figures_rows(arrays, piece).items():
                totals[name] = totals.get(name, 0.0) + value * count
        return {f"{part}.{name}": value / weight for name, value in totals.items()}

    def _judge(self, record: Record) -> None:
        """Early stopping: keeps the best weights and counts the epochs without a better figure."""
        stop = self.training.stop
        if stop is None:
            return
        figure = str(stop.arguments["figure"])
        if figure not in record:
            record |= self.figures(figure.partition(".")[0])
        worse = -1.0 if figure.partition(".")[2] in self.training.metrics and "accuracy" in figure else 1.0
        value = worse * float(record.get(figure, math.nan))
        if value < self.best - float(stop.arguments["delta"]):
            self.best, self.waited = value, 0
            self.best_weights = self.program.state.weights.copy()
        else:
            self.waited += 1
            self.outcome.stopped_early = self.waited >= int(stop.arguments["patience"])

    def _final_figures(self) -> None:
        for part in ("train", "validation", "test"):
            if part == "train" and len(self.batches.parts[part]) > FINAL_ROWS and self.outcome.history:
                self.outcome.metrics["train.loss"] = self.outcome.history[-1]["train.loss"]
            else:
                self.outcome.metrics |= self.figures(part)


def _row_elements(array: Any) -> int:
    if isinstance(array, Ragged):
        return max(1, array.values.size // max(len(array), 1))
    return max(1, int(array[:1].size))
