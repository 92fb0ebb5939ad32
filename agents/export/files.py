"""The formats' files: each is made once, from the one before it, and proven to answer as it should."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from agents.base.agent import Context
from agents.base.errors import InvalidSpec
from agents.base.folders import fetch, upload
from agents.base.records import Artifact
from agents.evaluation.types import EvaluationOutput
from agents.export.parity import check_as_evaluated, prove
from agents.export.room import check_room
from agents.export.types import ExportedFile, Parity
from agents.formats import FORMATS, Format, with_sources
from agents.formats.base import Writing
from agents.models.loading import model_folder
from agents.tasks import find_task
from agents.tasks.golden import make_golden

WHAT = {"classifier": "classifiers", "decoder": "models that write answers"}


class FormatFiles:
    """Makes a version's formats below the node's work folder, then in the store. `formats`: those of the ones that are
    wanted that its method of training has. `parity`: format -> its proof."""

    def __init__(self, context: Context, evaluation: EvaluationOutput, name: str, formats: Sequence[str]) -> None:
        """Raises InvalidSpec, NoSpace or OutOfMemory where the formats can't be made here."""
        self.parity: dict[str, Parity] = {}
        self._context, self._name = context, name
        self._training = evaluation.training
        self._task = find_task(self._training.task)
        self.formats = formats_of_method(formats, self._training.method)
        self._forms = with_sources(self.formats)
        for form in self._forms:
            self._check(form)
        self._golden = make_golden(context, evaluation)
        trained_bytes = sum(artifact.size_bytes for artifact in self._training.files.values())
        check_room(self._forms, self._training.total_parameters, trained_bytes, context.work_dir)
        self._folders: dict[str, Path] = {}

    def store(self, name: str) -> list[ExportedFile]:
        """Make, prove and store one format; return its files.

        Raises:
            InvalidModel: it answers other than it should, or can't be made of this model.
        """
        form = FORMATS[name]
        if form.writer is None:
            # The training stored its own files already.
            return _exported({**self._training.files, **self._beside(form)})
        return _exported(upload(self._context.objects, self._folder(form)))

    def _beside(self, form: Format) -> dict[str, Artifact]:
        if form.beside is None:
            return {}
        folder = self._context.work_dir / f"beside_{form.name}"
        given = (self._name, self._training, self._take_trained, self._context.log, self._base_folder)
        form.write_beside(Writing(folder, self._trained_folder, *given))
        return upload(self._context.objects, folder)

    def _folder(self, form: Format) -> Path:
        """Return a format's files, made and proven the first time."""
        if form.name not in self._folders:
            # What it is held against is asked before a writer may change it.
            expected = self._expected(form)
            writing = self._writing(form)
            form.write(writing)
            self._folders[form.name] = writing.folder
            model = form.load_to_prove(self._task.kind, self._golden.files(writing.folder))
            self.parity[form.name] = prove(self._golden, form, model, expected)
        return self._folders[form.name]

    def _writing(self, form: Format) -> Writing:
        source = self._folder(FORMATS[form.made_from]) if form.made_from else self._trained_folder
        folder = self._context.work_dir / form.name
        model = self._take_trained if form.held_against == "trained" else lambda: self._on_cpu
        return Writing(folder, source, self._name, self._training, model, self._context.log, self._base_folder)

    def _expected(self, form: Format) -> list[Any]:
        return self._of_trained[1] if form.held_against == "trained" else self._of_merged

    def _base_folder(self) -> Path:
        sources = self._context.sources
        return model_folder(sources.local(self._training.base_model, "model"), sources.cache_dir)

    @cached_property
    def _trained_folder(self) -> Path:
        return fetch(self._context.objects, self._training.files, self._context.work_dir / "trained")

    @cached_property
    def _of_trained(self) -> tuple[list[Any], list[Any]]:
        """The trained model, until it is taken, and its answers."""
        base = self._training.base_model
        model = self._golden.load_trained(self._trained_folder, lambda: self._context.sources.local(base, "model"))
        expected = self._golden.expected(model, self._forms)
        check_as_evaluated(self._golden, expected)
        return [model], expected

    def _take_trained(self) -> Any:
        """Return the trained model; whoever takes it may change it, and it is not kept besides."""
        return self._of_trained[0].pop()

    @cached_property
    def _on_cpu(self) -> Any:
        """The merged model in float32 on the CPU."""
        return self._golden.load_on_cpu(self._folder(FORMATS["merged"]))

    @cached_property
    def _of_merged(self) -> list[Any]:
        return self._golden.expected(self._on_cpu, self._forms)

    def _check(self, form: Format) -> None:
        if self._task.kind not in form.kinds:
            kinds = " and ".join(WHAT[kind] for kind in form.kinds)
            raise InvalidSpec(
                f"The format '{form.name}' is for {kinds}; this model is of task: {self._task.name}.",
                cure=f"Leave '{form.name}' out of the export's formats.",
            )
        if missing := form.missing_packages():
            raise InvalidSpec(
                f"The format '{form.name}' needs {', '.join(missing)}, which this worker lacks.",
                cure=f"Run: pip install 'tuneline[{form.extra or 'train'}]'.",
            )


def formats_of_method(formats: Sequence[str], method: str) -> list[str]:
    """Return those of the formats that a method of training has: of a sweep over methods only one is exported.

    Raises:
        InvalidSpec: there is none.
    """
    found = [name for name in formats if method in FORMATS[name].methods]
    if not found:
        there = ", ".join(name for name, form in FORMATS.items() if method in form.methods)
        raise InvalidSpec(
            f"None of the formats {', '.join(formats)} is for a model of method: {method}.",
            cure=f"Add one to the export's formats: {there}.",
        )
    return found


def _exported(files: dict[str, Artifact]) -> list[ExportedFile]:
    return [ExportedFile(path=path, artifact=artifact) for path, artifact in sorted(files.items())]
