"""The digits of specs/digits.arch are learned."""

import statistics

import archspec

SEEDS = range(5)


def test_mean_accuracy(repository, tmp_path):
    runs = [archspec.run(repository / "specs" / "digits.arch", out=tmp_path / str(seed), seed=seed) for seed in SEEDS]
    assert statistics.mean(run.metrics["test.accuracy"] for run in runs) >= 0.970
