"""What a model made of single rows, as parts of a page: confusions, the worst rows, the pictures of watched tensors.

The parts are made from a run's examples.json, which may come from a stranger: whatever is in it becomes text, and a record of
another form raises ValueError, TypeError, KeyError or AttributeError.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from archspec.viz.drawing import plain
from archspec.viz.heatmap import Map, Seen, Watched, grey_svg, picture_svg
from archspec.viz.page import asset, whole_page

Record = Mapping[str, Any]
SHADES = 9


def seen_page(every: Sequence[Seen]) -> str:
    """Everything that was seen as one page that needs nothing else."""
    body = "\n".join(seen_part(seen) for seen in every)
    return whole_page("watched tensors", asset("report.css"), f"<h1>Watched tensors</h1>\n{body}")


def seen_part(seen: Seen) -> str:
    """One row with its tensors."""
    notes = "".join(f"<p>{shown(note)}</p>" for note in seen.notes)
    return f'<section class="seen"><h3>{shown(seen.title)}</h3>{notes}{"".join(map(_tensor, seen.watched))}</section>'


def _tensor(tensor: Watched) -> str:
    scale = f"{tensor.low:.3g} to {tensor.high:.3g}{', ' if tensor.note else ''}{tensor.note}"
    head = f"<h4>{shown(tensor.name)} <small>{shown(tensor.shape)}, {shown(scale)}</small></h4>"
    return f'{head}<div class="scroll">{picture_svg(tensor)}</div>'


def shown(value: object) -> str:
    """Anything as text of a page."""
    text = value if isinstance(value, str) else f"{value:.6g}" if isinstance(value, float) else str(value)
    return html.escape(plain(text))


def examples_parts(record: Record) -> list[str]:
    """The parts of one run's page."""
    if not record:
        return []
    where = f"the {record['part']} part"
    parts = [confusion_part(record, where)]
    if record["worst"]:
        few = f", of {int(record['examined']):,} that were looked at" if record["examined"] < record["rows"] else ""
        parts.append(f"<h2>Largest losses <small>rows of {shown(where)}, each by itself{few}</small></h2>")
        parts += [_worst(row) for row in record["worst"]]
    if record.get("watched"):
        parts.append(f"<h2>Watched tensors <small>the first rows of {shown(where)}</small></h2>")
        parts += [seen_part(_seen(seen)) for seen in record["watched"]]
    return [part for part in parts if part]


# --- what is confused --------------------------------------------------------------------------------------------


def confusion_part(record: Record, where: str) -> str:
    """How often each label was predicted for each: a table whose rows are what is right."""
    confusion = record.get("confusion")
    if not confusion:
        return ""
    body = _matrix(confusion) if "counts" in confusion else _pairs(confusion)
    return f'<section class="seen"><h2>Confusion <small>{shown(where)}</small></h2><div class="scroll">{body}</div></section>'


def _matrix(confusion: Record) -> str:
    labels = [shown(label) for label in confusion["labels"]]
    head = "".join(f"<th>{label}</th>" for label in labels)
    rows = "".join(
        _matrix_row(i, label, counts) for i, (label, counts) in enumerate(zip(labels, confusion["counts"], strict=True))
    )
    corner = "<th><small>right ↓ predicted →</small></th>"
    return f'<table class="confusion"><tr>{corner}{head}<th><small>found</small></th></tr>{rows}</table>'


def _matrix_row(number: int, label: str, counts: Sequence[int]) -> str:
    total = sum(counts)
    cells = "".join(f'<td class="q{_shade(c, total)}{" d" * (j == number)}">{int(c) or "·"}</td>' for j, c in enumerate(counts))
    found = f"{counts[number] / total:.1%}" if total else "–"
    return f"<tr><th>{label}</th>{cells}<td><small>{found}</small></td></tr>"


def _shade(count: int, total: int) -> int:
    """From 0 to 9 by the share of the row."""
    return 0 if count <= 0 or total <= 0 else 1 + min(SHADES - 1, int(SHADES * count / total))


