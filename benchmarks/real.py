"""Trains the specs of benchmarks/real on real data and prints one line for each: the mean over seeds of a figure, and its goal.

python benchmarks/real.py --data FOLDER [NAME …] [--seeds 3] [--threads 2]

FOLDER holds the data sets under the paths that the specs name. The two exercises at the end make their own data.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import archspec

SPECS = Path(__file__).parent / "real"


@dataclass(frozen=True)
class Goal:
    """A figure of a run and the bounds between which its mean over the seeds must lie. `perplexity` takes its exponential."""

    figure: str
    least: float = -math.inf
    most: float = math.inf
    perplexity: bool = False


GOALS = {
    "bigram": Goal("train.loss", least=2.4540, most=2.460),
    "shakespeare": Goal("validation.loss", most=1.95),
    "mnist": Goal("test.accuracy", least=0.989),
    "sst2": Goal("test.accuracy", least=0.78),
    "trec": Goal("test.accuracy", least=0.86),
    "tagger": Goal("test.accuracy", least=0.91),
    "translation": Goal("validation.loss", most=12.0, perplexity=True),
    "adding": Goal("validation.loss", most=0.01),
    "copying": Goal("validation.loss", most=10 * math.log(8) / 40),
}


def measure(name: str, data: Path, seeds: int, threads: int) -> str:
    """One line: the figure of each seed, their mean, the goal and the time of a run."""
    goal, values = GOALS[name], []
    start = time.perf_counter()
    for seed in range(seeds):
        spec = archspec.loads((SPECS / f"{name}.arch").read_text(encoding="utf-8"), folder=data)
        with tempfile.TemporaryDirectory() as folder:
            run = archspec.run(spec, out=Path(folder) / "run", seed=seed, threads=threads)
        value = run.metrics[goal.figure]
        values.append(math.exp(value) if goal.perplexity else value)
    mean = sum(values) / len(values)
    reached = "reached" if goal.least <= mean <= goal.most else "MISSED"
    bounds = [f"at least {goal.least:.4f}"] if goal.least > -math.inf else []
    bounds += [f"at most {goal.most:.4f}"] if goal.most < math.inf else []
    figure = f"perplexity of {goal.figure}" if goal.perplexity else goal.figure
    each = ", ".join(f"{v:.4f}" for v in values)
    seconds = (time.perf_counter() - start) / seeds
    return f"{name:12} {figure} {mean:.4f} ({each}), {' and '.join(bounds)}: {reached}; {seconds:.0f} s a run"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"which: {', '.join(GOALS)}")
    parser.add_argument("--data", type=Path, default=Path("."), help="the folder of the data sets")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    for name in options.names or GOALS:
        print(measure(name, options.data, options.seeds, options.threads), flush=True)


if __name__ == "__main__":
    main()
