"""Whatever a `data` section says, the answer is a dataset or located mistakes."""

import numpy as np
import pytest
from data_helpers import bind_text
from hypothesis import given, settings
from hypothesis import strategies as st

from archspec.data.ragged import Ragged
from archspec.diagnostics import ArchError

NAMES = ["log", "log1p", "sqrt", "abs", "standardize", "minmax", "fill", "one_hot", "concat", "csv", "holdout", "tail"]
MORE = [
    "chars",
    "words",
    "crop",
    "shifted",
    "windows",
    "skipgrams",
    "text",
    "lines",
    "labelled",
    "conll",
    "dyck",
    "reversing",
    "folder",
    "npz",
]
COLUMNS = st.sampled_from(['s["a"]', 's["a","b"]', 's["*"]', 's["k"]', 's["gap"]', 's["z"]', "v"])
NUMBERS = st.sampled_from(["0", "-1", "2", "0.5", "1e308", "1e999", "9" * 400, "H"])
OTHERS = st.sampled_from(
    [
        "s",
        "l",
        "t",
        'l["text"]',
        "l |> words",
        "t |> chars",
        '"t.txt"',
        "nothing",
        "[]",
        '["a"]',
        "true",
        '"mean"',
        '"t.csv"',
        '"none.csv"',
        '"\\u202e"',
        "csv",
    ]
)
LEAVES = COLUMNS | NUMBERS | OTHERS


def grow(inner):
    operators = st.builds("({} {} {})".format, inner, st.sampled_from("+-*/^%@"), inner)
    calls = st.builds("{}({})".format, st.sampled_from(NAMES + MORE), st.lists(inner, max_size=3).map(", ".join))
    named = st.builds(
        "{}({}={})".format, st.sampled_from(NAMES + MORE), st.sampled_from(["value", "test", "path", "min", "longest"]), inner
    )
    pipes = st.builds("({} |> {})".format, inner, st.sampled_from(NAMES + MORE))
    return operators | calls | named | pipes | st.builds("(-{})".format, inner) | st.builds("{}[{}]".format, inner, inner)


EXPRESSIONS = st.recursive(LEAVES, grow, max_leaves=6)
TARGETS = st.sampled_from(
    [
        "x[B,F]",
        "y[B]",
        "y[B]: K",
        "v",
        "s",
        "w[B,3]",
        "x[F,B]",
        "q[B]: S",
        "split",
        "i[B,T]: V",
        "i[B,N]: V, j[B,N]: V",
        "a[B,T]: V, b[B,T]: W",
        "c[B]: V, d[B]: V",
    ]
)


OPENED = """
  s = csv("t.csv")
  l = lines("t.txt")
  t = text("t.txt")
"""
STEPS = [
    "chars",
    "words(min=2)",
    "crop(2)",
    "shifted",
    "windows(2)",
    "windows(3, stride=1)",
    "skipgrams",
    "skipgrams(window=9)",
]
PIPES = st.builds(
    " |> ".join,
    st.tuples(st.sampled_from(["l", "t", 's["k"]', 's["gap"]', 'l["text"]']), st.sampled_from(STEPS[:2]))
    .map(list)
    .flatmap(lambda start: st.lists(st.sampled_from(STEPS), max_size=2).map(lambda more: start + more)),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("any")
    (folder / "t.txt").write_text("a b\nb c\n\na\nc c c\n")
    (folder / "t.csv").write_text("a,b,k,gap\n1,2,u,\n3,4,v,1\n5,6.5,u,2\n-7,0,w,\n")
    return folder


@settings(deadline=None, max_examples=500)
@given(st.lists(st.tuples(TARGETS, EXPRESSIONS | PIPES), min_size=1, max_size=4))
def test_any_section(folder, lines):
    body = "\n".join(f"  {target} = {expression}" for target, expression in lines)
    text = f"let H = 4\ndim B, F, K, N, V, W, T?, S = 2\ndata {{\n{OPENED}{body}\n}}\n"
    try:
        dataset = bind_text(text, folder)
    except ArchError as error:
        assert error.diagnostics
        assert all(d.span is not None for d in error.diagnostics)
        return
    for field in dataset.fields:
        assert len(field.array) == dataset.rows
        dense = field.array.values if isinstance(field.array, Ragged) else field.array
        assert dense.ndim + isinstance(field.array, Ragged) == len(field.axes)
        assert np.isfinite(dense).all()
        assert field.of is None or 0 <= dense.min() <= dense.max() < len(dataset.classes[field.of])
    assert all(0 <= rows.min() <= rows.max() < dataset.rows for rows in dataset.parts.values())
