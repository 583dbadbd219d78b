"""The report and the page of watched tensors in a real browser: no error, nothing fetched, nothing wider than the screen."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import REPOSITORY
from trained_helpers import LAYERS, trained

from archspec.cli import main

sys.path.insert(0, str(REPOSITORY / "tests" / "viz"))
from browser import Browser, start


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    opened = start(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


def visit(browser: Browser, path: Path, width: int) -> None:
    browser.faults.clear()
    browser.send("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
    browser.send("Page.navigate", url=path.resolve().as_uri())
    browser.wait("document.readyState === 'complete' && !!document.querySelector('h1')")
    assert not browser.faults
    assert browser.run("document.documentElement.scrollWidth") <= width


def test_pages_fit_large_and_small_screens(browser: Browser, tmp_path: Path) -> None:
    run = trained(tmp_path / "spec", LAYERS)
    page = tmp_path / "seen.html"
    long = " ".join(["the", "food", "was", "incomprehensibilities"] * 12)
    assert main(["watch", str(run.folder), "--input", long, "--input", "it was good", "-o", str(page)]) == 0
    for width in (1280, 360):
        visit(browser, page, width)
        assert browser.run("document.querySelectorAll('svg.heat').length") == 6
        visit(browser, run.folder / "report.html", width)
        assert browser.run("document.querySelectorAll('figure svg polyline, figure svg circle').length") >= 3


def test_cells_have_their_colours(browser: Browser, tmp_path: Path) -> None:
    """The policy of the page lets its own style through."""
    run = trained(tmp_path / "spec", LAYERS)
    page = tmp_path / "seen.html"
    assert main(["watch", str(run.folder), "--input", "it was good", "-o", str(page)]) == 0
    visit(browser, page, 800)
    fill = browser.run("getComputedStyle(document.querySelector('svg.heat rect.warm')).fill")
    assert fill not in ("rgb(0, 0, 0)", "none")
