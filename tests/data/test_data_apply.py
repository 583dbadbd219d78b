"""`Dataset.apply`: new files, the transforms and statistics of training."""

import numpy as np
import pytest
from data_helpers import bind_lines

from archspec.diagnostics import ArchError

LINES = """
source = csv("t.csv", delimiter=";", missing=["-"])
x[B,F] = concat(source["a", "b"] |> fill("mean") |> standardize, one_hot(source["c"]))
y[B]: K = source["k"]
z[B] = source["a"] |> fill(0)
split = tail(test=1)
"""


@pytest.fixture
def dataset(tmp_path):
    (tmp_path / "t.csv").write_text("a;b;c;k\n1;5;u;yes\n3;-;v;no\n-;9;u;no\n100;100;w;yes\n")
    return bind_lines(LINES, tmp_path)


def test_the_training_file_gives_the_same_again(dataset, tmp_path):
    again = dataset.apply(tmp_path / "t.csv")
    assert list(again) == ["x", "y", "z"]
    for field in dataset.fields:
        assert again[field.name].dtype == field.array.dtype
        np.testing.assert_array_equal(again[field.name], field.array)


def test_a_new_file_is_seen_with_the_statistics_of_training(dataset, tmp_path):
    (tmp_path / "new.csv").write_text("c;b;a\nv;-;2\nw;7;4\n")
    new = dataset.apply(str(tmp_path / "new.csv"))
    assert list(new) == ["x", "z"]
    scale = np.sqrt(2 / 3)  # training saw a = 1, 3 and b = 5, 9, each with its mean in the gap
    np.testing.assert_allclose(new["x"], [[0, 0, 0, 1], [2 / scale, 0, 0, 0]], atol=1e-15)
    assert new["z"].tolist() == [2, 4]


def test_fields_can_be_named(dataset, tmp_path):
    assert list(dataset.apply(tmp_path / "t.csv", ["z"])) == ["z"]
    (tmp_path / "new.csv").write_text("a;b;c\n1;1;u\n")
    with pytest.raises(ArchError, match=r"D06.*has no column `k`, which `y` needs"):
        dataset.apply(tmp_path / "new.csv", ["y"])
    with pytest.raises(ArchError, match=r"there is no field `w`"):
        dataset.apply(tmp_path / "new.csv", ["w"])


def test_mistakes_in_a_new_file_are_located(dataset, tmp_path):
    path = tmp_path / "new.csv"
    for text, message in [
        ("a;b;c;k\n1;2;u;maybe\n", "label `maybe` of column `k` did not occur in training"),
        ("a;b;c\n1;x;u\n", "column `b` holds `x`, which is not a number"),
        ("q;r\n1;2\n", "no field can be made from"),
        ("a;b;c\n", "has a header but no rows"),
        ("", "is empty"),
    ]:
        path.write_text(text)
        with pytest.raises(ArchError) as caught:
            dataset.apply(path)
        assert message in str(caught.value)
    with pytest.raises(ArchError, match="there is no file"):
        dataset.apply(tmp_path / "absent.csv")


def test_each_source_can_have_a_file(tmp_path):
    (tmp_path / "a.csv").write_text("1\n2\n")
    lines = 'a = csv("a.csv", header=false)\nb = csv("a.csv", header=false)\nx[B] = a["c0"]\ny[B] = b["c0"] * 2'
    dataset = bind_lines(lines, tmp_path)
    (tmp_path / "new.csv").write_text("5\n")
    assert list(dataset.apply(tmp_path / "new.csv")) == ["x"]
    both = dataset.apply({"a": tmp_path / "new.csv", "b": tmp_path / "a.csv"}, ["y"])
    assert both["y"].tolist() == [2, 4]
    with pytest.raises(ArchError, match="`y` needs a file for the source `b` too"):
        dataset.apply(tmp_path / "new.csv", ["y"])
    with pytest.raises(ArchError, match="there is no source `q`"):
        dataset.apply({"q": tmp_path / "new.csv"})


def test_recipes_are_frozen_and_hold_no_data(dataset):
    recipe = dataset.field("x").recipe
    assert isinstance(hash(recipe), int)
    assert len(repr(recipe)) < 1000
