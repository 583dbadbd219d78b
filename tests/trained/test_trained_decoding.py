"""Choosing by scores, against the definitions written out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from archspec.trained.decoding import Beam, greedy, log_softmax, probabilities, sampled, widened


def naive(scores: np.ndarray, temperature: float, top_k: int, top_p: float) -> np.ndarray:
    """One row: the softmax, cut to the likeliest entries one after another."""
    shares = np.exp(scores / temperature - (scores / temperature).max())
    shares /= shares.sum()
    order = sorted(range(len(scores)), key=lambda k: (-scores[k], k))
    kept = order[: top_k or len(order)]
    whole, total, nucleus = sum(shares[k] for k in kept), 0.0, []
    for k in kept:
        if total >= top_p:
            break
        nucleus.append(k)
        total += shares[k] / whole
    return np.array([shares[k] if k in nucleus else 0.0 for k in range(len(scores))]) / sum(shares[k] for k in nucleus)


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    [(1.0, 0, 1.0), (0.3, 0, 1.0), (1.0, 3, 1.0), (2.0, 0, 0.6), (0.7, 4, 0.5), (1.0, 99, 1e-9)],
)
def test_probabilities(temperature: float, top_k: int, top_p: float) -> None:
    scores = np.random.default_rng(0).normal(size=(50, 7)) * 3
    found = probabilities(scores, temperature, top_k, top_p)
    expected = [naive(row, temperature, top_k, top_p) for row in scores]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


def test_large_scores_and_those_that_are_ruled_out() -> None:
    scores = np.array([[1e4, 1e4, -np.inf, -1e4]])
    np.testing.assert_allclose(probabilities(scores), [[0.5, 0.5, 0.0, 0.0]])
    assert greedy(scores).tolist() == [0]


def test_draws_follow_the_probabilities() -> None:
    scores = np.array([[0.0, 1.0, 2.0, -np.inf, 0.5]])
    rule = {"temperature": 0.8, "top_k": 3, "top_p": 1.0}
    draws = (np.arange(10_000) + 0.5) / 10_000
    chosen = sampled(np.repeat(scores, len(draws), axis=0), draws, rule)
    shares = np.bincount(chosen, minlength=5) / len(draws)
    np.testing.assert_allclose(shares, probabilities(scores, 0.8, 3)[0], atol=1e-3)


def test_the_ends_of_the_draws_choose_what_may_be_drawn() -> None:
    scores = np.array([[-np.inf, 0.0, 0.0, -np.inf]] * 2)
    rule = {"temperature": 1.0, "top_k": 0, "top_p": 1.0}
    assert sampled(scores, np.array([0.0, 1 - 2.0**-53]), rule).tolist() == [1, 2]


# --- beams -----------------------------------------------------------------------------------------------------------

END, ENTRIES, LONGEST = 0, 4, 4


def scores_after(said: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng([7, *said]).normal(size=ENTRIES)


def search(width: int, penalty: float) -> tuple[int, ...]:
    beam = Beam(np.array([[1]]), np.zeros(1))
    for _ in range(LONGEST):
        scores = np.array([scores_after(tuple(row)) for row in beam.said.tolist()])
        beam, before = widened(beam, scores, (END,), width, penalty)
        assert len(before) == len(beam.said) <= width
        if beam.is_over(width, penalty, 1 + LONGEST):
            break
    return beam.best()


def every_sequence() -> dict[tuple[int, ...], float]:
    """All complete sequences with the logarithms of their probabilities."""
    found = {}
    for length in range(LONGEST):
        for inner in itertools.product(range(1, ENTRIES), repeat=length):
            said, total = (1,), 0.0
            for entry in (*inner, END):
                total += log_softmax(scores_after(said)[None])[0][entry]
                said = (*said, entry)
            found[said] = total
    return found


@pytest.mark.parametrize("penalty", [0.0, 0.6, 2.0])
def test_a_wide_beam_finds_the_best_of_all(penalty: float) -> None:
    every = every_sequence()
    best = max(every, key=lambda said: every[said] / ((5 + len(said)) / 6) ** penalty)
    assert search(200, penalty) == best


def test_a_beam_of_one_is_greedy() -> None:
    said = (1,)
    while said[-1] != END and len(said) <= LONGEST:
        said = (*said, int(scores_after(said).argmax()))
    assert search(1, 0.0) == said
