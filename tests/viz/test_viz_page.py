"""The page of `archspec viz` in a real browser, and its formats against names that try to be markup."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import browser as driver
import pytest
from browser import Browser
from support import REPOSITORY

from archspec.cli import main
from archspec.drawn import drawing, drawn_file
from archspec.pipeline import Stages
from archspec.spec import load, loads
from archspec.viz.dot import dot
from archspec.viz.drawing import Box, Drawing, Edge, Node, View, plain
from archspec.viz.page import page

SPECS = sorted(p for p in (REPOSITORY / "specs").glob("*.arch") if load(p).file.models())
HOSTILE = (
    "</script><script>window.pwned=1</script>\"'><img src=x onerror=window.pwned=1>\u202e\u2066javascript:alert(1)\\N<!--\x1b]"
)
DEEP = """
let N = 2, L = 48
dim B, T = 16, D = 8
model net(x[B,T,D]) -> z[B,T,D] { z = x |> repeat L { encoder_block(N, p=0.0, causal=true) } }
"""
FLAT = "dim B, D\nmodel net(x[B,D]) -> y[B,D] {\n  h0 = x\n" + "".join(
    f"  h{k} = tanh(h{k - 1}{f' + h{k - 7}' if k > 7 else ''})\n" for k in range(1, 2001)
)
FLAT += "  y = h2000\n}\n"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    made = driver.start(tmp_path_factory.mktemp("profile"))
    yield made
    made.close()


def stages_of(path: Path) -> Stages:
    spec = load(path)
    return spec.stages(spec.data().dims if "data" in spec.file.sections else None)


def soonest(browser: Browser, path: Path, limit: float) -> float:
    """Milliseconds until a page can be used: of several times the least, as soon as one is below a limit, since machines that
    run tests are busy with other things."""
    times: list[float] = []
    while len(times) < 8 and min(times, default=limit) >= limit:
        browser.open(path)
        times.append(float(browser.run("document.documentElement.dataset.ready")))
    return min(times)


def hostile() -> Drawing:
    """A drawing in which every text is hostile."""
    h = HOSTILE
    nodes = (
        Node("n0", h, h, "input", 0, h, h, line=h, equations=(h,), gradient=(h,), code=h),
        Node("n1", h, "", "kernel", 1, h),
    )
    view = View("graph", h, (Box(h, h, "", 2, h),), nodes, (Edge("n0", "n1", h),))
    return Drawing(h, {h: 3}, (view,), None, {h: h})


# --- in the browser ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_the_page_of_each_spec(browser: Browser, path: Path, tmp_path: Path) -> None:
    """It loads without the network or an error; folds, unfolds, searches, switches views and shows code."""
    (tmp_path / "page.html").write_bytes(drawn_file(".html", stages_of(path), {}, None))
    browser.faults.clear()
    browser.open(tmp_path / "page.html")
    shown = "document.querySelectorAll('#picture g.node').length"
    folded = browser.run(f"document.activeElement.blur(), {shown}")
    browser.press("e")
    unfolded = browser.run(shown)
    browser.press("c")
    assert browser.run(shown) <= folded <= unfolded
    for k in range(4):
        browser.press(str(k + 1))
        assert browser.run(f"document.querySelectorAll('nav button')[{k}].getAttribute('aria-selected')") == "true"
        assert browser.run("document.querySelectorAll('#picture svg').length") == 1
    browser.press("3")
    browser.press("e")
    browser.run("document.querySelector('#picture g.node').dispatchEvent(new MouseEvent('click', {bubbles: true}))")
    assert "def " in browser.run("document.querySelector('#details pre.code').textContent")
    assert not browser.faults


def test_search_leads_to_a_node(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_bytes(drawn_file(".html", stages_of(REPOSITORY / "specs" / "gpt.arch"), {}, None))
    browser.open(tmp_path / "page.html")
    browser.press("/")
    browser.run("at('search').value = 'softmax', search(), at('found').querySelector('button').click()")
    assert browser.run("state.chosen").endswith("softmax")
    assert browser.run("document.querySelector('#picture .chosen').id").endswith("softmax")
    assert "softmax" in browser.run("at('details').textContent")


def test_a_deep_model_is_small_and_quick(browser: Browser, tmp_path: Path) -> None:
    text = drawn_file(".html", loads(DEEP).stages(), {}, None).decode()
    assert len(text.encode()) < 3_000_000 and "×48" in text
    (tmp_path / "page.html").write_text(text)
    assert soonest(browser, tmp_path / "page.html", 1000) < 1000


NESTED = """
let N = 2, L = 3
dim B, T = 4, D = 8
model net(x[B,T,D]) -> z[B,T,D] {
  z = x |> repeat L { encoder_block(N, p=0.0) |> repeat 2 { linear(D) |> tanh } } |> repeat 2 { lstm(D) } |> linear(D)
}
train { loss = mean(z^2) }
"""
SPREAD = """(name) => {
  const view = views.find((v) => v.name === name);
  const seen = () => view.edges.map((e) => e.source + e.target).sort().join();
  state.view = views.indexOf(view);
  const sums = () => SUMS.map((f) => Math.round([...view.nodes.values()].reduce((sum, n) => sum + n[f], 0)));
  const before = [sums(), seen()], made = [];
  for (const times of [3, 2, 2]) {
    const box = [...view.boxes.values()].find((b) => b.times === times);
    spread_out(box);
    made.push([...view.boxes.values()].filter((b) => b.of === box.of).length);
  }
  unfold_all(true);
  const whole = view.edges.every((e) => view.nodes.has(e.source) && view.nodes.has(e.target));
  const nodes = view.nodes.size, spread = JSON.stringify(sums());
  const loops = view.edges.filter((e) => e.source === e.target).length;
  for (const id of [...view.spread]) spread_out([...view.boxes.values()].find((b) => b.of === id));
  const back = JSON.stringify([sums(), seen()]) === JSON.stringify(before);
  return { made, whole, loops, nodes, back, same: spread === JSON.stringify(before[0]) };
}"""


@pytest.mark.parametrize("name", ["graph", "backward", "compiled"])
def test_repeats_unfold_to_their_copies(browser: Browser, tmp_path: Path, name: str) -> None:
    """Three copies, in each two of another, and two beside them: with all their nodes, edges and figures, and back again."""
    drawn = drawing(loads(NESTED).stages(), {"B": 2}, ("graph", "backward", "plan"))
    (tmp_path / "page.html").write_text(page(drawn))
    browser.faults.clear()
    browser.open(tmp_path / "page.html")
    told = browser.run(f"({SPREAD})({name!r})")
    assert sorted(told["made"]) == [2, 3, 6] and told["whole"] and not told["loops"] and told["same"] and told["back"]
    view = next(v for v in drawn.views if v.name == name)
    assert told["nodes"] == sum(node.times for node in view.nodes)
    assert not browser.faults


def test_a_chain_of_copies(browser: Browser, tmp_path: Path) -> None:
    """Each copy reads the one before; the first one reads the input, and what follows reads the last."""
    text = "dim B, D = 4\nmodel net(x[B,D]) -> z[B,D] { h = x |> repeat 5 { linear(D) |> tanh }; z = h |> linear(D) }"
    (tmp_path / "page.html").write_bytes(drawn_file(".html", loads(text).stages(), {}, "graph"))
    browser.open(tmp_path / "page.html")
    browser.run("state.chosen = [...views[0].boxes.values()].find((b) => b.times === 5).id")
    browser.run("document.activeElement.blur()")
    browser.press("x")
    chain = browser.run(
        "drawn_edges(views[0]).map((e) => [e.tail, e.head].map((id) => (views[0].boxes.get(id) || {}).path || id))"
    )
    assert {("net/h/0", "net/h/1"), ("net/h/3", "net/h/4")} <= {tuple(edge) for edge in chain}
    assert len([edge for edge in chain if edge[1] == "net/h/0"]) == 1
    assert browser.run("at('details').textContent").startswith("h/0")
    browser.run("at('copies').click()")
    assert browser.run("[...views[0].boxes.values()].filter((b) => b.times === 5).length") == 1


def test_a_flat_graph_is_drawn(browser: Browser, tmp_path: Path) -> None:
    """Nodes that lie side by side are parted into runs, of which a reader opens what is to be seen."""
    (tmp_path / "page.html").write_bytes(drawn_file(".html", loads(FLAT).stages(), {}, "graph"))
    assert soonest(browser, tmp_path / "page.html", 3000) < 3000
    unfold = "(() => { const start = performance.now(); unfold_all(true); return performance.now() - start })()"
    assert min(browser.run(unfold) for _ in range(3)) < 3000
    assert 300 < browser.run("document.querySelectorAll('#picture g.node').length") <= 400
    assert browser.run("[...views[0].nodes.values()].filter((n) => n.path === 'net').length") == 2000
    browser.run("reveal(0, [...views[0].nodes.values()].find((n) => n.label === 'h1999').id)")
    assert "h1999" in browser.run("document.querySelector('#picture .chosen').textContent")


def test_hostile_names_are_text(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(page(hostile()))
    browser.faults.clear()
    browser.open(tmp_path / "page.html")
    browser.press("e")
    browser.run("document.querySelector('#picture g.node').dispatchEvent(new MouseEvent('click', {bubbles: true}))")
    assert browser.run("window.pwned") is None and not browser.faults
    assert (
        browser.run("document.querySelectorAll('img, a, iframe, body script:not([type]):not(:nth-last-child(-n+2))').length")
        == 0
    )
    assert browser.run("[...document.querySelectorAll('*')].every((e) => [...e.attributes].every((a) => !/^on/i.test(a.name)))")
    assert "<img src=x" in browser.run("at('details').textContent")


# --- formats -------------------------------------------------------------------------------------------------------------


def test_nothing_hostile_is_in_the_page_as_markup() -> None:
    text = page(hostile())
    assert text.count("<script") == 3 and text.count("</script>") == 3
    assert "script-src 'sha256-" in text and "default-src 'none'" in text
    own = text[: text.index("<script>")]  # what stands before the two scripts of archspec
    assert "<img" not in own and "\u202e" not in own and "\x1b" not in own
    assert not any(re.search(r"\b(src|href|on\w+)\s*=", tag) for tag in re.findall(r"<[a-z][^>]*>", own))


def test_nothing_hostile_is_in_dot() -> None:
    text = dot(hostile().views[0])
    assert "\u202e" not in text and "\x1b" not in text
    assert all(line.count('"') - line.count('\\"') - line.count('\\\\"') in range(0, 99, 2) for line in text.splitlines())
    assert not re.search(r"label=<|URL|href", re.sub(r'"(\\.|[^"\\])*"', "", text))


def test_nothing_hostile_is_in_svg() -> None:
    pytest.importorskip("py_mini_racer", reason="mini-racer is not installed")
    from archspec.viz.engine import svg

    text = svg(dot(hostile().views[0]))
    assert "<script" not in text and "<img" not in text and "<a " not in text and "href" not in text
    assert "&lt;script&gt;" in text or "&lt;/script&gt;" in text


def test_lengths_of_rows_stand_aside() -> None:
    text = "dim B, T?, V = 9\nmodel m(w[B,T]: V) -> z[B] { h = w |> embed(4)\n  z = sum[4](last[T](h)^2) }\n"
    view = drawing(loads(text).stages(), {}, ("graph",)).views[0]
    names = {node.id: node.label for node in view.nodes}
    aside = {(names[e.source], names[e.target]) for e in view.edges if e.aside}
    assert ("T", "subtract") in aside  # T - 1, the place of the last
    assert not {names[e.source] for e in view.edges if not e.aside} & {"T", "subtract"}
    assert dot(view).count("constraint=false") == len(aside)


def test_plain() -> None:
    assert plain("größe [B, T]") == "größe [B, T]"
    assert plain("a\u202eb\x00") == "a\\u{202e}b\\u{0}"


def test_every_format_from_one_drawing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = REPOSITORY / "specs" / "digits.arch"
    for suffix in (".html", ".dot", ".json"):
        assert main(["viz", str(spec), "-o", str(tmp_path / f"graph{suffix}")]) == 0
    data = json.loads((tmp_path / "graph.json").read_text())
    assert [view["title"] for view in data["views"]] == ["As written", "Differentiated", "Compiled"]
    labels = {node["label"] for node in data["views"][0]["nodes"]}
    assert {"x", "W", "h", "z"} <= labels
    assert all(f'label="{label}' in (tmp_path / "graph.dot").read_text() for label in labels)
    assert main(["viz", str(spec), "-o", str(tmp_path / "graph.bmp")]) == 2
    assert "`.bmp` is not a format" in capsys.readouterr().err


def picture(width: int, height: int) -> str:
    text = f'<text font-family="Helvetica,sans-Serif" x="5" y="{height - 5}">x</text>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}pt" height="{height}pt">{text}</svg>'


def size_of(png: bytes) -> tuple[int, int]:
    """What the head of a PNG says."""
    assert png.startswith(b"\x89PNG")
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def test_png() -> None:
    pytest.importorskip("resvg_py", reason="resvg-py is not installed")
    from archspec.viz.engine import MOST_PIXELS, png

    assert size_of(png(picture(90, 45))) == (240, 120)
    width, height = size_of(png(picture(40_000, 4_000)))
    assert 0.9 * MOST_PIXELS < width * height < 1.1 * MOST_PIXELS


@pytest.mark.parametrize(
    ("suffix", "package", "module"), [("svg", "mini-racer", "py_mini_racer"), ("png", "resvg-py", "resvg_py")]
)
def test_a_missing_package_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, suffix: str, package: str, module: str
) -> None:
    pytest.importorskip("py_mini_racer", reason="mini-racer is not installed")
    monkeypatch.setitem(sys.modules, module, None)
    spec = REPOSITORY / "specs" / "linear.arch"
    assert main(["viz", str(spec), "-o", str(tmp_path / f"graph.{suffix}")]) == 2
    told = capsys.readouterr().err
    assert f"{suffix.upper()} needs the package {package}" in told and f"archspec[{suffix}]" in told


def test_figures_of_the_drawing_are_those_of_the_table() -> None:
    stages = stages_of(REPOSITORY / "specs" / "gpt.arch")
    drawn = drawing(stages, {}, ("graph", "backward", "plan"))
    counts = [sum(node.parameters for node in view.nodes) for view in drawn.views]
    assert counts[:2] == [28_352, 28_352]
    assert drawn.arena is not None
    assert max(b.offset + b.nbytes for b in drawn.arena.bars) == drawn.arena.total
    items = range(len(drawn.arena.items))
    alive = max(sum(b.nbytes for b in drawn.arena.bars if b.first <= k <= b.last) for k in items)
    assert alive == drawn.arena.lower_bound
