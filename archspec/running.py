"""`archspec run`: a spec trained on its data, and the directory that it leaves."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archspec.diagnostics import ArchError, Diagnostic
from archspec.lower.files import imported_texts
from archspec.lower.model import Setting, plain
from archspec.records import field, record
from archspec.spec import PathLike, Spec, load

if TYPE_CHECKING:
    from archspec.data import Dataset
    from archspec.runtime.profile import Profiler
    from archspec.runtime.program import Program
    from archspec.runtime.train import Batches, Outcome, Reporter, Step


@record
class Run:
    """A finished run.

    `metrics`   the last figures by part and name, `test.accuracy`
    `history`   one record an epoch
    `folder`    where everything was written
    `profile`   where the time went, as profile.json says it, where that was asked for
    """

    metrics: Mapping[str, float]
    history: Sequence[Mapping[str, Any]]
    folder: Path
    program: Program = field(repr=False)
    interrupted: bool = False
    profile: Mapping[str, Any] | None = field(default=None, repr=False)

    def _repr_html_(self) -> str:
        from archspec.notebook import run_html

        return run_html(self)


class Silent:
    """A reporter that says nothing."""

    def compiling(self, kernels: int) -> None: ...

    def progress(self, epoch: int, step: int, total: int, loss: float) -> None: ...

    def epoch(self, record: dict[str, Any]) -> None: ...


def run(
    spec: PathLike | Spec,
    set: Mapping[str, Setting] | None = None,
    out: PathLike | None = None,
    seed: int = 0,
    threads: int = 1,
    precision: str = "f32",
    device: str = "cpu",
    model: str | None = None,
    allow: Sequence[PathLike] = (),
    reporter: Any = None,
    profile: bool = False,
) -> Run:
    """Trains a spec on its data and writes `out`: the spec, settings.json, data.json, metrics.jsonl, weights.safetensors,
    examples.json, report.html.

    `out` must not hold a run yet; without it the next free folder under runs/ is taken. With `profile` the time of every kernel
    is taken, and `out` gets profile.json, and graph.html to see it in.
    """
    spec = spec.changed(set, allow) if isinstance(spec, Spec) else load(spec, set, allow)
    seed, threads = plain(seed), plain(threads)
    reporter = reporter or Silent()
    dataset = spec.data(seed)
    stages = spec.stages(dataset.dims, model)
    if stages.lowered.training is None:
        hint = "train { loss = cross_entropy(z, y) }"
        raise ArchError(Diagnostic("R03", f"`{spec.source.path}` has no `train` section", hints=(hint,)))
    _check_stop(stages.training, dataset)
    from archspec.pipeline import Options, make_program
    from archspec.runtime.profile import Profiler
    from archspec.runtime.train import steps_in_all
    from archspec.trained.examine import examined_outputs

    total = steps_in_all(stages.training, len(dataset.parts["train"]))
    options = Options(precision, device, threads, seed)
    program = make_program(stages, options, total, reporter.compiling)
    folder = _folder(out, spec)
    _write_start(folder, spec, stages, options, dataset, total)
    program.prepare("train", "loss", "update", outputs=examined_outputs(stages, spec.file, dataset))
    profiler = Profiler(program) if profile else None
    step = profiler.step_rows if profiler is not None else None
    batches = _batches(program, dataset, stages.lowered)
    outcome = _train(program, batches, stages.lowered, seed, folder, reporter, step)
    _write_end(folder, program, outcome, stages)
    if not outcome.interrupted:
        _write_examples(folder, program, stages, spec, dataset, batches)
    _write_report(folder)
    measured = _write_profile(folder, profiler, stages, precision) if profiler is not None and profiler.steps else None
    return Run(outcome.metrics, tuple(outcome.history), folder, program, outcome.interrupted, measured)


def _check_stop(training: Any, dataset: Dataset) -> None:
    """A run that stops by the validation part needs one."""
    if training.stop is None:
        return
    part = str(training.stop.arguments["figure"]).partition(".")[0]
    if part not in dataset.parts:
        hint = f"split = holdout({part}=0.1)"
        message = f"`stop` looks at the {part} part, and `data` has none"
        raise ArchError(Diagnostic("T02", message, training.stop.span, hints=(hint,)))


def _train(
    program: Program,
    batches: Batches,
    lowered: Any,
    seed: int,
    folder: Path,
    reporter: Reporter,
    step: Step | None = None,
) -> Outcome:
    from archspec.runtime.train import train

    with _interruptible() as interrupted, (folder / "metrics.jsonl").open("w", encoding="utf-8") as file:
        return train(program, batches, lowered.training, seed, _Recorder(reporter, file), interrupted, step)


def _batches(program: Program, dataset: Dataset, lowered: Any) -> Batches:
    from archspec.runtime.train import Batches

    arrays = program.check_arrays({f.name: f.array for f in dataset.fields})
    return Batches(arrays, dataset.parts, tuple(name for name in arrays if name not in lowered.inputs))


class _Recorder:
    """Writes each epoch's record down before it is shown."""

    def __init__(self, reporter: Reporter, file: Any) -> None:
        self._reporter, self._file = reporter, file

    def progress(self, epoch: int, step: int, total: int, loss: float) -> None:
        self._reporter.progress(epoch, step, total, loss)

    def epoch(self, record: dict[str, Any]) -> None:
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        self._reporter.epoch(record)


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C or SIGTERM asks the loop to end after this step; the second ends the process at once."""
    asked: list[int] = []

    def ask(number: int, frame: object) -> None:
        if asked:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        asked.append(number)
        print("\nending after this step; again to leave at once", file=sys.stderr)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# --- the directory -----------------------------------------------------------------------------------------------


def _folder(out: PathLike | None, spec: Spec) -> Path:
    """The run's folder, made empty."""
    if out is not None:
        folder = Path(out)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            hint = "name another folder, or remove it first: nothing is overwritten"
            raise ArchError(Diagnostic("R05", f"{folder} exists already", hints=(hint,)))
        return _made(folder)
    stem = Path(spec.source.path).stem if spec.source.path.endswith(".arch") else "spec"
    base, number = Path("runs") / stem, 1
    while (base / str(number)).exists():
        number += 1
    return _made(base / str(number))


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArchError(Diagnostic("R05", f"cannot make {folder}: {error.strerror}")) from None
    return folder


