"""Generators: what their rows mean, and that seed and settings alone decide them."""

import hashlib

import numpy as np
import pytest
from data_helpers import bind_lines
from hypothesis import given, settings
from hypothesis import strategies as st

from archspec.data.ragged import Ragged

SEEDS = st.integers(0, 2**32)
CALLS = {
    "copying(rows=9)": 's["input"]',
    "reversing(rows=9, shortest=2)": 's["input"]',
    "dyck(rows=9, shortest=2)": 's["target"]',
}


def spelled(dataset, name):
    field = dataset.field(name)
    rows = [field.array.row(r) for r in range(len(field.array))]
    return [[dataset.classes[field.of][code] for code in row] for row in rows]


def bound(call, tmp_path, seed=0, both="V"):
    lines = f's = {call}\nx[B,T]: V = s["input"]\ny[B,T]: {both} = s["target"]'
    return bind_lines(lines, tmp_path, seed=seed)


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.integers(1, 5), st.integers(1, 6), st.integers(1, 4))
def test_copying(tmp_path_factory, seed, length, delay, symbols):
    folder = tmp_path_factory.getbasetemp()
    dataset = bound(f"copying(rows=4, length={length}, delay={delay}, symbols={symbols})", folder, seed)
    assert dataset.classes["V"] == tuple(str(k) for k in range(symbols + 2))
    for given_, target in zip(spelled(dataset, "x"), spelled(dataset, "y"), strict=True):
        memory = given_[:length]
        assert all(1 <= int(symbol) <= symbols for symbol in memory)
        assert given_[length:] == ["0"] * (delay - 1) + [str(symbols + 1)] + ["0"] * length
        assert target == ["0"] * (length + delay) + memory


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.integers(1, 6), st.integers(1, 9))
def test_reversing(tmp_path_factory, seed, shortest, symbols):
    call = f"reversing(rows=20, length=6, shortest={shortest}, symbols={symbols})"
    dataset = bound(call, tmp_path_factory.getbasetemp(), seed)
    assert dataset.dims == {"V": symbols}
    lengths = dataset.field("x").array.lengths
    assert shortest <= lengths.min() <= lengths.max() <= 6
    assert [row[::-1] for row in spelled(dataset, "x")] == spelled(dataset, "y")


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.integers(1, 4), st.integers(2, 12))
def test_dyck_words_are_balanced_and_the_target_closes_them(tmp_path_factory, seed, kinds, shortest):
    call = f"dyck(rows=20, length=12, shortest={shortest}, kinds={kinds})"
    dataset = bound(call, tmp_path_factory.getbasetemp(), seed, both="K")
    assert dataset.dims == {"V": 2 * kinds, "K": kinds + 1}
    pairs = dict(zip("([{<"[:kinds], ")]}>"[:kinds], strict=True))
    for row, target in zip(spelled(dataset, "x"), spelled(dataset, "y"), strict=True):
        due = []
        for bracket, closing in zip(row, target, strict=True):
            if bracket in pairs:
                due.append(pairs[bracket])
            else:
                assert due.pop() == bracket
            assert closing == (due[-1] if due else "-")
        assert not due and len(row) <= 12


def test_dyck_words_take_every_form(tmp_path):
    dataset = bound("dyck(rows=2000, length=6, kinds=1)", tmp_path, both="K")
    assert {"".join(row) for row in spelled(dataset, "x")} == {"((()))", "(()())", "(())()", "()(())", "()()()"}


@settings(deadline=None, max_examples=20)
@given(SEEDS, st.integers(2, 9))
def test_adding(tmp_path_factory, seed, length):
    lines = f's = adding(rows=50, length={length})\nx[B,N,2] = s["input"]\ny[B] = s["target"]'
    dataset = bind_lines(lines, tmp_path_factory.getbasetemp(), seed=seed)
    x, y = dataset.field("x").array, dataset.field("y").array
    assert x.shape == (50, length, 2) and dataset.dims == {"N": length}
    assert (x[:, : length // 2, 1].sum(axis=1) == 1).all() and (x[:, :, 1].sum(axis=1) == 2).all()
    assert 0 <= x[:, :, 0].min() <= x[:, :, 0].max() < 1
    np.testing.assert_allclose((x[:, :, 0] * x[:, :, 1]).sum(axis=1), y, rtol=1e-15)


def test_adding_is_ragged_where_the_axis_is(tmp_path):
    dataset = bind_lines('s = adding(rows=3, length=4)\nx[B,T,2] = s["input"]\ny[B] = s["target"]', tmp_path)
    array = dataset.field("x").array
    assert isinstance(array, Ragged) and array.lengths.tolist() == [4, 4, 4] and array.values.shape == (12, 2)


def test_spirals(tmp_path):
    lines = 's = spirals(rows=300, arms=3, noise=0, turns=1)\nx[B,F] = s["input"]\ny[B]: K = s["target"]'
    dataset = bind_lines(lines, tmp_path)
    x, y = dataset.field("x").array, dataset.field("y").array
    assert dataset.dims == {"F": 2, "K": 3} and np.bincount(y).tolist() == [100, 100, 100]
    radius = np.hypot(*x.T)
    turned = (np.arctan2(x[:, 1], x[:, 0]) / (2 * np.pi) - radius - y / 3) % 1
    assert (np.minimum(turned, 1 - turned) * radius < 1e-5).all()
    noisy = bind_lines(lines.replace("noise=0", "noise=0.1"), tmp_path).field("x").array
    assert abs((noisy - x).std() - 0.1) < 0.01


@pytest.mark.parametrize("call", CALLS)
def test_seed_and_settings_alone_decide(call, tmp_path):
    def rows(call, seed):
        return bind_lines(f"s = {call}\nx[B,T]: V = {CALLS[call]}", tmp_path, seed=seed).field("x").array.values.tolist()

    assert rows(call, 1) == rows(call, 1) != rows(call, 2)


def test_known_rows(tmp_path):
    """Frozen: a change here would change the data of every spec that generates them."""
    x = bound("reversing(rows=3, length=5, shortest=2)", tmp_path, seed=7)
    brackets = bound("dyck(rows=2, length=8)", tmp_path, seed=7, both="K")
    lines = 's = spirals(rows=50)\nx[B,F] = s["input"]\ny[B]: K = s["target"]'
    points = bind_lines(lines, tmp_path, seed=7).field("x").array
    digest = hashlib.sha256(np.round(points * 10**6).astype("<i8").tobytes()).hexdigest()[:16]
    assert (["".join(row) for row in spelled(x, "x")], ["".join(r) for r in spelled(brackets, "x")], digest) == KNOWN


KNOWN = (["52", "71", "25"], ["()(()())", "[][][[]]"], "f15aa62889586e39")


def test_generated_rows_are_split_like_any(tmp_path):
    dataset = bind_lines('s = spirals(rows=100)\nx[B,F] = s["input"]\nsplit = holdout(validation=0.1, test=20)', tmp_path)
    assert {part: len(rows) for part, rows in dataset.parts.items()} == {"train": 70, "validation": 10, "test": 20}


def test_generators_are_bounded(tmp_path):
    from archspec.diagnostics import ArchError

    with pytest.raises(ArchError, match="D24"):
        bind_lines('s = adding(rows=2000000000, length=1000)\nx[B,N,2] = s["input"]', tmp_path)
