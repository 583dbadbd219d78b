"""What a notebook shows: pages in frames that run nothing, of a spec, of its stages, of a run."""

from __future__ import annotations

import html
import pickle
import re
from pathlib import Path

import networkx
import pytest
from browser import start
from support import REPOSITORY

import archspec
from archspec import notebook

DIGITS = REPOSITORY / "specs" / "digits.arch"
SMALL = """
dim B, F = 3, K = 2
model m(x[B,F], y[B]: K) -> z[B,K] { z = x |> linear(K) }  # <script>alert(1)</script>
data {
  source = csv("small.csv")
  x[B,F] = source["a", "b", "c"]
  y[B]: K = source["kind"]
}
train {
  loss  = cross_entropy(z, y)
  steps = 2
}
"""


def inside(element: str) -> str:
    """The page in a frame."""
    found = re.fullmatch(r'<iframe sandbox srcdoc="([^"]*)" style="[^"<>]*"></iframe>', element)
    assert found
    page = html.unescape(found[1])
    assert "script-src 'none'" in page and "<script" not in page and "\u202e" not in page
    return page


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> archspec.Run:
    folder = tmp_path_factory.mktemp("small")
    (folder / "small.csv").write_text("a,b,c,kind\n" + "1,2,3,x\n3,2,1,y\n" * 5)
    return archspec.run(archspec.loads(SMALL, folder=folder, name="<b>\u202e"), out=folder / "run")


def test_a_spec_shows_its_text_and_its_blocks() -> None:
    page = inside(archspec.load(DIGITS)._repr_html_())
    assert "h = x |&gt; linear(H, init=he) |&gt; relu" in page
    assert ">classify</th>" in page and "parameters" in page and len(page) < 30_000


def test_every_model_of_a_file() -> None:
    text = "dim B, D = 2\nmodel a(x[B,D]) -> z[B,D] { z = x }\nmodel b(x[B,D]) -> z[B,D] { z = x |> linear(5) }\n"
    page = inside(archspec.loads(text)._repr_html_())
    assert "a: 0 parameters" in page and "error[" in page  # b has a mistake, and it is said


def test_stages_show_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = archspec.load(DIGITS)
    dims = {"F": 64, "K": 10}
    assert "classify/h" in inside(spec.view("optimised", dims)._repr_html_())
    monkeypatch.setattr(notebook.View, "svg", property(lambda view: "<svg>drawn</svg>"))
    assert "<svg>drawn</svg>" in inside(spec.view("plan", dims)._repr_html_())
    assert "<svg>drawn</svg>" not in inside(spec.view("code", dims)._repr_html_())


def test_a_graph_is_one_of_networkx_and_shows_itself() -> None:
    graph = archspec.load(DIGITS).graph("plan", {"F": 64, "K": 10})
    assert isinstance(graph, networkx.MultiDiGraph) and graph.number_of_nodes() == 9
    assert inside(graph._repr_html_())
    assert pickle.loads(pickle.dumps(graph.subgraph([0, 1]).copy())).number_of_nodes() == 2
    assert networkx.MultiDiGraph(graph).number_of_edges() == graph.number_of_edges()


def test_a_run_shows_its_report(run: archspec.Run) -> None:
    page = inside(run._repr_html_())
    assert "train.loss" in page and "<svg" in page
    for path in run.folder.iterdir():
        path.unlink()
    assert "train.loss" in inside(run._repr_html_())


def test_frames_run_nothing_in_a_browser(run: archspec.Run, tmp_path: Path) -> None:
    """The notebook's own page is not touched by what is shown in it."""
    browser = start(tmp_path / "profile")
    try:
        spec = archspec.loads(SMALL, name="<script>parent.document.title = 'taken'</script>")
        body = "".join(f"<div>{shown._repr_html_()}</div>" for shown in (spec, spec.view("code"), run))
        path = tmp_path / "notebook.html"
        path.write_text(f'<!doctype html><html data-ready="1"><title>mine</title><body>{body}</body></html>')
        browser.open(path, width=700)
        assert browser.run("document.title") == "mine"
        assert browser.run("[...document.querySelectorAll('iframe')].every((f) => f.offsetHeight > 100)")
        assert not browser.faults
    finally:
        browser.close()