def _write_start(folder: Path, spec: Spec, stages: Any, options: Any, dataset: Dataset, total: int) -> None:
    from archspec.data.kept import kept
    from archspec.saving import write_whole

    write_whole(folder / "spec.arch", spec.source.text.encode())
    write_whole(folder / "settings.json", settings_json(spec, stages, options, dataset, total).encode())
    write_whole(folder / "data.json", json.dumps(kept(dataset), indent=1, ensure_ascii=False).encode())


def settings_json(spec: Spec, stages: Any, options: Any, dataset: Dataset, total: int) -> str:
    """Everything that decided the run, with nothing left to a default."""
    from archspec import __version__

    lowered, training = stages.lowered, stages.training
    return json.dumps(
        {
            "archspec": __version__,
            "spec": spec.source.path,
            "model": lowered.model,
            "settings": dict(lowered.settings),
            "set": dict(spec.set),
            "imports": imported_texts(spec.file),
            "dims": {name: size for name, size in lowered.dims.items() if size is not None},
            "options": {"precision": options.precision, "device": options.device, "seed": options.seed},
            "train": {
                "optimizer": _recipe(training.optimizer),
                "schedule": [_recipe(r) for r in training.schedule],
                "clip": _recipe(training.clip),
                "stop": _recipe(training.stop),
                "batch": training.batch,
                "steps": total,
                "metrics": list(training.metrics),
            },
            "data": {part: len(rows) for part, rows in dataset.parts.items()},
            "classes": {axis: list(names) for axis, names in dataset.classes.items()},
        },
        indent=2,
        ensure_ascii=False,
    )


def _recipe(recipe: Any) -> Any:
    return None if recipe is None else {"name": recipe.name, **recipe.arguments}


def _write_end(folder: Path, program: Program, outcome: Outcome, stages: Any) -> None:
    from archspec.runtime.checkpoint import save_weights
    from archspec.saving import write_whole

    about = {"model": stages.lowered.model, "step": program.steps_done}
    metadata = {"archspec": json.dumps(about)}  # one entry: safetensors writes several in any order
    save_weights(folder / "weights.safetensors", program.weights, metadata)
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8")
    final = {"final": True, "step": program.steps_done, "interrupted": outcome.interrupted, **outcome.metrics}
    write_whole(folder / "metrics.jsonl", (lines + json.dumps(final) + "\n").encode())


def _write_examples(folder: Path, program: Program, stages: Any, spec: Spec, dataset: Dataset, batches: Batches) -> None:
    from archspec.saving import write_whole
    from archspec.trained.examine import examine

    record = examine(program, stages, spec.file, dataset, batches.arrays)
    write_whole(folder / "examples.json", json.dumps(record, ensure_ascii=False).encode())


def _write_report(folder: Path) -> None:
    from archspec.saving import write_whole
    from archspec.viz.report import read_run, report

    write_whole(folder / "report.html", report([read_run(folder)]).encode())


def _write_profile(folder: Path, profiler: Profiler, stages: Any, precision: str) -> Mapping[str, Any]:
    from archspec.drawn import drawn_file
    from archspec.profile import profile_data
    from archspec.saving import write_whole

    made = profile_data(profiler, precision)
    write_whole(folder / "profile.json", json.dumps(made, indent=1, ensure_ascii=False).encode())
    write_whole(folder / "graph.html", drawn_file(".html", stages, {}, None, precision, made))
    return made
