"""The Python face: load a spec, look at its graphs, compile it, run it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archspec.diagnostics import ArchError, Diagnostic, Source, did_you_mean
from archspec.frontend.parse import read_source
from archspec.frontend.source import check_text
from archspec.lower.files import SpecFile, load_file
from archspec.lower.model import Setting, lower, plain
from archspec.pipeline import STAGES, Options, Stages, make_program
from archspec.records import field, record

if TYPE_CHECKING:
    import networkx

    from archspec.data import Dataset
    from archspec.notebook import View
    from archspec.runtime.program import Program

PathLike = str | Path


@record
class Spec:
    """A parsed `.arch` file with its settings.

    `set` holds the settings that replace the file's `let`s; `folder` is where its data and imports lie.
    """

    file: SpecFile
    folder: Path
    set: Mapping[str, Setting] = field(default_factory=dict)
    allow: tuple[Path, ...] = ()

    @property
    def source(self) -> Source:
        return self.file.source

    def check(self, model: str | None = None, data: bool = True) -> None:
        """Raises ArchError with every mistake in the spec: in all of its models, or in one; and in its data."""
        problems: list[Diagnostic] = []
        dims: dict[str, int] = {}
        if data and "data" in self.file.sections:
            dims = dict(_collect(problems, lambda: self.data().dims) or {})
        names: list[str | None] = [model] if model else [m.name for m in self.file.models()] or [None]
        for name in names:
            _collect(problems, lambda name=name: self.stages(dims=dims, model=name).treatments)
        if problems:
            raise ArchError(dict.fromkeys(problems))

    def data(self, seed: int = 0) -> Dataset:
        """The data that the spec binds, read and split."""
        from archspec.data import bind

        section = self.file.sections.get("data")
        if section is None:
            hint = 'data { source = csv("digits.csv") … }'
            raise ArchError(Diagnostic("D01", f"`{self.source.path}` has no `data` section", hints=(hint,)))
        from archspec.lower.model import ragged_dims

        settings, dims = self._names()
        return bind(section, dims, settings, self.folder, self.allow, seed, ragged_dims(self.file))

    def _names(self) -> tuple[Mapping[str, Any], Mapping[str, int | None]]:
        from archspec.lower.model import top_names

        return top_names(self.file, self.set)

    def stages(self, dims: Mapping[str, int] | None = None, model: str | None = None) -> Stages:
        """Every stage of one model. `dims` gives sizes to axes that the spec leaves open."""
        return Stages(lower(self.file, self.set, dims, model))

    def graph(
        self, stage: str = "graph", dims: Mapping[str, int] | None = None, model: str | None = None
    ) -> networkx.MultiDiGraph:
        """A stage as a networkx graph: nodes with names, ops, shapes and spans; edges with the axes read.

        `stage` is syntax, graph, backward, optimised, plan or code.
        """
        from archspec.inspect import stage_graph
        from archspec.networks import StageGraph

        view = self.view(stage, dims, model)
        graph = StageGraph(stage_graph(self, stage, dims, model))
        graph.view = view
        return graph

    def view(self, stage: str = "graph", dims: Mapping[str, int] | None = None, model: str | None = None) -> View:
        """A stage to look at: in a notebook by itself, and as `.text` or `.svg`."""
        from archspec.notebook import View

        if stage not in STAGES:
            raise ArchError(Diagnostic("U03", f"unknown stage `{stage}`", hints=did_you_mean(str(stage), STAGES)))
        return View(self, stage, dims, model)

    def compile(
        self,
        dims: Mapping[str, int] | None = None,
        precision: str = "f32",
        device: str = "cpu",
        threads: int = 1,
        seed: int = 0,
        model: str | None = None,
        total_steps: int | None = None,
    ) -> Program:
        """A program. Without `dims` the data section binds the open axes; `total_steps` is what schedules measure by."""
        options = Options(precision, device, plain(threads), plain(seed))
        if dims is None and "data" in self.file.sections:
            dims = self.data(options.seed).dims
        stages = self.stages(dims, model)
        return make_program(stages, options, total_steps or stages.training.steps)

    def changed(self, set: Mapping[str, Setting] | None, allow: Sequence[PathLike] = ()) -> Spec:
        """The same file with further settings replaced, and further folders to read from."""
        return Spec(self.file, self.folder, {**self.set, **_settings(set)}, (*self.allow, *(Path(a) for a in allow)))

    def _repr_html_(self) -> str:
        from archspec.notebook import spec_html

        return spec_html(self)

    def __repr__(self) -> str:
        models = ", ".join(m.name for m in self.file.models())
        return f"<archspec.Spec {self.source.path}: {models}>"


def _collect(problems: list[Diagnostic], action: Any) -> Any:
    try:
        return action()
    except ArchError as error:
        problems += error.diagnostics
        return None


def load(
    path: PathLike,
    set: Mapping[str, Setting] | None = None,
    allow: Sequence[PathLike] = (),
) -> Spec:
    """The spec in a file. `set` replaces its `let`s; data may lie in the file's folder and in those of `allow`."""
    path = Path(path)
    source = read_source(path)
    roots = tuple(Path(a) for a in allow)
    return Spec(load_file(source, path.parent, roots), path.parent, _settings(set), roots)


def loads(
    text: str,
    folder: PathLike = ".",
    set: Mapping[str, Setting] | None = None,
    allow: Sequence[PathLike] = (),
    name: str = "<text>",
) -> Spec:
    """The spec in a string; `folder` is where its data and imports lie."""
    roots = tuple(Path(a) for a in allow)
    check_text(text)
    file = load_file(Source(name, text), Path(folder), roots)
    return Spec(file, Path(folder), _settings(set), roots)


def _settings(given: Mapping[str, Setting] | None) -> dict[str, Setting]:
    return {name: plain(value) for name, value in dict(given or {}).items()}
