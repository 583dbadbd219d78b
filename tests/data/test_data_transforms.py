"""Transforms against plain loops, with statistics of the training part alone."""

import math
import statistics
import time

import numpy as np
import pytest
from data_helpers import bind_lines

from archspec.diagnostics import ArchError

A = [3.0, 1.5, 8.0, 4.0, 10.0, 7.0]
B = [1.0, 2.0, 2.0, 5.0, 3.0, 9.0]
KIND = ["u", "v", "u", "w", "v", "z"]
SPLIT = "\nsplit = tail(test=2)"  # training sees the first four rows


@pytest.fixture
def folder(tmp_path):
    lines = [f"{a},{b},7,{'' if i in (1, 5) else a},{k}\n" for i, (a, b, k) in enumerate(zip(A, B, KIND, strict=True))]
    (tmp_path / "t.csv").write_text("a,b,same,gap,kind\n" + "".join(lines))
    return tmp_path


def values(folder, expression, **options):
    dataset = bind_lines(f'source = csv("t.csv")\nx[B,F] = {expression}{SPLIT}', folder, **options)
    array = dataset.field("x").array
    assert array.flags.c_contiguous
    assert array.dtype == np.float64
    return array


@pytest.mark.parametrize(
    ("expression", "reference"),
    [
        ('source["a"] + 2', lambda a, b: a + 2),
        ('2 - source["a"]', lambda a, b: 2 - a),
        ('source["a"] * source["b"]', lambda a, b: a * b),
        ('source["a"] / source["b"] ^ 2', lambda a, b: a / b**2),
        ('2 ^ -source["a"]', lambda a, b: 2**-a),
        ('-source["a"] + 10 / 4', lambda a, b: -a + 2.5),
        ('log(source["a"])', lambda a, b: math.log(a)),
        ('source["a"] |> log1p', lambda a, b: math.log1p(a)),
        ('sqrt(source["a"]) |> log', lambda a, b: math.log(math.sqrt(a))),
        ('abs(source["a"] - source["b"])', lambda a, b: abs(a - b)),
    ],
)
def test_cell_by_cell(folder, expression, reference):
    expected = [[reference(a, b)] for a, b in zip(A, B, strict=True)]
    np.testing.assert_allclose(values(folder, expression), expected, rtol=1e-15)


def test_standardize_learns_from_the_training_part(folder):
    mean, deviation = statistics.fmean(A[:4]), statistics.pstdev(A[:4])
    expected = [[(a - mean) / deviation, 0.0] for a in A]
    np.testing.assert_allclose(values(folder, 'standardize(source["a", "same"])'), expected, rtol=1e-14)


def test_standardize_survives_a_large_mean(tmp_path):
    cells = [1e9 + i for i in range(4)]
    (tmp_path / "t.csv").write_text("a\n" + "".join(f"{c:.1f}\n" for c in cells))
    dataset = bind_lines('s = csv("t.csv")\nx[B] = s["a"] |> standardize', tmp_path)
    np.testing.assert_allclose(dataset.field("x").array, [(i - 1.5) / math.sqrt(1.25) for i in range(4)])


def test_a_constant_column_becomes_zero_whatever_the_rounding(tmp_path):
    (tmp_path / "t.csv").write_text("a\n" + "0.1\n" * 1000 + "5\n")
    for transform in ("standardize", "minmax"):
        dataset = bind_lines(f's = csv("t.csv")\nx[B] = s["a"] |> {transform}\nsplit = tail(test=1)', tmp_path)
        assert not dataset.field("x").array.any()


def test_minmax_learns_from_the_training_part(folder):
    low, high = min(A[:4]), max(A[:4])
    expected = [[(a - low) / (high - low), 0.0] for a in A]
    np.testing.assert_allclose(values(folder, 'minmax(source["a", "same"])'), expected)


