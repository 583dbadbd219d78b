"""Every stage as people see it: as text, held by golden files, and as a networkx graph."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from helpers import DIMS, PERCEPTRON

from archspec.diagnostics import ArchError
from archspec.inspect import stage_text
from archspec.pipeline import STAGES
from archspec.spec import loads

GRAPHS = ("graph", "backward", "optimised")


@pytest.mark.parametrize("stage", ["syntax", *GRAPHS, "plan"])
def test_the_text_of_a_stage(stage: str, golden: Callable[[str, str], None]) -> None:
    golden(f"perceptron.{stage}.txt", stage_text(loads(PERCEPTRON), stage, DIMS))


def test_the_code_ends_with_the_calls_of_a_step() -> None:
    text = stage_text(loads(PERCEPTRON), "code", DIMS)
    assert "def forward():" in text and "def backward():" in text
    assert text.index("def h(") < text.index("def forward():") < text.index("def backward():")


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_is_a_networkx_graph(stage: str) -> None:
    graph = loads(PERCEPTRON).graph(stage, DIMS)
    assert graph.is_multigraph() and graph.is_directed() and graph.number_of_nodes() > 5
    for _, data in graph.nodes(data=True):
        assert {"name", "op", "shape", "span"} <= data.keys()


def test_nodes_know_their_names_shapes_and_lines() -> None:
    graph = loads(PERCEPTRON).graph("graph", DIMS)
    nodes = {data["name"]: data for _, data in graph.nodes(data=True)}
    assert nodes["net/h"]["shape"] == ("B", "H") and nodes["net/h"]["sizes"] == (None, 6)
    assert nodes["net/h"]["span"][1] == 6
    assert nodes["net/h/linear/W"]["op"] == "weight"
    backward = loads(PERCEPTRON).graph("backward", DIMS)
    assert {data["role"] for _, data in backward.nodes(data=True)} == {"forward", "backward"}


def test_an_unknown_stage_is_refused() -> None:
    with pytest.raises(ArchError, match="did you mean `optimised`"):
        loads(PERCEPTRON).graph("optimized")
