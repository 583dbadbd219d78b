"""Delimited text: every way of writing a table gives the columns that it means."""

import gzip

import numpy as np
import pytest
from data_helpers import bind_lines
from hypothesis import given
from hypothesis import strategies as st

from archspec.data import cells, files, rows, tables
from archspec.diagnostics import ArchError

PLAIN = "a,b,c\n1,2,x\n3,4.5,y\n-5e1,.5,x\n"
VALUES = [[1, 2], [3, 4.5], [-50, 0.5]]


def read(folder, data, call='csv("t.csv")', fields='x[B,F] = source["a", "b"]'):
    (folder / "t.csv").write_bytes(data if isinstance(data, bytes) else data.encode())
    return bind_lines(f"source = {call}\n{fields}", folder)


@pytest.mark.parametrize(
    ("data", "call"),
    [
        (PLAIN, 'csv("t.csv")'),
        (PLAIN.rstrip("\n"), 'csv("t.csv")'),
        ("\ufeff" + PLAIN, 'csv("t.csv")'),
        (PLAIN.replace("\n", "\r\n"), 'csv("t.csv")'),
        (PLAIN.replace("\n", "\r"), 'csv("t.csv")'),
        (PLAIN.replace("\n", "\n\n  \n"), 'csv("t.csv")'),
        (PLAIN.replace(",", " , "), 'csv("t.csv")'),
        (PLAIN.replace(",", ";"), 'csv("t.csv", delimiter=";")'),
        (PLAIN.replace(",", "\t"), 'csv("t.csv", delimiter="\t")'),
        (PLAIN.replace(",", " \t  ").replace("\n", "  \n "), 'csv("t.csv", delimiter=" ")'),
        ("# one\n# two\n" + PLAIN, 'csv("t.csv", skip=2)'),
        (gzip.compress(PLAIN.encode()), 'csv("t.csv")'),
        (gzip.compress(PLAIN[:9].encode()) + gzip.compress(PLAIN[9:].encode()), 'csv("t.csv")'),
        (PLAIN.replace("a,b,c\n", ""), 'csv("t.csv", columns=["a", "b", "c"])'),
        (PLAIN.replace("a,b,c", "u,v,w"), 'csv("t.csv", header=true, columns=["a", "b", "c"])'),
        ('"a","b","c"\n"1","2","x, y"\n"3","4.5","he said ""no"""\n"-5e1",".5","two\nlines"\n', 'csv("t.csv")'),
    ],
)
def test_one_table_written_in_many_ways(tmp_path, data, call):
    dataset = read(tmp_path, data, call)
    assert dataset.field("x").array.tolist() == VALUES
    assert (dataset.rows, dataset.dims, dataset.axis) == (3, {"F": 2}, "B")


def test_columns_without_a_header_are_numbered(tmp_path):
    dataset = read(tmp_path, "1,2,3\n4,5,6\n", 'csv("t.csv", header=false)', 'x[B,F] = source["c2", "c0"]')
    assert dataset.field("x").array.tolist() == [[3, 1], [6, 4]]


def test_a_column_without_a_name_is_numbered(tmp_path):
    dataset = read(tmp_path, ",a\n0,5\n1,6\n", fields='x[B,F] = source["c0", "a"]')
    assert dataset.field("x").array.tolist() == [[0, 5], [1, 6]]


def test_quoted_fields_keep_delimiters_quotes_and_line_breaks(tmp_path):
    data = 'a,b\n1,"x, y"\n2,"say ""no"""\n3,"two\r\nlines"\n4,5" pipe\n'
    dataset = read(tmp_path, data, fields='k[B]: K = source["b"]')
    assert set(dataset.classes["K"]) == {"x, y", 'say "no"', "two\r\nlines", '5" pipe'}


def test_blanks_inside_quotes_survive_runs_of_blanks(tmp_path):
    dataset = read(tmp_path, '1   "a  b"\n2\t"c"\n', 'csv("t.csv", header=false, delimiter=" ")', 'k[B]: K = source["c1"]')
    assert dataset.classes["K"] == ("a  b", "c")


def test_lines_are_counted_through_line_breaks_in_quotes_and_blank_lines(tmp_path):
    with pytest.raises(ArchError, match=r"line 6 of `t\.csv`"):
        read(tmp_path, 'a,b\n1,"x\ny"\n\n\nno,2\n', fields='x[B] = source["a"]')


def test_the_default_words_for_a_missing_cell(tmp_path):
    dataset = read(tmp_path, "a,b\n1,\n2,?\n3, NA \n4,nan\n5,7\n", fields='x[B] = source["b"] |> fill(0)')
    assert dataset.field("x").array.tolist() == [0, 0, 0, 0, 7]


