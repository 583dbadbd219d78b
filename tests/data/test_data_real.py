"""Real tables, against plain loops over the csv module."""

import csv
import gzip
import statistics
import time

import numpy as np
from data_helpers import bind_lines, table
from support import REPOSITORY

DIGITS = """
source  = csv("digits.csv")
x[B,F]  = source["p*"] / 16
y[B]: K = source["label"]
split   = holdout(validation=0.1, test=0.1)
"""


def columns_of(path, **options):
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.reader(file, **options))
    return dict(zip(rows[0], zip(*rows[1:], strict=True), strict=True))


def test_digits():
    dataset = bind_lines(DIGITS, REPOSITORY / "specs")
    columns = columns_of(REPOSITORY / "specs" / "digits.csv")
    assert dataset.dims == {"F": 64, "K": 10}
    assert dataset.classes["K"] == tuple("0123456789")
    assert {part: len(rows) for part, rows in dataset.parts.items()} == {"train": 1437, "validation": 180, "test": 180}
    assert dataset.field("y").array.tolist() == [int(v) for v in columns["label"]]
    expected = np.array([[int(v) / 16 for v in columns[f"p{i}"]] for i in range(64)]).T
    np.testing.assert_array_equal(dataset.field("x").array, expected)


def test_the_sample_table_is_the_published_one():
    with gzip.open(table("sklearn_digits.csv.gz"), "rt") as file:
        published = file.read()
    header = ",".join([*(f"p{i}" for i in range(64)), "label"])
    assert (REPOSITORY / "specs" / "digits.csv").read_text() == f"{header}\n{published}"


def test_digits_are_bound_quickly():
    """40 ms on an idle machine; the bound here leaves room for a busy one."""
    bind_lines(DIGITS, REPOSITORY / "specs")
    assert min(_seconds(DIGITS, REPOSITORY / "specs") for _ in range(5)) < 0.15


def _seconds(lines, folder):
    start = time.perf_counter()
    bind_lines(lines, folder)
    return time.perf_counter() - start


def test_california_housing_has_gaps_and_categories():
    path = table("california_housing.csv")
    lines = """
    homes = csv("california_housing.csv")
    numbers = homes["*", "!median_house_value", "!ocean_proximity"] |> fill("median") |> standardize
    x[B,F] = concat(numbers, one_hot(homes["ocean_proximity"]))
    z[B] = homes["median_house_value"] / 100000
    split = holdout(validation=0.1, test=0.1)
    """
    dataset = bind_lines(lines, path.parent)
    columns = columns_of(path)
    train = dataset.parts["train"]
    assert (dataset.rows, dataset.dims) == (20640, {"F": 13})
    rooms = [columns["total_bedrooms"][row] for row in train]
    median = statistics.median(float(v) for v in rooms if v)
    filled = [float(v) if v else median for v in columns["total_bedrooms"]]
    known = [filled[row] for row in train]
    mean, deviation = statistics.fmean(known), statistics.pstdev(known)
    np.testing.assert_allclose(dataset.field("x").array[:, 4], [(v - mean) / deviation for v in filled], rtol=1e-9)
    assert dataset.field("x").array[:, 8:].sum(axis=0).tolist() == [9136, 6551, 5, 2290, 2658]
    assert dataset.field("z").array.tolist() == [float(v) / 100000 for v in columns["median_house_value"]]
    assert _seconds(lines, path.parent) < 1.0


def test_winequality_has_a_byte_order_mark_and_dos_lines():
    path = table("winequality-red.csv")
    dataset = bind_lines('s = csv("winequality-red.csv")\nx[B,F] = s["!quality"]\ny[B]: K = s["quality"]', path.parent)
    assert (dataset.rows, dataset.dims) == (1599, {"F": 11, "K": 6})
    assert dataset.classes["K"] == ("3", "4", "5", "6", "7", "8")
    assert np.bincount(dataset.field("y").array).tolist() == [10, 53, 681, 638, 199, 18]
    columns = columns_of(path)
    assert dataset.field("x").array[:, 0].tolist() == [float(v) for v in columns["fixedacidity"]]


def test_auto_mpg_has_runs_of_blanks_quotes_and_question_marks():
    path = table("auto-mpg.data")
    lines = """
    cars = csv("auto-mpg.data", delimiter=" ", columns=["mpg", "cylinders", "displacement", "horsepower", "weight",
                                                        "acceleration", "year", "origin", "name"])
    x[B,F] = cars["cylinders", "displacement", "horsepower", "weight"] |> fill("mean")
    o[B,G] = one_hot(cars["origin"])
    z[B] = cars["mpg"]
    """
    dataset = bind_lines(lines, path.parent)
    rows = [line.split("\t")[0].split() for line in path.read_text().splitlines()]
    power = [float(row[3]) for row in rows if row[3] != "?"]
    mean = sum(power) / len(power)
    assert (dataset.rows, dataset.dims) == (398, {"F": 4, "G": 3})
    assert dataset.field("z").array.tolist() == [float(row[0]) for row in rows]
    expected = [mean if row[3] == "?" else float(row[3]) for row in rows]
    np.testing.assert_allclose(dataset.field("x").array[:, 2], expected, rtol=1e-12)


def test_diabetes_lies_in_two_packed_files_without_headers():
    path = table("sklearn_diabetes_data_raw.csv.gz")
    lines = """
    inputs = csv("sklearn_diabetes_data_raw.csv.gz", header=false, delimiter=" ")
    target = csv("sklearn_diabetes_target.csv.gz", header=false)
    x[B,F] = inputs["*"] |> standardize
    z[B] = target["c0"]
    """
    dataset = bind_lines(lines, path.parent)
    assert (dataset.rows, dataset.dims) == (442, {"F": 10})
    assert round(dataset.field("z").array.mean(), 2) == 152.13
    np.testing.assert_allclose(dataset.field("x").array.std(axis=0), 1)


def test_iris_has_a_line_of_its_own_at_the_start():
    path = table("sklearn_iris.csv")
    lines = 's = csv("sklearn_iris.csv", skip=1, header=false)\nx[B,F] = s["!c4"]\ny[B]: K = s["c4"]'
    dataset = bind_lines(lines, path.parent)
    assert (dataset.rows, dataset.dims) == (150, {"F": 4, "K": 3})
    assert np.bincount(dataset.field("y").array).tolist() == [50, 50, 50]
    assert dataset.field("x").array[0].tolist() == [5.1, 3.5, 1.4, 0.2]
