"""DOT to SVG by the layout engine that the page has too, run by the JavaScript engine of the package mini-racer; SVG to PNG by
resvg, which the package resvg-py brings along."""

from __future__ import annotations

import json
import math
import re

from archspec.diagnostics import ArchError, Diagnostic
from archspec.viz.page import asset

SECONDS = 60
DPI = 96.0
ZOOM = 2.0  # pixels for each of the drawing's, which is readable on fine screens and in print
MOST_PIXELS = 4e7  # a larger picture is drawn smaller
FONTS = ("Helvetica", "Arial", "Liberation Sans", "DejaVu Sans", "sans-serif")
PROBE = '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20">{}</svg>'
PROBE_TEXT = '<text x="2" y="16" font-family="Helvetica">M</text>'


def svg(dot: str) -> str:
    """The drawing as one SVG element, without Graphviz's titles and comments."""
    try:
        from py_mini_racer import MiniRacer
    except ImportError:
        hints = ("pip install archspec[svg]", "or draw an .html page, which has the engine in it, or a .dot file")
        raise ArchError(Diagnostic("U01", "SVG needs the package mini-racer", hints=hints)) from None
    with MiniRacer() as machine:
        machine.eval(asset("shim.js"))
        machine.eval(asset("viz-global.js"))
        drawn = machine.eval(f"Viz.instance().then((viz) => viz.renderString({json.dumps(dot)}, {{ format: 'svg' }}))")
        text = str(drawn.get(timeout=SECONDS))
    text = re.sub(r"<!--.*?-->|<title>.*?</title>\n?", "", text[text.index("<svg") :], flags=re.DOTALL)
    return re.sub(r"\n+", "\n", text)


def png(svg: str) -> bytes:
    """The drawing as a picture on white."""
    try:
        from resvg_py import svg_to_bytes
    except ImportError:
        hints = ("pip install archspec[png]", "or draw an .html page, which needs nothing, or an .svg")
        raise ArchError(Diagnostic("U01", "PNG needs the package resvg-py", hints=hints)) from None
    if svg_to_bytes(svg_string=PROBE.format("")) == svg_to_bytes(svg_string=_with_fonts(PROBE.format(PROBE_TEXT))):
        hints = ("install a font, such as the system's package of DejaVu or Liberation", "or draw an .html page or an .svg")
        raise ArchError(Diagnostic("U01", "PNG needs a font, and this machine has none", hints=hints))
    return bytes(svg_to_bytes(svg_string=_with_fonts(svg), background="white", dpi=DPI, zoom=_zoom(svg)))


def _with_fonts(svg: str) -> str:
    """The same with fonts to take where a machine has no Helvetica."""
    return svg.replace('font-family="Helvetica', f'font-family="{", ".join(FONTS)}')


def _zoom(svg: str) -> float:
    size = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', svg)
    pixels = float(size[1]) * float(size[2]) * (DPI / 72) ** 2 if size else 1.0
    return min(ZOOM, math.sqrt(MOST_PIXELS / max(pixels, 1.0)))
