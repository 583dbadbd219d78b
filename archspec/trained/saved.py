"""A run read back from its folder: its spec, what it learned from its data, its weights. The data themselves are not needed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archspec.data import Dataset
from archspec.data.kept import restored
from archspec.data.recipe import Encoded
from archspec.diagnostics import ArchError, Diagnostic, Source
from archspec.lower.files import load_texts
from archspec.lower.watched import watching
from archspec.pipeline import Options, Stages, make_program
from archspec.records import record, replace
from archspec.spec import Spec

if TYPE_CHECKING:
    from archspec.runtime.program import Program

LARGEST_NBYTES = 256 * 2**20
HINT = "name the folder that `archspec run` made"


@record
class SavedRun:
    """A run's folder as read.

    `data`   holds no rows; it turns new ones into inputs
    `model`  which model of the spec was trained
    """

    folder: Path
    spec: Spec
    settings: Mapping[str, Any]
    model: str
    data: Dataset

    def stages(self, watch: Sequence[str] = ()) -> Stages:
        """The model that was trained, watching the tensors that match; without `watch` those that `train` names.

        Axes that were cut to one length in training, by `windows`, are open again where the model allows that.
        """
        stages = self._opened() or self.spec.stages(self.data.dims, self.model)
        lowered = stages.lowered
        return Stages(replace(lowered, graph=watching(lowered.graph, watch))) if watch else stages

    def _opened(self) -> Stages | None:
        """The model with those axes open; None where a weight or an equation needs their length."""
        cut = {f.axes[1] for f in self.data.fields if isinstance(f.recipe, Encoded) and f.recipe.arrangement == "windows"}
        try:
            stages = self.spec.stages({n: s for n, s in self.data.dims.items() if n not in cut}, self.model)
            known = all(stages.graph.size(a) is not None for w in stages.graph.specs.values() for a in w.axes)
        except ArchError:
            return None
        return stages if known else None

    def program(self, stages: Stages, threads: int = 1) -> Program:
        """The program with the weights of the run."""
        from archspec.runtime.checkpoint import load_weights

        program = make_program(stages, self._options(threads), total_steps=1)
        load_weights(self.folder / "weights.safetensors", program.weights)
        return program

    def generate(
        self,
        prompt: str | None = None,
        inputs: Mapping[str, str] | None = None,
        length: int | None = None,
        samples: int | None = None,
        seed: int = 0,
        threads: int = 1,
        greedy: bool = False,
        **rule: float,
    ) -> list[str]:
        """Texts that the model says: `prompt` and what it goes on with, or its answer to `inputs`, texts by name.

        What is left out is as `generate` in the spec says. `rule` changes how entries are chosen: `temperature`, `top_k`
        and `top_p` draw, `width` and `penalty` follow a beam. Raises ArchError where the model says nothing, or for a
        prompt with entries that training has not seen.
        """
        from archspec.trained.examples import given_examples
        from archspec.trained.generate import beginning, speaker_of, text_of, told_inputs, wanted, whole

        stages = self.stages()
        asked = wanted(stages, self.data, rule, greedy, prompt=prompt, length=length, samples=samples, seed=seed)
        speaker = speaker_of(self.program(stages, threads), stages, self.data)
        given = [f"{name}={text}" for name, text in (inputs or {}).items()]
        examples = given_examples(self.data, told_inputs(stages, self.data), given)
        arrays = examples[0].arrays if examples else {}
        return [text_of(speaker, said) for said in whole(speaker, arrays, beginning(speaker, asked.prompt), asked)]

    def _options(self, threads: int) -> Options:
        options = self.settings["options"]
        return Options(options["precision"], "cpu", threads, options["seed"])


def open_run(folder: Path | str) -> SavedRun:
    """The run in a folder. Raises ArchError where it holds none, or one that is damaged."""
    folder = Path(folder)
    source = Source(str(folder / "spec.arch"), _text(folder / "spec.arch"))
    settings, kept = _json(folder / "settings.json"), _json(folder / "data.json")
    try:
        texts = {str(path): str(text) for path, text in settings["imports"].items()}
        classes = {str(axis): tuple(map(str, names)) for axis, names in settings["classes"].items()}
        dims = {str(axis): int(size) for axis, size in settings["dims"].items()}
        options = settings["options"]
        given = (dict(settings["set"]), str(settings["model"]), str(options["precision"]), int(options["seed"]))
        data = restored(kept, dims, classes)
    except (KeyError, ValueError, TypeError, AttributeError, IndexError, OverflowError, RecursionError):
        raise damaged(folder) from None
    return SavedRun(folder, Spec(load_texts(source, texts), folder, given[0]), settings, given[1], data)


def damaged(folder: Path) -> ArchError:
    message = f"what {folder} holds is not as `archspec run` writes it"
    return ArchError(Diagnostic("R05", message, hints=("train once more to have it anew",)))


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_NBYTES:
            raise ArchError(Diagnostic("R05", f"{path} is larger than any file of a run"))
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ArchError(Diagnostic("R05", f"cannot read {path}: {reason}", hints=(HINT,))) from None


def _json(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(_text(path))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise damaged(path.parent)
    return found
