"""The command: `archspec run | check | show | viz | report | watch | predict | generate | fmt`.

Exit codes: 0 done, 1 failed while running, 2 usage, 3 the spec, 4 the data, 130 interrupted and saved.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archspec.diagnostics import ArchError, Diagnostic, did_you_mean
from archspec.trained.command import predict_parser, utf8, watch_parser
from archspec.trained.saying import generate_parser

if TYPE_CHECKING:
    from archspec.spec import Spec

DONE, FAILED, USAGE, SPEC, DATA, INTERRUPTED = 0, 1, 2, 3, 4, 130
EXIT_CODES = {"P": SPEC, "S": SPEC, "T": SPEC, "G": SPEC, "D": DATA, "R": FAILED, "U": USAGE}
COMMANDS = ("run", "check", "show", "viz", "report", "watch", "predict", "generate", "fmt")
STAGES = ("syntax", "graph", "backward", "gradient", "optimised", "plan", "code")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    _lighten()
    try:
        options = _parser().parse_args(arguments)
        code = int(options.action(options))
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except ArchError as error:
        print(error, file=sys.stderr)
        return _exit_code(error)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return INTERRUPTED
    except MemoryError:
        print(ArchError(Diagnostic("R07", "there is not enough memory")), file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        _drop_output()
        return DONE
    except OSError as error:
        _drop_output()
        what = f"`{error.filename}`" if error.filename else "the output"
        print(ArchError(Diagnostic("R05", f"cannot read or write {what}: {error.strerror}")), file=sys.stderr)
        return FAILED


def _drop_output() -> None:
    """Lets what is left of the output go nowhere: Python writes it once more when it ends."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _lighten() -> None:
    """What a process that only runs this command can save: NumPy's BLAS, which trains nothing here, starts no threads of
    its own; and garbage is looked for seldom, since a compiler keeps what it makes, and not once more when all is done.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.set_threshold(1_000_000, 20, 20)
    atexit.register(gc.freeze)


def _exit_code(error: ArchError) -> int:
    codes = [EXIT_CODES.get(d.code[0], FAILED) for d in error.diagnostics]
    return SPEC if SPEC in codes else codes[0]


class _Parser(argparse.ArgumentParser):
    """Usage errors in the same form as all others."""

    def error(self, message: str) -> None:  # type: ignore[override]
        hints = tuple(_suggest(message)) or (f"{self.prog} --help",)
        raise ArchError(Diagnostic("U01", message, hints=hints))


def _suggest(message: str) -> list[str]:
    wrong = re.match(r"argument run \|.*invalid choice: '(.*?)'", message)
    return [h for h in did_you_mean(wrong[1], COMMANDS) if h.startswith("did")] if wrong else []


def _parser() -> argparse.ArgumentParser:
    from archspec import __version__

    parser = _Parser(prog="archspec", description="Neural networks written as their equations, compiled to readable programs.")
    parser.add_argument("--version", action="version", version=f"archspec {__version__}")
    commands = parser.add_subparsers(required=True, metavar=" | ".join(COMMANDS), parser_class=_Parser)
    _run_parser(commands.add_parser("run", help="train a spec on its data"))
    _check_parser(commands.add_parser("check", help="find every mistake in a spec without running it"))
    _show_parser(commands.add_parser("show", help="print a spec's blocks and their cost, or any stage of its compilation"))
    _viz_parser(commands.add_parser("viz", help="draw a spec: a page to look around in, a picture, DOT or JSON"))
    _report_parser(commands.add_parser("report", help="curves and figures of runs, side by side where there are several"))
    watch_parser(commands.add_parser("watch", help="look at attention and other tensors of a trained model for an input"))
    predict_parser(commands.add_parser("predict", help="what a trained model says about texts or rows"))
    generate_parser(commands.add_parser("generate", help="what a trained language model or decoder says by itself"))
    _fmt_parser(commands.add_parser("fmt", help="put specs into the canonical form"))
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", type=Path, help="the .arch file")
    parser.add_argument(
        "--set", type=utf8, action="append", default=[], metavar="NAME=VALUE", help="replace a `let` of the spec"
    )
    parser.add_argument("--model", type=utf8, help="which model, where the spec has several")
    parser.add_argument("--allow", action="append", default=[], type=Path, metavar="DIR", help="a folder that data may lie in")


def _run_parser(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("--out", type=Path, help="the run's folder (default: the next free one under runs/)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="default: all cores; the result is the same for any number")
    parser.add_argument("--precision", choices=("f32", "f64"), default="f32")
    parser.add_argument(
        "--profile", action="store_true", help="say where the time goes: profile.json and graph.html of the run"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--quiet", action="store_true", help="say nothing while running")
    parser.set_defaults(action=_run)


def _check_parser(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.set_defaults(action=_check)


def _show_parser(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("--stage", choices=STAGES, help="print this stage instead of the table of blocks")
    parser.add_argument("--latex", action="store_true", help="with --stage gradient: the equations as LaTeX")
    parser.add_argument(
        "--size", type=utf8, action="append", default=[], metavar="AXIS=N", help="the size of an open axis, such as B=32"
    )
    parser.add_argument("--step", action="store_true", help="also what a training step computes and how much memory it takes")
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    parser.add_argument("--precision", choices=("f32", "f64"), default="f32")
    parser.set_defaults(action=_show)


def _viz_parser(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("-o", "--out", type=Path, help="NAME.html, .svg, .png, .dot or .json (default: the spec's name, .html)")
    parser.add_argument(
        "--stage", choices=("graph", "backward", "plan"), help="this view alone; pictures and DOT show one, `graph`"
    )
    parser.add_argument(
        "--size", type=utf8, action="append", default=[], metavar="AXIS=N", help="the size of an open axis, such as B=32"
    )
    parser.add_argument("--profile", type=Path, metavar="FILE", help="the profile.json of a run: shows where the time went")
    parser.add_argument("--precision", choices=("f32", "f64"), default="f32")
    parser.set_defaults(action=_viz)


def _report_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", type=Path, nargs="+", metavar="run", help="the folder of a run")
    parser.add_argument("-o", "--out", type=Path, help="default: report.html, in the run's folder where there is one run")
    parser.set_defaults(action=_report)


def _fmt_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("specs", type=Path, nargs="+", metavar="spec")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file would change")
    parser.set_defaults(action=_fmt)


# --- the commands ------------------------------------------------------------------------------------------------


def _load(options: argparse.Namespace) -> Spec:
    from archspec.spec import load

    return load(options.spec, dict(parse_setting(s) for s in options.set), options.allow)


def parse_setting(text: str) -> tuple[str, int | float | bool | str]:
    """`H=128` as a name and a number, truth value or string."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ArchError(Diagnostic("U01", f"--set takes NAME=VALUE, not `{text}`", hints=("--set H=128",)))
    return name.strip(), _value(value.strip())


