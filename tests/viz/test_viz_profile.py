"""A profile laid over the drawing: every second of the kernels is at some node, in each view."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser as driver
import numpy as np
import pytest
from browser import Browser

from archspec.cli import main
from archspec.codegen.shapes import TileShape
from archspec.codegen.threads import shared_text
from archspec.diagnostics import ArchError
from archspec.drawn import drawing, drawn_file
from archspec.pipeline import Stages, plan
from archspec.plan.kernel import Loop
from archspec.profile import profile_data
from archspec.runtime.profile import Profiler
from archspec.spec import loads
from archspec.viz.drawing import View

TEXT = """
let L = 3
dim B, T = 16, D = 8
model net(x[B,T,D]) -> z[B,T,D] {
  e = x |> linear(D) |> dropout(0.1)
  z = e |> repeat L { linear(D) |> tanh } |> lstm(D)
}
train { loss = mean(z^2); batch = 4 }
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    made = driver.start(tmp_path_factory.mktemp("profile"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def profile() -> dict[str, Any]:
    program = loads(TEXT).compile()
    arrays = program.check_arrays({"x": np.random.default_rng(0).standard_normal((4, 16, 8), np.float32)})
    profiler = Profiler(program)
    for _ in range(3):
        profiler.step_rows(arrays, np.arange(4))
    return profile_data(profiler, "f32")


def stages() -> Stages:
    return loads(TEXT).stages()


def seconds(view: View, *kinds: str) -> float:
    return sum(n.seconds for n in view.nodes if not kinds or n.kind in kinds)


def test_every_view_has_all_of_the_time(profile: dict[str, Any]) -> None:
    drawn = drawing(stages(), {}, ("graph", "backward", "plan"), profile=profile)
    whole = sum(c["seconds"] for c in profile["calls"] if c["stage"] == "train")
    assert [seconds(view) for view in drawn.views] == pytest.approx([whole] * 3)
    assert drawn.sizes["B"] == 4 and drawn.step["step"] > whole


def test_the_time_of_a_layer_is_at_the_layer(profile: dict[str, Any]) -> None:
    """Were the kernels of the recurrence all that takes time, the LSTM would have it, but for what is written elsewhere."""
    made = plan(stages().optimised)
    inside = {id(call) for item in made.items if isinstance(item, Loop) for call in item.items}
    numbers = [k for k, call in enumerate(made.calls) if id(call) in inside]
    assert numbers
    calls = [{**c, "seconds": float(c["stage"] == "train" and c["number"] in numbers)} for c in profile["calls"]]
    for view in drawing(stages(), {}, ("graph", "backward"), profile={**profile, "calls": calls}).views:
        assert seconds(view) == pytest.approx(len(numbers))
        assert sum(n.seconds for n in view.nodes if "lstm" in n.parent) > 0.9 * len(numbers)
    assert 0 < seconds(view, "backward") < len(numbers)


def test_flops_of_kernels_are_those_of_the_graph() -> None:
    """What a kernel computes again is counted again, so they may be a few more."""
    _, derived, compiled = drawing(stages(), {}, ("graph", "backward", "plan")).views
    graph, kernels = (sum(n.flops for n in view.nodes) for view in (derived, compiled))
    assert 0.9 * graph < kernels < 1.3 * graph


def test_a_profile_of_another_spec(profile: dict[str, Any]) -> None:
    with pytest.raises(ArchError, match="the profile is not of this spec"):
        drawing(loads(TEXT.replace("L = 3", "L = 2")).stages(), {}, ("graph",), profile=profile)


def test_the_page_shows_times(browser: Browser, profile: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "page.html").write_bytes(drawn_file(".html", stages(), {}, None, profile=profile))
    browser.faults.clear()
    browser.open(tmp_path / "page.html")
    assert browser.run("at('overlay').value") == "seconds"
    assert "step without clocks" in browser.run("at('details').textContent")
    browser.run("reveal(2, views[2].nodes.keys().next().value), details()")
    text = browser.run("at('details').textContent")
    assert "of the step" in text and "of the floor" in text and "threads share" in text
    assert not browser.faults


def test_a_page_without_profile_offers_no_times(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_bytes(drawn_file(".html", stages(), {}, None))
    browser.open(tmp_path / "page.html")
    assert browser.run("[...at('overlay').options].map((o) => o.value)") == ["", "parameters", "flops", "nbytes"]


def test_how_kernels_are_shared_among_threads() -> None:
    made = plan(loads("dim B, F = 40, H = 70\nmodel m(x[B,F]) -> z[B] { z = sum[H](exp(x |> linear(H))) }").stages().optimised)
    texts = [shared_text(kernel, TileShape(8, 2, 16), {"B": 20, "F": 40, "H": 70}) for kernel in made.kernels]
    assert texts == ["9 tiles of 8 × 32", "20 rows"]
    assert shared_text(made.kernels[0], TileShape(8, 2, 16), {}) == ""


def test_the_command_refuses_a_file_that_is_no_profile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.arch").write_text(TEXT)
    (tmp_path / "other.json").write_text("{}")
    assert main(["viz", str(tmp_path / "net.arch"), "--profile", str(tmp_path / "other.json")]) == 1
    assert "is not a profile" in capsys.readouterr().err
