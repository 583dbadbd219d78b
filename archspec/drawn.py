"""`archspec viz`: a model as a drawing, in the format that a file's name says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from archspec.diagnostics import ArchError, Diagnostic, did_you_mean
from archspec.pipeline import PRECISIONS, Stages, plan
from archspec.viz.draw import VIEWS, draw
from archspec.viz.drawing import Drawing
from archspec.viz.table import table

if TYPE_CHECKING:
    from archspec.plan import Plan

FLOAT_NBYTES = {"f32": 4, "f64": 8}


def drawing(stages: Stages, given: Mapping[str, int], views: tuple[str, ...], precision: str = "f32") -> Drawing:
    """The views of a model, a batch for every axis that neither the spec nor `given` has a size for."""
    from archspec.inspect import open_sizes

    table(stages, given)
    sizes = {**open_sizes(stages.graph, stages.training.batch), **given}
    if "plan" not in views:
        return draw(stages, sizes, views)
    made = plan(stages.optimised)
    return draw(stages, sizes, views, made, kernel_sources(made, precision), FLOAT_NBYTES[precision])


def kernel_sources(made: Plan, precision: str) -> dict[str, str]:
    """The generated code of each kernel by its name."""
    from archspec.codegen.build import product_shape
    from archspec.codegen.source import kernel_source

    p = PRECISIONS[precision]
    return {k.name: kernel_source(k, p, product_shape(k, p)) for k in made.kernels}


def _html(drawn: Drawing) -> str:
    from archspec.viz.page import page

    return page(drawn)


def _svg(drawn: Drawing) -> str:
    from archspec.viz.dot import dot
    from archspec.viz.engine import svg

    return svg(dot(drawn.views[0]))


def _dot(drawn: Drawing) -> str:
    from archspec.viz.dot import dot

    return dot(drawn.views[0])


def _json(drawn: Drawing) -> str:
    return json.dumps(drawn.data(), ensure_ascii=False, indent=1) + "\n"


FORMATS: dict[str, Callable[[Drawing], str]] = {".html": _html, ".svg": _svg, ".dot": _dot, ".json": _json}


def drawn_text(suffix: str, stages: Stages, given: Mapping[str, int], stage: str | None, precision: str = "f32") -> str:
    """A model in the format of a suffix. A page has all views where no `stage` is asked for; SVG and DOT have one."""
    if suffix not in FORMATS:
        hints = did_you_mean(suffix, FORMATS)
        raise ArchError(Diagnostic("U01", f"`{suffix}` is not a format that drawings are written in", hints=hints))
    every = tuple(VIEWS) if suffix in (".html", ".json") else ("graph",)
    return FORMATS[suffix](drawing(stages, given, (stage,) if stage else every, precision))
