"""Reading files from disk."""

import os
from pathlib import Path

import pytest

import archspec
from archspec.diagnostics import ArchError
from archspec.frontend.parse import read_source


def code(path: Path) -> str:
    with pytest.raises(ArchError) as caught:
        read_source(path)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.span is None or diagnostic.code == "P12"
    return diagnostic.code


def test_a_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.arch"
    path.write_bytes(b"\xef\xbb\xbflet a = 1\r\n")
    assert read_source(path).text == "let a = 1\r\n"
    assert read_source(str(path)).path == str(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert code(tmp_path / "missing.arch") == "P11"
    assert code(tmp_path) == "P11"
    assert code(tmp_path / "nul\0.arch") == "P11"
    assert code(Path("/dev/null")) == "P11"
    os.mkfifo(tmp_path / "pipe")
    assert code(tmp_path / "pipe") == "P11"


def test_files_that_are_too_large(tmp_path: Path) -> None:
    path = tmp_path / "a.arch"
    path.write_bytes(b"#" * 1_000_000)
    assert len(read_source(path).text) == 1_000_000
    path.write_bytes(b"#" * 1_000_001)
    assert code(path) == "P10"


def test_bytes_that_are_not_utf8_are_located(tmp_path: Path) -> None:
    path = tmp_path / "a.arch"
    path.write_bytes("# größe\n# é".encode() + b"\xff")
    with pytest.raises(ArchError) as caught:
        read_source(path)
    span = caught.value.diagnostics[0].span
    assert span is not None
    assert (span.line, span.column) == (2, 4)


def test_half_characters_are_refused_in_strings_and_written_out_in_paths(tmp_path: Path) -> None:
    with pytest.raises(ArchError, match=r"P12\]: U\+DCFF is half a character"):
        archspec.loads("# \udcff\n")
    path = tmp_path / "\udcff.arch"
    path.write_text("let a = 1\n")
    assert read_source(path).path == f"{tmp_path}/\\udcff.arch"