def _value(text: str) -> int | float | bool | str:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text.strip('"')


def _run(options: argparse.Namespace) -> int:
    from archspec.progress import Console
    from archspec.running import run
    from archspec.viz.timing import profile_text

    threads = options.threads or len(os.sched_getaffinity(0))
    result = run(
        _load(options),
        out=options.out,
        seed=options.seed,
        threads=threads,
        precision=options.precision,
        model=options.model,
        reporter=Console(options.quiet),
        profile=options.profile,
    )
    if options.json:
        print(json.dumps({"folder": str(result.folder), "metrics": dict(result.metrics)}))
    else:
        width = max(len(name) for name in result.metrics)
        for name, value in result.metrics.items():
            print(f"{name:<{width}}  {value:.4f}")
        if result.profile is not None:
            print(f"\n{profile_text(result.profile)}\n")
        print(f"saved in {result.folder}")
    return INTERRUPTED if result.interrupted else DONE


def _check(options: argparse.Namespace) -> int:
    _load(options).check(options.model)
    print(f"{options.spec}: no mistakes found")
    return DONE


def _show(options: argparse.Namespace) -> int:
    spec = _load(options)
    if options.latex and options.stage != "gradient":
        raise ArchError(Diagnostic("U01", "--latex writes equations", hints=("--stage gradient --latex",)))
    if options.stage == "gradient":
        _show_equations(spec, options)
        return DONE
    if options.stage is not None:
        from archspec.inspect import stage_text

        dims = _dims(spec) if options.stage != "syntax" else None
        print(stage_text(spec, options.stage, dims, options.model, options.precision).rstrip())
        return DONE
    _show_table(spec, options)
    return DONE