@pytest.mark.parametrize(
    ("filling", "number"),
    [('"mean"', (3.0 + 8 + 4) / 3), ('"median"', 4.0), ("-1", -1.0), ("W / 2", 1.5)],
)
def test_fill_learns_from_the_training_part(folder, filling, number):
    from data_helpers import bind_text

    spec = f'let W = 3\ndata {{\nsource = csv("t.csv")\nx[B,F] = fill(source["gap"], {filling}){SPLIT}\n}}\n'
    array = bind_text(spec, folder).field("x").array
    np.testing.assert_allclose(array[:, 0], [3.0, number, 8.0, 4.0, 10.0, number])


def test_missing_cells_pass_through_steps_until_they_are_filled(folder):
    known = [A[0], A[2], A[3]]
    mean, deviation = statistics.fmean(known), statistics.pstdev(known)
    expected = [0 if i in (1, 5) else (a - mean) / deviation for i, a in enumerate(A)]
    np.testing.assert_allclose(values(folder, 'source["gap"] |> standardize |> fill(0)')[:, 0], expected)


def test_one_hot_knows_the_categories_of_the_training_part(folder):
    expected = [[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 0]]
    assert values(folder, 'one_hot(source["kind"])').tolist() == expected


def test_one_hot_of_numbers_goes_by_size_and_of_missing_cells_is_zero(tmp_path):
    (tmp_path / "t.csv").write_text("a\n10\n9\n\n?\n9.0\n2.5\n")
    dataset = bind_lines('s = csv("t.csv")\nx[B,F] = one_hot(s["a"])', tmp_path)
    assert dataset.field("x").array.tolist() == [[0, 0, 1], [0, 1, 0], [0, 0, 0], [0, 1, 0], [1, 0, 0]]


def test_concat_puts_columns_side_by_side(folder):
    array = values(folder, 'concat(source["a"], source["kind"] |> one_hot, source["b", "same"])')
    assert array.shape == (6, 6)
    assert array[1].tolist() == [1.5, 0, 1, 0, 2, 7]


def test_patterns_in_the_order_given_and_of_the_file(tmp_path):
    (tmp_path / "t.csv").write_text("q,p2,p10,[x],p?,!z\n1,2,3,4,5,6\n")

    def picked(patterns):
        return bind_lines(f's = csv("t.csv")\nx[B,F] = s[{patterns}]', tmp_path).field("x").array[0].tolist()

    assert picked('"p*"') == [2, 3, 5]
    assert picked('"p??", "q"') == [3, 1]
    assert picked('"p*", "p2", "*"') == [2, 3, 5, 1, 4, 6]
    assert picked('"*", "!p*"') == [1, 4, 6]
    assert picked('"!p*", "!q"') == [4, 6]
    assert picked('"p*", "!p2"') == [3, 5]
    assert picked('"[x]", "p?", "!z"') == [4, 5, 6]


def test_intermediate_names_and_several_sources(folder):
    (folder / "u.csv").write_text("a\n" + "".join(f"{i}\n" for i in range(6)))
    lines = """
    first = csv("t.csv")
    second = csv("u.csv")
    wide = first["a", "b"]
    scaled = wide / 2
    x[B,F] = scaled
    z[B] = second["a"] - first["a"]
    direct[B] = csv("u.csv")["a"]
    again[B,F] = x * 2
    """
    dataset = bind_lines(lines, folder)
    assert [field.name for field in dataset.fields] == ["x", "z", "direct", "again"]
    assert dataset.field("x").array.tolist() == [[a / 2, b / 2] for a, b in zip(A, B, strict=True)]
    assert dataset.field("z").array.tolist() == [i - a for i, a in enumerate(A)]
    assert dataset.field("direct").array.tolist() == list(range(6))
    assert dataset.field("again").array.tolist() == [list(pair) for pair in zip(A, B, strict=True)]
    assert dataset.dims == {"F": 2}


def test_a_target_may_have_several_columns(folder):
    dataset = bind_lines('s = csv("t.csv")\nt[B,M] = s["a", "b"]\nu[B,2] = s["b", "a"]', folder)
    assert dataset.dims == {"M": 2}
    assert dataset.field("u").axes == ("B", "2")


