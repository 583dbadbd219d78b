"""What a model made of single rows, as parts of a page: the pictures of watched tensors."""

from __future__ import annotations

import html
from collections.abc import Sequence

from archspec.viz.drawing import plain
from archspec.viz.heatmap import Seen, Watched, picture_svg
from archspec.viz.page import asset, whole_page


def seen_page(every: Sequence[Seen]) -> str:
    """Everything that was seen as one page that needs nothing else."""
    body = "\n".join(seen_part(seen) for seen in every)
    return whole_page("watched tensors", asset("report.css"), f"<h1>Watched tensors</h1>\n{body}")


def seen_part(seen: Seen) -> str:
    """One row with its tensors."""
    notes = "".join(f"<p>{_shown(note)}</p>" for note in seen.notes)
    return f'<section class="seen"><h2>{_shown(seen.title)}</h2>{notes}{"".join(map(_tensor, seen.watched))}</section>'


def _tensor(shown: Watched) -> str:
    scale = f"{shown.low:.3g} to {shown.high:.3g}{', ' if shown.note else ''}{shown.note}"
    head = f"<h3>{_shown(shown.name)} <small>{_shown(shown.shape)}, {_shown(scale)}</small></h3>"
    return f'{head}<div class="scroll">{picture_svg(shown)}</div>'


def _shown(text: str) -> str:
    return html.escape(plain(text))
