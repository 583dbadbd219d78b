"""Labels: fields whose values index an axis."""

import numpy as np
import pytest
from data_helpers import bind_lines, bind_text

from archspec.diagnostics import ArchError


def labels(folder, *cells, dim="", **options):
    (folder / "t.csv").write_text("k,n\n" + "".join(f'"{cell}",0\n' for cell in cells))
    spec = f'dim B, K{dim}\ndata {{\nsource = csv("t.csv")\ny[B]: K = source["k"]\n}}\n'
    dataset = bind_text(spec, folder, **options)
    array = dataset.field("y").array
    assert array.dtype == np.int64
    assert array.flags.c_contiguous
    assert dataset.dims == {"K": len(dataset.classes["K"])}
    return array.tolist(), dataset.classes["K"]


def test_whole_numbers_from_zero_keep_their_meaning(tmp_path):
    assert labels(tmp_path, 2, 0, 1, 2, 10, *range(3, 10)) == (
        [2, 0, 1, 2, 10, *range(3, 10)],
        tuple(map(str, range(11))),
    )


def test_other_whole_numbers_go_by_size(tmp_path):
    assert labels(tmp_path, 10, 9, -1, 10) == ([2, 1, 0, 2], ("-1", "9", "10"))


def test_texts_go_by_code_point(tmp_path):
    assert labels(tmp_path, "b", "é", "B", "10", "9") == ([3, 4, 2, 0, 1], ("10", "9", "B", "b", "é"))


def test_one_number_has_one_label_however_it_is_written(tmp_path):
    assert labels(tmp_path, "1", "1.0", "01", "2", " 2 ", "0", "-0") == ([1, 1, 1, 2, 2, 0, 0], ("0", "1", "2"))


def test_large_whole_numbers_stay_apart(tmp_path):
    names = ("9007199254740992", "9007199254740993")
    assert labels(tmp_path, names[1], names[0]) == ([1, 0], names)


def test_a_declared_size_holds(tmp_path):
    assert labels(tmp_path, "a", "b", "a", dim=" = 2") == ([0, 1, 0], ("a", "b"))
    with pytest.raises(ArchError, match=r"D20.*`K` has the size 3, but the labels are of 2 classes"):
        labels(tmp_path, "a", "b", dim=" = 3")


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (("1", "2.5"), "labels are whole numbers or texts, and column `k` holds 2.5"),
        (("a", "", "?"), "column `k` has 2 missing cells"),
    ],
)
def test_what_is_no_label_is_refused(tmp_path, cells, message):
    with pytest.raises(ArchError) as caught:
        labels(tmp_path, *cells)
    assert caught.value.diagnostics[0].message == message
    assert caught.value.diagnostics[0].notes[0].endswith("is on line 3 of `t.csv`")


def test_two_fields_over_one_axis_share_its_classes(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\nu,v\nw,u\n")
    dataset = bind_lines('s = csv("t.csv")\na[B]: K = s["a"]\nb[B]: K = s["b"]', tmp_path)
    assert dataset.classes == {"K": ("u", "v", "w")}
    assert (dataset.field("a").array.tolist(), dataset.field("b").array.tolist()) == ([0, 2], [1, 0])


def test_classes_come_from_every_row(tmp_path):
    (tmp_path / "t.csv").write_text("k\na\na\nz\n")
    dataset = bind_lines('s = csv("t.csv")\ny[B]: K = s["k"]\nsplit = tail(test=1)', tmp_path)
    assert dataset.classes["K"] == ("a", "z")
