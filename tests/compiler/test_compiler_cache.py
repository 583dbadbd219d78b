"""The cache of compiled kernels: never stale, never run when damaged, refused when others could write to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from archspec.codegen import cache
from archspec.diagnostics import ArchError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(cache.ENVIRONMENT, str(tmp_path / "kernels"))
    cache.cache_folder.cache_clear()
    yield tmp_path / "kernels"
    cache.cache_folder.cache_clear()


def test_what_is_saved_is_found(folder: Path) -> None:
    key = cache.key_of("source", "f4")
    assert cache.load(key) is None
    cache.save(key, b"machine code")
    assert cache.load(key) == b"machine code"
    assert [p.name for p in folder.iterdir()] == [f"{key}.o"]
    assert folder.stat().st_mode & 0o777 == 0o700


def test_every_part_of_the_content_is_in_the_name() -> None:
    keys = {cache.key_of(*parts) for parts in [("a", "b"), ("ab", ""), ("a", "c"), ("a",), ("b", "a"), (("a", "b"),)]}
    assert len(keys) == 6


@pytest.mark.parametrize("damage", [b"", b"short", b"\0" * 80])
def test_a_damaged_entry_is_not_used(folder: Path, damage: bytes) -> None:
    key = cache.key_of("source")
    cache.save(key, b"machine code")
    (folder / f"{key}.o").write_bytes(damage)
    assert cache.load(key) is None


def test_an_entry_under_another_name_is_not_used(folder: Path) -> None:
    key, other = cache.key_of("one"), cache.key_of("two")
    cache.save(key, b"machine code")
    os.rename(folder / f"{key}.o", folder / f"{other}.o")
    assert cache.load(other) is None


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o720])
def test_a_folder_that_others_can_write_to_is_refused(folder: Path, mode: int) -> None:
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(ArchError, match="others can write to it"):
        cache.cache_folder()


def test_the_cache_can_be_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.ENVIRONMENT, "off")
    cache.cache_folder.cache_clear()
    assert cache.cache_folder() is None
    cache.save("key", b"code")
    assert cache.load("key") is None
    cache.cache_folder.cache_clear()
