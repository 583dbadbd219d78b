"""Whatever a `data` section says, the answer is a dataset or located mistakes."""

import numpy as np
import pytest
from data_helpers import bind_text
from hypothesis import given, settings
from hypothesis import strategies as st

from archspec.diagnostics import ArchError

NAMES = ["log", "log1p", "sqrt", "abs", "standardize", "minmax", "fill", "one_hot", "concat", "csv", "holdout", "tail"]
COLUMNS = st.sampled_from(['s["a"]', 's["a","b"]', 's["*"]', 's["k"]', 's["gap"]', 's["z"]', "v"])
NUMBERS = st.sampled_from(["0", "-1", "2", "0.5", "1e308", "1e999", "9" * 400, "H"])
OTHERS = st.sampled_from(["s", "nothing", "[]", '["a"]', "true", '"mean"', '"t.csv"', '"none.csv"', '"\\u202e"', "csv"])
LEAVES = COLUMNS | NUMBERS | OTHERS


def grow(inner):
    operators = st.builds("({} {} {})".format, inner, st.sampled_from("+-*/^%@"), inner)
    calls = st.builds("{}({})".format, st.sampled_from(NAMES), st.lists(inner, max_size=3).map(", ".join))
    named = st.builds("{}({}={})".format, st.sampled_from(NAMES), st.sampled_from(["value", "test", "path"]), inner)
    pipes = st.builds("({} |> {})".format, inner, st.sampled_from(NAMES))
    return operators | calls | named | pipes | st.builds("(-{})".format, inner) | st.builds("{}[{}]".format, inner, inner)


EXPRESSIONS = st.recursive(LEAVES, grow, max_leaves=6)
TARGETS = st.sampled_from(["x[B,F]", "y[B]", "y[B]: K", "v", "s", "w[B,3]", "x[F,B]", "q[B]: S", "split"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("any")
    (folder / "t.csv").write_text("a,b,k,gap\n1,2,u,\n3,4,v,1\n5,6.5,u,2\n-7,0,w,\n")
    return folder


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(TARGETS, EXPRESSIONS), min_size=1, max_size=4))
def test_any_section(folder, lines):
    body = "\n".join(f"  {target} = {expression}" for target, expression in lines)
    text = f'let H = 4\ndim B, F, K, S = 2\ndata {{\n  s = csv("t.csv")\n{body}\n}}\n'
    try:
        dataset = bind_text(text, folder)
    except ArchError as error:
        assert error.diagnostics
        assert all(d.span is not None for d in error.diagnostics)
        return
    assert dataset.rows == 4
    for field in dataset.fields:
        assert len(field.array) == 4
        assert field.array.ndim == len(field.axes)
        assert np.isfinite(field.array).all()