# --- results that are no numbers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "step", "column", "line", "cell"),
    [
        ('log(source["b", "a"] - 1.5)', "log", "b", 2, "-0.5"),
        ('1 / (source["a"] - 8)', "/", "a", 4, "1 and 0"),
        ('sqrt(source["b"] - 2)', "sqrt", "b", 2, "-1"),
        ('source["a"] ^ 400', "^", "a", 4, "8 and 400"),
    ],
)
def test_a_result_that_is_not_finite_is_located(folder, expression, step, column, line, cell):
    with pytest.raises(ArchError) as caught:
        values(folder, expression)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "D23"
    assert diagnostic.message.startswith(f"`{step}` has no finite result for ")
    assert diagnostic.notes == (f"the first is `{column}` on line {line} of `t.csv`, for {cell}",)


def test_statistics_that_overflow_are_refused(tmp_path):
    (tmp_path / "t.csv").write_text("a\n1e300\n-1e300\n")
    with pytest.raises(ArchError, match="too large for `standardize`"):
        bind_lines('s = csv("t.csv")\nx[B] = s["a"] |> standardize', tmp_path)


def test_a_column_that_is_empty_in_training_teaches_nothing(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,\n2,\n3,4\n")
    lines = 's = csv("t.csv")\nx[B,F] = concat(s["a"], s["b"]) |> fill("mean")\nsplit = tail(test=1)'
    with pytest.raises(ArchError, match="`b` is empty in the training part"):
        bind_lines(lines, tmp_path)


# --- sizes that run away -----------------------------------------------------------------------------------------


def test_names_that_double_the_work_are_stopped(folder):
    steps = "\n".join(f"v{i + 1} = v{i} + v{i}" for i in range(60))
    with pytest.raises(ArchError, match="too many steps"):
        bind_lines(f's = csv("t.csv")\nv0 = s["a"]\n{steps}\nx[B,F] = v60', folder)


def test_columns_that_double_are_stopped(folder, monkeypatch):
    from archspec.data import fit

    monkeypatch.setattr(fit, "MAX_CELLS", 100)
    with pytest.raises(ArchError, match=r"`concat` makes 20 columns of 6 rows: too large"):
        values(folder, 'concat(source["*", "!kind", "!gap"], ' + ", ".join(['source["a"]'] * 17) + ")")


def test_sections_and_patterns_that_go_on_are_stopped(folder):
    lines = "\n".join(f"v{i} = {i}" for i in range(1001))
    with pytest.raises(ArchError, match="at most 1,000 lines"):
        bind_lines(f's = csv("t.csv")\n{lines}', folder)
    (folder / "wide.csv").write_text(",".join(f"c{i}" for i in range(100_000)) + "\n")
    patterns = ", ".join(['"c*"'] * 101)
    with pytest.raises(ArchError, match="too many patterns for 100,000 columns"):
        bind_lines(f's = csv("wide.csv")\nx[B,F] = s[{patterns}]', folder)


def test_hostile_names_take_no_time(folder):
    long = "ab" * 4_900
    (folder / "long.csv").write_text(f"{long}a,b\n1,2\n")
    started = time.perf_counter()
    for pattern in (long, "*a" * 500 + "x", "*" * 5000 + "x"):
        with pytest.raises(ArchError, match=r"has no column"):
            bind_lines(f's = csv("long.csv")\nx[B] = s["{pattern}"]', folder)
    assert time.perf_counter() - started < 5


def test_numbers_that_tower_are_stopped(folder):
    with pytest.raises(ArchError, match="not a finite number"):
        values(folder, 'source["a"] * 9 ^ 9 ^ 9 ^ 9')
    steps = "\n".join(f"n{i + 1} = n{i} * n{i}" for i in range(60))
    with pytest.raises(ArchError, match="not a finite number"):
        bind_lines(f's = csv("t.csv")\nn0 = 9\n{steps}\nx[B] = s["a"] * n60', folder)
