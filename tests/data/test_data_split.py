"""Splits: disjoint, exhaustive, deterministic; stratified ones keep the share of every class."""

import numpy as np
import pytest
from data_helpers import bind_lines
from hypothesis import assume, given
from hypothesis import strategies as st

from archspec.data import permutation
from archspec.data.splits import divide
from archspec.data.values import Split
from archspec.diagnostics import ArchError, Source, Span

SPAN = Span(Source("t.arch", ""), 1, 1, 1, 1)
SIZES = st.none() | st.floats(0.01, 0.6) | st.integers(1, 20)


def parts_of(rule, rows, validation=None, test=None, groups=None, seed=0):
    settings = {"validation": validation, "test": test, "stratify": groups is not None}
    return divide(Split(rule, settings, SPAN), rows, groups, seed)


@given(st.sampled_from(["holdout", "tail"]), st.integers(1, 100), SIZES, SIZES, st.integers(0, 9))
def test_parts_are_disjoint_exhaustive_and_deterministic(rule, rows, validation, test, seed):
    try:
        parts = parts_of(rule, rows, validation, test, seed=seed)
    except ArchError as error:
        assert error.diagnostics[0].code == "D21"
        return
    assert list(parts) == ["train"] + [n for n, v in (("validation", validation), ("test", test)) if v is not None]
    assert sorted(np.concatenate(list(parts.values()))) == list(range(rows))
    for part, again in zip(parts.values(), parts_of(rule, rows, validation, test, seed=seed).values(), strict=True):
        assert part.dtype == np.int64
        assert len(part)
        assert (np.diff(part) > 0).all()
        assert np.array_equal(part, again)


@given(st.lists(st.integers(0, 4), min_size=8, max_size=120), st.integers(1, 20), st.integers(1, 20))
def test_stratified_parts_have_the_share_of_each_class_to_a_row(labels, validation, test):
    assume(validation + test < len(labels))
    groups = np.unique(labels, return_inverse=True)[1]
    parts = parts_of("holdout", len(labels), validation, test, groups)
    assert (len(parts["validation"]), len(parts["test"])) == (validation, test)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(labels)))
    for group in range(groups.max() + 1):
        share = (groups == group).sum() * validation / len(labels)
        assert abs((groups[parts["validation"]] == group).sum() - share) < 1


def test_holdout_takes_validation_first_then_test():
    order = permutation(50, 3, "holdout")
    parts = parts_of("holdout", 50, 5, 7, seed=3)
    assert parts["validation"].tolist() == sorted(order[:5])
    assert parts["test"].tolist() == sorted(order[5:12])
    assert parts_of("holdout", 50, 5, seed=3)["validation"].tolist() == parts["validation"].tolist()


def test_seeds_give_different_parts():
    assert parts_of("holdout", 50, 10)["validation"].tolist() != parts_of("holdout", 50, 10, seed=1)["validation"].tolist()


def test_tail_takes_the_last_rows_in_order():
    parts = parts_of("tail", 10, 0.2, 3)
    assert {n: p.tolist() for n, p in parts.items()} == {
        "train": [0, 1, 2, 3, 4],
        "validation": [5, 6],
        "test": [7, 8, 9],
    }


@pytest.mark.parametrize(("asked", "rows"), [(0.1, 180), (0.5, 899), (1, 1), (180, 180), (1e2, 100)])
def test_sizes_are_fractions_below_one_and_counts_from_one(asked, rows):
    assert len(parts_of("tail", 1797, asked)["validation"]) == rows


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "t.csv").write_text("a,k\n" + "".join(f"{i},{'uvw'[i % 3]}\n" for i in range(90)))
    return tmp_path


def test_without_a_split_every_row_is_for_training(folder):
    dataset = bind_lines('source = csv("t.csv")\nx[B] = source["a"]', folder)
    assert {n: p.tolist() for n, p in dataset.parts.items()} == {"train": list(range(90))}


def test_a_split_goes_by_its_value_not_by_its_name(folder):
    lines = 't = csv("t.csv")\nx[B] = t["a"]\nk[B]: K = t["k"]\nparts = holdout(validation=9, stratify=true)'
    dataset = bind_lines(lines, folder, seed=5)
    labels = dataset.field("k").array[dataset.parts["validation"]]
    assert np.bincount(labels).tolist() == [3, 3, 3]
    assert bind_lines(lines, folder, seed=5).parts["validation"].tolist() == dataset.parts["validation"].tolist()


def test_parts_may_have_files_of_their_own(folder):
    (folder / "test.csv").write_text("k,a\nw,100\nz,101\n")
    lines = """
    t = csv("t.csv", test="test.csv")
    x[B] = t["a"] |> standardize
    k[B]: K = t["k"]
    split = tail(validation=10)
    """
    dataset = bind_lines(lines, folder)
    assert {n: len(p) for n, p in dataset.parts.items()} == {"train": 80, "validation": 10, "test": 2}
    assert dataset.parts["test"].tolist() == [90, 91]
    assert dataset.classes["K"] == ("u", "v", "w", "z")
    mean, deviation = np.arange(80).mean(), np.arange(80).std()
    np.testing.assert_allclose(dataset.field("x").array, (np.r_[:90, 100, 101] - mean) / deviation)


def test_a_part_comes_from_its_file_or_from_the_split(folder):
    (folder / "test.csv").write_text("k,a\nw,100\n")
    with pytest.raises(ArchError, match=r"D21.*`test` has a file of its own"):
        bind_lines('t = csv("t.csv", test="test.csv")\nx[B] = t["a"]\nsplit = tail(test=10)', folder)