@pytest.mark.parametrize("rows", [3, 300])
def test_a_number_may_stand_for_a_missing_cell(tmp_path, rows):
    data = "a\n" + "".join(f"{i}\n" for i in range(rows)) + "-999\n"
    dataset = read(tmp_path, data, 'csv("t.csv", missing=["-999"])', 'x[B] = source["a"] |> fill(0.5)')
    assert dataset.field("x").array.tolist() == [*range(rows), 0.5]


@pytest.mark.parametrize("word", ["nan", "inf", "-Infinity", "1_000", "0x10", "1,5", "١٢", "1e999", "--1", "1e", "."])
@pytest.mark.parametrize("rows", [0, 400])
def test_only_plain_finite_numbers_are_numbers(tmp_path, word, rows):
    data = "a;b\n" + "".join(f"{i};0\n" for i in range(rows)) + f"{word};0\n"
    with pytest.raises(ArchError) as caught:
        read(tmp_path, data, 'csv("t.csv", delimiter=";", missing=[])', 'x[B] = source["a"]')
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "D17"
    assert f"`{word}`" in diagnostic.message
    assert f"line {rows + 2} of" in diagnostic.notes[0]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**9), 10**9), min_size=1))
def test_numbers_are_read_as_python_reads_them(values):
    texts = [repr(value) for value in values]
    parsed, wrong = cells.parse_numbers(texts, frozenset())
    assert wrong is None
    assert parsed.tolist() == [float(text) for text in texts]


@given(st.lists(st.text(max_size=6)), st.lists(st.text(max_size=3)))
def test_any_cells_are_numbers_missing_or_wrong(texts, missing):
    marks = frozenset(text.strip() for text in missing)
    parsed, wrong = cells.parse_numbers(texts, marks)
    expected = [None if t.strip() in marks else cells.parse_number(t) for t in texts]
    known = np.array([np.nan if e is None else e for e in expected])
    np.testing.assert_array_equal(parsed, known)
    first = next((i for i, t in enumerate(texts) if expected[i] is None and t.strip() not in marks), None)
    assert wrong == first


def test_pieces_join_without_a_seam(tmp_path, monkeypatch):
    data = "a,b,k\n" + "".join(f"{i},{i * i},{'xyz'[i % 3]}\n" for i in range(100))
    fields = 'x[B,F] = source["a", "b"]\nk[B]: K = source["k"]'
    whole = read(tmp_path, data, fields=fields)
    monkeypatch.setattr(tables, "_PIECE", 7)
    pieces = read(tmp_path, data, fields=fields)
    for name in ("x", "k"):
        np.testing.assert_array_equal(whole.field(name).array, pieces.field(name).array)
    with pytest.raises(ArchError, match="line 90 of"):
        read(tmp_path, data.replace("\n88,", "\n8x,"), fields='x[B] = source["a"]')


# --- limits ------------------------------------------------------------------------------------------------------


def code_of(folder, *arguments, **options):
    with pytest.raises(ArchError) as caught:
        read(folder, *arguments, **options)
    (diagnostic,) = caught.value.diagnostics
    return diagnostic.code, diagnostic.message


def test_large_files_are_refused_before_they_are_read(tmp_path):
    with (tmp_path / "big.csv").open("wb") as file:
        file.truncate((1 << 30) + 1)
    with pytest.raises(ArchError, match=r"D24.*1,073,741,825 bytes"):
        bind_lines('source = csv("big.csv")\nx[B] = source["a"]', tmp_path)


def test_small_files_that_unpack_to_large_ones_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 1 << 20)
    code, message = code_of(tmp_path, gzip.compress(bytes(1 << 22)))
    assert (code, message) == ("D24", "`t.csv` unpacks to more than 1,048,576 bytes")


def test_columns_are_limited(tmp_path):
    code, message = code_of(tmp_path, "a," * 100_000 + "b\n")
    assert (code, message) == ("D24", "`t.csv` has 100,001 columns; at most 100,000 are read")


def test_rows_are_limited_in_length(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "MAX_ROW", 1000)
    assert code_of(tmp_path, "a,b\n" + "1," * 600 + "\n")[0] == "D24"
    assert code_of(tmp_path, 'a,b\n"' + "x\n" * 600 + '",1\n')[0] == "D24"
    read(tmp_path, "a,b\n" + "1,2\n" * 600)


def test_different_texts_are_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MAX_CATEGORIES", 10)
    data = "a\n" + "".join(f"k{i}\n" for i in range(11))
    assert code_of(tmp_path, data, fields='k[B]: K = source["a"]')[0] == "D24"


@given(st.binary(max_size=60))
def test_any_bytes_give_a_dataset_or_a_located_error(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("any")
    try:
        read(folder, data, 'csv("t.csv", header=false)', 'x[B] = source["c0"]\nk[B]: K = source["c1"]')
    except ArchError as error:
        assert all(d.code.startswith("D") and d.span is not None for d in error.diagnostics)
