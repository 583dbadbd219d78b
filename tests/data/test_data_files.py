"""Files that a spec may read, and those that it may not."""

import os

import pytest
from data_helpers import bind_lines

from archspec.diagnostics import ArchError


@pytest.fixture
def folder(tmp_path):
    for path in ("spec", "spec/inner", "other", "spec-2"):
        (tmp_path / path).mkdir()
        (tmp_path / path / "t.csv").write_text("a\n1\n")
    return tmp_path / "spec"


def outcome(folder, path, **options):
    """ "read", or the code of the mistake."""
    try:
        dataset = bind_lines(f's = csv("{path}")\nx[B] = s["a"]', folder, **options)
    except ArchError as error:
        (diagnostic,) = error.diagnostics
        assert diagnostic.span is not None
        return diagnostic.code
    assert dataset.field("x").array.tolist() == [1.0]
    return "read"


def test_the_folder_of_the_spec_and_what_lies_in_it(folder):
    for path in ("t.csv", "inner/t.csv", "./inner/../t.csv", "../spec/t.csv", str(folder / "t.csv")):
        assert outcome(folder, path) == "read"


def test_other_folders_need_permission(folder):
    for path in ("../other/t.csv", "../spec-2/t.csv", str(folder.parent / "other" / "t.csv"), "/etc/passwd", "../none"):
        assert outcome(folder, path) == "D11"
    assert outcome(folder, "../other/t.csv", allow=[folder.parent / "other"]) == "read"
    assert outcome(folder, "../spec-2/t.csv", allow=[folder.parent / "other"]) == "D11"


def test_links_are_followed_before_permission_is_asked(folder):
    (folder / "link.csv").symlink_to(folder.parent / "other" / "t.csv")
    (folder / "link").symlink_to(folder.parent / "other")
    (folder / "inside.csv").symlink_to(folder / "inner" / "t.csv")
    assert outcome(folder, "link.csv") == "D11"
    assert outcome(folder, "link/t.csv") == "D11"
    assert outcome(folder, "link/t.csv", allow=[folder / "link"]) == "read"
    assert outcome(folder, "inside.csv") == "read"


def test_a_relative_folder(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    assert outcome(type(folder)("spec"), "t.csv") == "read"
    assert outcome(type(folder)("spec"), "../other/t.csv") == "D11"


@pytest.mark.parametrize("path", ["", ".", "inner"])
def test_folders_are_no_files(folder, path):
    assert outcome(folder, path) == "D12"


@pytest.mark.parametrize("path", ["none.csv", "none/t.csv", "t.csv/t.csv", "x" * 5000, "loop"])
def test_what_is_not_there(folder, path):
    (folder / "loop").symlink_to(folder / "loop")
    assert outcome(folder, path) == "D10"


def test_a_nul_character_is_no_path(folder):
    from archspec.data.files import Folder

    with pytest.raises(ArchError, match="not a usable path"):
        Folder(folder).find("t\0.csv", None)


def test_a_pipe_is_not_waited_for(folder):
    os.mkfifo(folder / "pipe")
    assert outcome(folder, "pipe") == "D12"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_must_not_be_read(folder):
    (folder / "t.csv").chmod(0)
    assert outcome(folder, "t.csv") == "D12"


def test_the_path_is_shown_as_written(folder):
    with pytest.raises(ArchError) as caught:
        bind_lines('s = csv("none\u202e.csv")\nx[B] = s["a"]', folder)
    assert "there is no file `none\\u202e.csv`" in str(caught.value)