def _pairs(confusion: Record) -> str:
    head = f"<p>{int(confusion['right']):,} of {int(confusion['all']):,} right. The most frequent confusions:</p>"
    rows = "".join(f"<tr><td>{shown(a)}</td><td>{shown(b)}</td><td>{int(n):,}</td></tr>" for a, b, n in confusion["pairs"])
    return f"{head}<table><tr><th>right</th><th>predicted</th><th>times</th></tr>{rows}</table>"


# --- the worst rows ----------------------------------------------------------------------------------------------


def _worst(row: Record) -> str:
    loss = f"<h3>row {int(row['row']):,} <small>loss {float(row['loss']):.4g}</small></h3>"
    inputs = row["inputs"]
    predicted, right = row["predicted"], row.get("actual")
    body = _along(inputs, predicted, right) or "".join(_input(given, len(inputs) > 1) for given in inputs) + _verdict(
        predicted, right
    )
    return f'<article class="row">{loss}{body}</article>'


def _along(inputs: Sequence[Record], predicted: Record, right: Record | None) -> str:
    """A label for every word: the words with their labels below, where both are as many."""
    said, true = predicted.get("labels"), (right or {}).get("labels")
    texts = [given for given in inputs if "entries" in given]
    if not said or not true or len(true) == 1 or len(texts) != 1 or len(texts[0]["entries"]) != len(true):
        return ""
    words = zip(texts[0]["entries"], true, said, strict=False)
    return f'<p class="words">{"".join(_word(*one) for one in words)}</p>'


def _word(word: str, true: str, said: str) -> str:
    below = shown(true) if true == said else f'<b class="wrong">{shown(said)}</b> <s>{shown(true)}</s>'
    return f"<span>{shown(_visible(word))}<small>{below}</small></span>"


def _visible(entry: str) -> str:
    return entry.replace(" ", "␣").replace("\n", "⏎") if isinstance(entry, str) else str(entry)


def _verdict(predicted: Record, right: Record | None) -> str:
    lines = f"<dt>predicted</dt><dd>{_said(predicted)}</dd>"
    return f"<dl>{lines}{f'<dt>right</dt><dd>{_said(right)}</dd>' if right else ''}</dl>"


def _said(said: Record) -> str:
    if "picture" in said:
        return _picture(said["picture"])
    if "cells" in said:
        return _cells(said)
    labels, shares = said["labels"], said.get("probabilities")
    if len(labels) == 1 and shares:
        return f"<b>{shown(labels[0])}</b> <small>{float(shares[0]):.1%}</small>"
    return f"<b>{' '.join(shown(_visible(label)) for label in labels)}</b>"


def _input(given: Record, named: bool) -> str:
    name = f"<small>{shown(given['name'])}</small> " if named else ""
    if "entries" in given:
        return f"<p>{name}{shown(str(given['by']).join(map(str, given['entries'])))}{_more(given)}</p>"
    return f"<div>{name}{_picture(given['picture']) if 'picture' in given else _cells(given)}</div>"


def _cells(given: Record) -> str:
    cells = given["cells"]
    if len(cells) == 1:
        return f"<b>{shown(_number(cells[0][1]))}</b>"
    return "".join(f'<span class="cell"><small>{shown(n)}</small> {shown(_number(v))}</span> ' for n, v in cells) + _more(given)


def _number(value: object) -> object:
    return f"{value:.6g}" if isinstance(value, float) else value


def _more(given: Record) -> str:
    return f" <small>and {int(given['more']):,} more</small>" if given.get("more") else ""


def _picture(rows: Sequence[Sequence[float]]) -> str:
    return grey_svg(np.array(rows, np.float64))


# --- watched tensors ---------------------------------------------------------------------------------------------


def _seen(record: Record) -> Seen:
    tensors = tuple(
        Watched(str(t["name"]), str(t["shape"]), tuple(_map(m) for m in t["maps"]), str(t["note"])) for t in record["tensors"]
    )
    return Seen(str(record["input"]), tuple(map(str, record["notes"])), tensors)


def _map(record: Record) -> Map:
    values = tuple(tuple(float(v) for v in row) for row in record["values"])
    rows, columns = (tuple(map(str, record[key])) for key in ("rows", "columns"))
    if len(rows) != len(values) or any(len(row) != len(columns) for row in values):
        raise ValueError("a map's labels are not as many as its places")
    return Map(str(record["title"]), rows, columns, values)
