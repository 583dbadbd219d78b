"""How a spec, a stage and a run show themselves in a notebook: a small page of its own in a frame that runs no script.

The frame keeps the page's style from the notebook's and lets nothing in it load or run.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from archspec.diagnostics import ArchError
from archspec.records import record
from archspec.viz.drawing import plain
from archspec.viz.page import asset, whole_page

if TYPE_CHECKING:
    from archspec.running import Run
    from archspec.spec import Spec

TALLEST = 640  # pixels of a frame; what is longer is scrolled
DRAWN = ("graph", "backward", "plan")
MOST_DRAWN = 400  # lines of a stage that is drawn; what has more is listed
MOST_CHARACTERS = 200_000


def frame(page: str, height: int) -> str:
    """A page as an element of another one."""
    style = f"width:100%;height:{min(height, TALLEST)}px;border:0"
    return f'<iframe sandbox srcdoc="{html.escape(page)}" style="{style}"></iframe>'


def _page(title: str, body: str) -> str:
    return whole_page(title, asset("report.css"), body)


def _shown(text: str) -> str:
    return html.escape(plain(text))


def _text(text: str) -> str:
    cut = f"{text[:MOST_CHARACTERS]}\n…" if len(text) > MOST_CHARACTERS else text
    return f'<div class="scroll"><pre>{_shown(cut)}</pre></div>'


# --- a spec ------------------------------------------------------------------------------------------------------


def spec_html(spec: Spec) -> str:
    """Its text and, for each model, the table of its blocks; or what is wrong with it."""
    text = spec.source.text
    parts = [f"<h1>{_shown(spec.source.path)}</h1>", _text(text)]
    for block in spec.file.models():
        parts.append(_model(spec, block.name))
    return frame(
        _page(spec.source.path, "\n".join(parts)), 140 + 20 * text.count("\n") + 28 * sum(p.count("<tr>") for p in parts)
    )


def _model(spec: Spec, name: str) -> str:
    from archspec.viz.table import table, table_json

    try:
        return _table(table_json(table(spec.stages(model=name), {})))
    except ArchError as error:
        return _text(str(error))


def _table(found: Mapping[str, Any]) -> str:
    rows = "".join(_row(row) for row in found["blocks"])
    head = "<tr><th>block</th><th>result</th><th>parameters</th><th>FLOPs</th></tr>"
    total = (
        f"<p>{_shown(found['model'])}: {_figure(found['parameters'])} parameters, {_figure(found['flops'])} FLOPs forward</p>"
    )
    return f'{total}<div class="table"><table>{head}{rows}</table></div>'


def _row(row: Mapping[str, Any]) -> str:
    times = f" ×{row['times']}" if row["times"] > 1 else ""
    name = " " * 3 * row["depth"] + row["path"].rpartition("/")[2] + times
    result = f"[{', '.join(row['result'])}]" if row["result"] is not None else ""
    cells = (_shown(result), _figure(row["parameters"]), _figure(row["flops"]))
    return f"<tr><th>{_shown(name)}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _figure(size: Mapping[str, Any]) -> str:
    return f"{size['value']:,}" if size["value"] is not None else _shown(size["formula"])


# --- a stage -----------------------------------------------------------------------------------------------------


@record
class View:
    """A stage of a model to look at. Made by `Spec.view`."""

    spec: Spec
    stage: str
    dims: Mapping[str, int] | None = None
    model: str | None = None
    precision: str = "f32"

    @cached_property
    def svg(self) -> str:
        """The drawing of `graph`, `backward` or `plan`. Raises ArchError where what draws it is not installed."""
        from archspec.drawn import drawn_text

        return drawn_text(".svg", self.spec.stages(self.dims, self.model), {}, self.stage, self.precision)

    @cached_property
    def text(self) -> str:
        """The stage as `archspec show --stage` prints it."""
        from archspec.inspect import stage_text

        return stage_text(self.spec, self.stage, self.dims, self.model, self.precision)

    def _repr_html_(self) -> str:
        title = f"{self.spec.source.path}: {self.stage}"
        return frame(_page(title, f"<h1>{_shown(title)}</h1>{self._picture() or _text(self.text)}"), TALLEST)

    def _picture(self) -> str:
        """The drawing, where there can be one that is not too large to read."""
        if self.stage not in DRAWN or self.text.count("\n") > MOST_DRAWN:
            return ""
        try:
            return f'<div class="scroll">{self.svg}</div>'
        except ArchError:
            return ""


# --- a run -------------------------------------------------------------------------------------------------------


def run_html(run: Run) -> str:
    """Its report."""
    from archspec.viz.report import RunRecord, read_run, report

    try:
        found = read_run(run.folder)
    except ArchError:
        final = {"final": True, "interrupted": run.interrupted, **run.metrics}
        found = RunRecord(run.folder.name, tuple(run.history), final, {})
    return frame(report([found]), TALLEST)
