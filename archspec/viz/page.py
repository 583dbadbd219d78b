"""A drawing as one HTML page that needs nothing else: the layout engine, the script and the data lie in it.

Whatever comes from a spec is data. It lies in a block of JSON, in which `<`, `>` and `&` are written as escapes, and the script
makes text nodes of it. A content security policy lets no script run but the two that are part of archspec, by their hashes, and
nothing be loaded.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from functools import cache
from importlib.resources import files

from archspec.viz.drawing import Drawing, plain


@cache
def asset(name: str) -> str:
    """A file of `assets/`."""
    return files("archspec.viz").joinpath("assets", name).read_text(encoding="utf-8")


def page(drawing: Drawing) -> str:
    """The page of a drawing."""
    data = f'<script type="application/json" id="drawing">{data_block(drawing.data())}</script>'
    script = "\n".join(asset(name) for name in ("copies.js", "memory.js", "page.js"))
    return whole_page(drawing.title, asset("page.css"), f"{asset('page.html')}{data}", (asset("viz-global.js"), script))


def whole_page(title: str, style: str, body: str, scripts: tuple[str, ...] = ()) -> str:
    """A page with its own style and scripts, and a policy that refuses all others."""
    shown = html.escape(plain(title))
    head = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{_policy(style, scripts)}">'
    head += f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{shown}</title><style>{style}</style>'
    run = "".join(f"<script>{script}</script>" for script in scripts)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{body}\n{run}</body></html>\n'


def data_block(data: object) -> str:
    """JSON that can stand inside of a script element: it holds no markup."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _policy(style: str, scripts: tuple[str, ...]) -> str:
    allowed = " ".join([*(_hash(s) for s in scripts), "'wasm-unsafe-eval'"]) if scripts else "'none'"
    return f"default-src 'none'; style-src {_hash(style)}; script-src {allowed}; base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
