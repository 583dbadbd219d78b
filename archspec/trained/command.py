"""`archspec watch` and `archspec predict`: what they take and what they print."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from archspec.diagnostics import ArchError, Diagnostic, did_you_mean, visible

if TYPE_CHECKING:
    from archspec.pipeline import Stages
    from archspec.trained.examples import Example
    from archspec.trained.saved import SavedRun
    from archspec.viz.heatmap import Seen

MOST_SEEN = 50  # rows of a file that `watch` shows
WIDTH = 100  # columns where no terminal says otherwise


def utf8(argument: str) -> str:
    """An argument that is text: it goes into files and messages. Of a byte that is no UTF-8 Python makes half a character."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"`{visible(argument)}` is not UTF-8 text") from None
    return argument


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="the folder of a run")
    help_text = "a text; NAME=TEXT where the model has several inputs; COLUMN=CELL for a table; may be repeated"
    parser.add_argument("--input", type=utf8, action="append", default=[], metavar="TEXT", help=help_text)
    parser.add_argument("--data", type=Path, metavar="FILE", help="rows in a file like that of the training")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print a JSON object for each row")


def watch_parser(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument(
        "--tensor",
        type=utf8,
        action="append",
        default=[],
        metavar="NAME",
        help='what to look at, such as "*/attend/a"; default: `watch`',
    )
    parser.add_argument("-o", "--out", type=Path, help="NAME.svg or .html; without it the pictures are printed as text")
    parser.set_defaults(action=watch)


def predict_parser(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.set_defaults(action=predict)


# --- watch -------------------------------------------------------------------------------------------------------


def watch(options: argparse.Namespace) -> int:
    """Shows the tensors that a model watches for each example."""
    from archspec.trained.predictions import targets
    from archspec.trained.saved import open_run
    from archspec.trained.watch import see, watched_names

    if options.out is not None and options.out.suffix not in (".svg", ".html"):
        hints = did_you_mean(options.out.suffix, (".svg", ".html"))
        raise ArchError(Diagnostic("U01", f"`{options.out.suffix}` is not a format of these pictures", hints=hints))
    saved = open_run(options.run)
    stages = saved.stages(_patterns(saved, options.tensor))
    names = watched_names(stages)
    examples = islice(_examples(saved, stages, options), MOST_SEEN)
    program = saved.program(stages, options.threads)
    target = targets(saved.spec.file, stages, saved.data)[0]
    _show(see(program, stages, saved.data, target, examples, names), options)
    return 0


def _patterns(saved: SavedRun, names: list[str]) -> list[str]:
    """A bare name means the tensor of the model itself."""
    return [name if set(name) & set("*/.?[") else f"{saved.model}/{name}" for name in names]


def _show(every: Iterator[Seen], options: argparse.Namespace) -> None:
    from archspec.trained.watch import seen_json
    from archspec.viz.heatmap import seen_svg, seen_text

    if options.out is not None:
        from archspec.saving import write_whole
        from archspec.viz.examples import seen_page

        draw = seen_svg if options.out.suffix == ".svg" else seen_page
        write_whole(options.out, draw(list(every)).encode())
        print(f"saved in {visible(str(options.out))}")
        return
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    width = shutil.get_terminal_size((WIDTH, 24)).columns
    for number, seen in enumerate(every):
        if options.json:
            print(json.dumps(seen_json(seen.title, seen.notes, seen.watched), ensure_ascii=False))
        else:
            print(("\n" if number else "") + seen_text(seen, width, colour))


# --- predict -----------------------------------------------------------------------------------------------------


def predict(options: argparse.Namespace) -> int:
    """Prints what a model says about each example: a line each, columns parted by TABs, or JSON."""
    from archspec.trained.saved import open_run

    saved = open_run(options.run)
    stages = saved.stages()
    examples = _examples(saved, stages, options)
    for line in _predictions(saved, stages, examples, options):
        print(line)
    return 0


def _predictions(saved: SavedRun, stages: Stages, examples: Iterable[Example], options: argparse.Namespace) -> Iterator[str]:
    from archspec.trained.generate import completed
    from archspec.trained.predictions import said_or_predicted, targets
    from archspec.trained.shown import prediction_json, prediction_text

    every = targets(saved.spec.file, stages, saved.data)
    program = saved.program(stages, options.threads)
    for example in examples:
        whole = completed(program, stages, saved.data, example)
        found = program.outputs([t.result for t in every], **whole.arrays)
        made = [said_or_predicted(target, example, whole, found[target.result]) for target in every]
        for note in example.notes:
            print(f"note: {visible(example.title)}: {visible(note)}", file=sys.stderr)
        if options.json:
            results = {p.target.result: prediction_json(p) for p in made} if len(made) > 1 else prediction_json(made[0])
            yield json.dumps({"input": example.title, **results}, ensure_ascii=False)
        else:
            yield "\t".join([visible(example.title), *(visible(prediction_text(p)) for p in made)])


# --- both --------------------------------------------------------------------------------------------------------


def _examples(saved: SavedRun, stages: Stages, options: argparse.Namespace) -> Iterator[Example]:
    from archspec.trained.examples import file_examples, given_examples

    if not options.input and options.data is None:
        raise ArchError(Diagnostic("U01", "nothing is given to look at", hints=('--input "…"', "--data FILE")))
    inputs = stages.lowered.inputs
    yield from given_examples(saved.data, inputs, options.input)
    if options.data is not None:
        yield from file_examples(saved.data, inputs, options.data)
