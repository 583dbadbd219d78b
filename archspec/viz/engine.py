"""DOT to SVG by the layout engine that the page has too, run by the JavaScript engine of the package mini-racer."""

from __future__ import annotations

import json
import re

from archspec.diagnostics import ArchError, Diagnostic
from archspec.viz.page import asset

SECONDS = 60


def svg(dot: str) -> str:
    """The drawing as one SVG element, without Graphviz's titles and comments."""
    try:
        from py_mini_racer import MiniRacer
    except ImportError:
        hints = ("pip install mini-racer", "or draw an .html page, which has the engine in it, or a .dot file")
        raise ArchError(Diagnostic("U01", "SVG needs the package mini-racer", hints=hints)) from None
    with MiniRacer() as machine:
        machine.eval(asset("shim.js"))
        machine.eval(asset("viz-global.js"))
        drawn = machine.eval(f"Viz.instance().then((viz) => viz.renderString({json.dumps(dot)}, {{ format: 'svg' }}))")
        text = str(drawn.get(timeout=SECONDS))
    text = re.sub(r"<!--.*?-->|<title>.*?</title>\n?", "", text[text.index("<svg") :], flags=re.DOTALL)
    return re.sub(r"\n+", "\n", text)
