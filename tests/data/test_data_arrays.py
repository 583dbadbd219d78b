"""Images in idx files and arrays in npz files, sound and hostile."""

import gzip
import io
import struct
import zipfile

import numpy as np
import pytest
from data_helpers import bind_lines
from hypothesis import given, settings
from hypothesis import strategies as st

from archspec.data import arrays
from archspec.diagnostics import ArchError

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx(array, code):
    return (
        bytes([0, 0, CODES[code], array.ndim])
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.astype(f">{code}").tobytes()
    )


def npz(**members):
    """An archive of bytes by their names."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.lib.format.write_array(file, array)
    return file.getvalue()


@pytest.mark.parametrize("code", CODES)
def test_idx_of_every_type(tmp_path, code):
    images = np.arange(24).reshape(2, 3, 4) - (0 if code == "u1" else 5)
    (tmp_path / "i.gz").write_bytes(gzip.compress(idx(images, code)))
    (tmp_path / "l").write_bytes(idx(np.array([7, 3]), "u1"))
    dataset = bind_lines('s = idx("i.gz", "l")\nx[B,I,J] = s["image"] / 4\ny[B]: K = s["label"]', tmp_path)
    x = dataset.field("x").array
    assert x.dtype == (np.float64 if code in ("i4", "f8") else np.float32)
    np.testing.assert_array_equal(x, images / 4)
    assert dataset.dims == {"I": 3, "J": 4, "K": 2}
    assert dataset.classes["K"] == ("3", "7") and dataset.field("y").array.tolist() == [1, 0]


def test_images_of_parts(tmp_path):
    for name, rows in (("a", 3), ("b", 2)):
        (tmp_path / f"{name}.i").write_bytes(idx(np.full((rows, 2, 2, 3), rows), "u1"))
        (tmp_path / f"{name}.l").write_bytes(idx(np.arange(rows), "u1"))
    lines = 's = idx("a.i", "a.l", test=["b.i", "b.l"])\nx[B,I,J,C] = s["image"]\ny[B]: K = s["label"]'
    dataset = bind_lines(lines, tmp_path)
    assert dataset.field("x").array.shape == (5, 2, 2, 3)
    assert dataset.parts["test"].tolist() == [3, 4]


def test_images_of_parts_have_one_size(tmp_path):
    (tmp_path / "a").write_bytes(npz(x=npy(np.zeros((2, 3, 3)))))
    (tmp_path / "b").write_bytes(npz(x=npy(np.zeros((2, 3, 4)))))
    with pytest.raises(ArchError, match="D28"):
        bind_lines('s = npz("a", test="b")\nx[B,I,J] = s["x"]', tmp_path)


def test_pictures_can_be_rows_of_pixels_no_more_than_that(tmp_path):
    (tmp_path / "a").write_bytes(npz(x=npy(np.arange(8.0).reshape(2, 2, 2)), z=npy(np.arange(4.0).reshape(2, 2))))
    dataset = bind_lines('s = npz("a")\nx[B,I,J] = (s["x"] - 1) ^ 2\nz[B,F] = s["z"] |> minmax\nw[B,T] = s["z"]', tmp_path)
    np.testing.assert_array_equal(dataset.field("x").array, (np.arange(8.0).reshape(2, 2, 2) - 1) ** 2)
    np.testing.assert_array_equal(dataset.field("z").array, [[0, 0], [1, 1]])
    assert dataset.field("w").array.lengths.tolist() == [2, 2]


@pytest.mark.parametrize("dtype", ["?", "u1", ">i4", "<i8", "u8", "f2", ">f4", "f8"])
def test_npz_of_every_type(tmp_path, dtype):
    array = np.array([[1, 0], [0, 1], [1, 1]]).astype(dtype)
    for order in "CF":
        (tmp_path / "a").write_bytes(npz(x=npy(np.asarray(array, order=order)), y=npy(array[:, 0])))
        dataset = bind_lines('s = npz("a")\nx[B,F] = s["x"]\ny[B]: K = s["y"]\nt[B,T]: V = s["x"]', tmp_path)
        assert dataset.field("x").array.tolist() == array.astype(int).tolist()
        assert dataset.field("y").array.tolist() == array[:, 0].astype(int).tolist()
        assert dataset.classes["V"] == ("0", "1")
        assert dataset.field("t").array.row(0).tolist() == [1, 0]


def test_labels_with_fractions(tmp_path):
    (tmp_path / "a").write_bytes(npz(y=npy(np.array([1.0, 0.5]))))
    with pytest.raises(ArchError, match=r"D19.*holds 0\.5(.|\n)*row 2 of `a`"):
        bind_lines('s = npz("a")\ny[B]: K = s["y"]', tmp_path)


def header(text):
    data = text.encode() + b" " * 20 + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(data)) + data


HOSTILE = {
    "nothing": b"",
    "no magic": b"\x93NUMPX\x01\x00" + b" " * 50,
    "a version to come": b"\x93NUMPY\x09\x00" + b" " * 50,
    "a shape that would fill the memory": header("{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,)}"),
    "a shape below zero": header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}"),
    "code for a header": header("__import__('os').getcwd()"),
    "brackets": header("(" * 3000),
    "a pickle": header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}") + b"cos\nsystem\n(S'false'\ntR.",
    "texts": header("{'descr': '<U3', 'fortran_order': False, 'shape': (1,)}") + b"a\0\0\0b\0\0\0c\0\0\0",
    "records": header("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,)}") + b"\0" * 8,
    "too few bytes": npy(np.arange(9.0))[:-1],
    "too many bytes": npy(np.arange(9.0)) + b"\0",
    "no rows": npy(np.zeros((0, 3))),
    "no rows of a huge size": header("{'descr': '<f8', 'fortran_order': False, 'shape': (0, 99999999999999999999999)}"),
    "a single number": npy(np.array(3.0)),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_arrays(tmp_path, data):
    (tmp_path / "a").write_bytes(npz(x=data))
    with pytest.raises(ArchError) as caught:
        bind_lines('s = npz("a")\nx[B] = s["x"]', tmp_path)
    assert caught.value.diagnostics[0].code in ("D28", "D14")
    assert caught.value.diagnostics[0].span is not None


def test_an_idx_file_without_rows(tmp_path):
    (tmp_path / "i").write_bytes(b"\0\0\x08\x04" + b"\0" * 4 + b"\xff" * 12)
    with pytest.raises(ArchError, match="D14"):
        bind_lines('s = idx("i", "i")\nx[B,I] = s["image"]', tmp_path)


def test_archives_are_bounded(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(npz(x=npy(np.zeros(1000))))
    for name, limit in (("MAX_BYTES", 100), ("MAX_ARRAYS", 0)):
        with monkeypatch.context() as patch:
            patch.setattr(arrays, name, limit)
            with pytest.raises(ArchError, match="D24"):
                bind_lines('s = npz("a")\nx[B] = s["x"]', tmp_path)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_damaged_bytes_are_located_mistakes(tmp_path_factory, data):
    """A byte changed, or an end cut off: the answer is an array or a mistake."""
    folder = tmp_path_factory.getbasetemp()
    sound = {"idx": idx(np.arange(8).reshape(2, 2, 2), "u1"), "npz": npz(x=npy(np.zeros((2, 2, 2))))}
    kind = data.draw(st.sampled_from(sorted(sound)))
    damaged = bytearray(sound[kind])
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    damaged = damaged[: data.draw(st.integers(1, len(damaged)))] if data.draw(st.booleans()) else damaged
    (folder / "damaged").write_bytes(bytes(damaged))
    (folder / "labels").write_bytes(idx(np.arange(2), "u1"))
    call = 's = idx("damaged", "labels")\nx[B,I,J] = s["image"]' if kind == "idx" else 's = npz("damaged")\nx[B,I,J] = s["x"]'
    try:
        dataset = bind_lines(call, folder)
    except ArchError as error:
        assert all(d.span is not None for d in error.diagnostics)
    else:
        assert np.isfinite(dataset.field("x").array).all()
