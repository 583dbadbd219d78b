"""`archspec generate`: what it takes and what it prints."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from archspec.diagnostics import ArchError, Diagnostic, visible
from archspec.trained.command import utf8

if TYPE_CHECKING:
    from archspec.trained.examples import Example
    from archspec.trained.generate import Beginning, Wanted
    from archspec.trained.saved import SavedRun
    from archspec.trained.speaker import Speaker


def generate_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="the folder of a run")
    parser.add_argument("--prompt", type=utf8, metavar="TEXT", help="what to go on with; default: `prompt` of the spec")
    help_text = "an input that the model answers to, NAME=TEXT where it has several; may be repeated"
    parser.add_argument("--input", type=utf8, action="append", default=[], metavar="TEXT", help=help_text)
    parser.add_argument("--length", type=int, metavar="N", help="the most entries to add, such as characters or words")
    parser.add_argument("--samples", type=int, default=1, metavar="N", help="how many to make")
    parser.add_argument("--temperature", type=float, metavar="X", help="draw: below 1 what is likely gets likelier")
    parser.add_argument("--top-k", type=int, metavar="N", help="draw from the N likeliest entries")
    parser.add_argument("--top-p", type=float, metavar="X", help="draw from the fewest entries that have this share in all")
    parser.add_argument(
        "--beam", type=int, metavar="N", dest="width", help="the likeliest of N sequences followed side by side"
    )
    parser.add_argument("--penalty", type=float, metavar="X", help="with --beam: how much longer sequences are preferred")
    parser.add_argument("--greedy", action="store_true", help="the likeliest entry each time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print a JSON object for each sequence")
    parser.set_defaults(action=generate)


def generate(options: argparse.Namespace) -> int:
    """Prints what a model says: as it says it where that is one sequence, else a sequence each."""
    from archspec.trained.generate import ARGUMENTS, speaker_of, wanted
    from archspec.trained.saved import open_run

    saved = open_run(options.run)
    stages = saved.stages()
    rule = {name: getattr(options, name) for name in ARGUMENTS if getattr(options, name) is not None}
    more = {name: getattr(options, name) for name in ("prompt", "length", "samples", "seed")}
    asked = wanted(stages, saved.data, rule, greedy=options.greedy, **more)
    examples = _examples(saved, options)
    speaker = speaker_of(saved.program(stages, options.threads), stages, saved.data)
    for number, example in enumerate(examples):
        for note in example.notes:
            print(f"note: {visible(example.title)}: {visible(note)}", file=sys.stderr)
        _say(speaker, example, asked, options.json, number)
    return 0


def _examples(saved: SavedRun, options: argparse.Namespace) -> list[Example]:
    """The inputs that the model answers to; one without any where it has none beside what it says."""
    from archspec.trained.examples import Example, given_examples
    from archspec.trained.generate import told_inputs

    names = told_inputs(saved.stages(), saved.data)
    if names and not options.input:
        hints = tuple(f'--input {name}="…"' for name in names)
        raise ArchError(Diagnostic("U01", f"the input `{names[0]}` is missing", hints=hints))
    if options.input and not names:
        hint = 'what it goes on with: --prompt "…"'
        raise ArchError(Diagnostic("U01", "this model has no input beside what it says", hints=(hint,)))
    return given_examples(saved.data, names, options.input) if names else [Example("", {})]


# --- printing ------------------------------------------------------------------------------------------------------


def _say(speaker: Speaker, example: Example, asked: Wanted, as_json: bool, number: int) -> None:
    from archspec.trained.generate import beginning, text_of, whole

    start = beginning(speaker, asked.prompt)
    for note in start.notes:
        print(f"note: {visible(note)}", file=sys.stderr)
    if as_json:
        for entries in whole(speaker, example.arrays, start, asked):
            ended = bool(entries) and entries[-1] in speaker.stops
            found = {"input": example.title} if example.title else {}
            print(json.dumps({**found, "text": text_of(speaker, entries), "ended": ended}, ensure_ascii=False))
        return
    if asked.rows == 1:
        _say_at_once(speaker, example, start, asked)
        return
    parted = "" if speaker.stops else "\n"  # texts of several lines stand apart
    for k, entries in enumerate(whole(speaker, example.arrays, start, asked)):
        print((parted if k or number else "") + shown(text_of(speaker, entries)))


def _say_at_once(speaker: Speaker, example: Example, start: Beginning, asked: Wanted) -> None:
    """Prints each entry as soon as it is there."""
    for piece in _pieces(speaker, example, start, asked):
        print(shown(piece), end="", flush=True)
    print()


def _pieces(speaker: Speaker, example: Example, start: Beginning, asked: Wanted) -> Iterator[str]:
    from archspec.trained.examples import gap
    from archspec.trained.generate import said, text_of

    is_first = True
    for entry in chain(
        start.entries[start.unseen :].tolist(), (entry for _, entry in said(speaker, example.arrays, start, asked))
    ):
        piece = text_of(speaker, [entry])
        yield piece if is_first or not piece else gap(speaker.field) + piece
        is_first = is_first and not piece


def shown(text: str) -> str:
    """A text as a terminal may show it: lines as they are, everything else that steers spelled out."""
    return "\n".join(visible(line) for line in text.split("\n"))