def _dims(spec: Spec) -> Mapping[str, int] | None:
    return spec.data().dims if "data" in spec.file.sections else None


def _show_equations(spec: Spec, options: argparse.Namespace) -> None:
    from archspec.viz.equations import equations_latex, equations_text

    stages = spec.stages(_dims(spec), options.model)
    graph = stages.backward if stages.has_loss else stages.graph
    print(equations_latex(graph) if options.latex else equations_text(graph))


def _show_table(spec: Spec, options: argparse.Namespace) -> None:
    from archspec.pipeline import plan
    from archspec.viz.table import table, table_json, table_text, training_step

    stages = spec.stages(_dims(spec), options.model)
    shown = table(stages, dict(_parse_size(s) for s in options.size))
    step = (
        training_step(shown, plan(stages.optimised, shown.sizes), 4 if options.precision == "f32" else 8)
        if options.step
        else None
    )
    print(json.dumps(table_json(shown, step), ensure_ascii=False) if options.json else table_text(shown, step))


def _parse_size(text: str) -> tuple[str, int]:
    """`B=32` as an axis and its size."""
    name, _, value = text.partition("=")
    if not name.strip() or not re.fullmatch(r"0*[1-9]\d{0,17}", value.strip()):
        message = f"--size takes AXIS=NUMBER, not `{text}`"
        raise ArchError(Diagnostic("U01", message, hints=("--size B=32",)))
    return name.strip(), int(value)


def _viz(options: argparse.Namespace) -> int:
    from archspec.drawn import drawn_file
    from archspec.saving import write_whole

    spec = _load(options)
    path = options.out or Path(f"{options.spec.stem}.html")
    sizes = dict(_parse_size(s) for s in options.size)
    profile = _read_profile(options.profile) if options.profile is not None else None
    stages = spec.stages(_dims(spec), options.model)
    write_whole(path, drawn_file(path.suffix, stages, sizes, options.stage, options.precision, profile))
    print(f"saved in {path}")
    return DONE


def _read_profile(path: Path) -> Mapping[str, Any]:
    from archspec.profile import read_profile

    return read_profile(path)


def _report(options: argparse.Namespace) -> int:
    from archspec.saving import write_whole
    from archspec.viz.report import read_run, report

    path = options.out or (options.runs[0] / "report.html" if len(options.runs) == 1 else Path("report.html"))
    write_whole(path, report([read_run(run) for run in options.runs]).encode())
    print(f"saved in {path}")
    return DONE


def _fmt(options: argparse.Namespace) -> int:
    changed = 0
    problems: list[Diagnostic] = []
    for path in options.specs:
        try:
            changed += _formatted(path, options.check)
        except ArchError as error:
            problems += error.diagnostics
    if problems:
        raise ArchError(problems)
    return FAILED if changed and options.check else DONE


def _formatted(path: Path, check: bool) -> bool:
    """Whether a file is not in the canonical form; without `check` it is then written anew."""
    from archspec.frontend.format import format_source
    from archspec.frontend.parse import read_source
    from archspec.saving import write_whole

    text = format_source(read_source(path)).encode()
    if text == path.read_bytes():
        return False
    if not check:
        write_whole(path, text)
    print(f"{path}: {'would change' if check else 'formatted'}")
    return True
