"""The formats' files: each is made once, from the one before it, and proven to answer as the trained model does."""

import shutil
from functools import cached_property
from pathlib import Path
from typing import Any

from agents.base.contract import Artifact, Context
from agents.base.errors import AgentFailed, InvalidSpec
from agents.classifier import LoadedClassifier, fetch, load_merged
from agents.export.onnx import write_int8, write_onnx
from agents.export.parity import Golden, GoldenTexts, golden
from agents.onnx_classifier import BATCH_ROWS, load_onnx
from agents.outputs import EvaluationOutput, ExportedFile, Parity
from agents.prediction import Prediction

MEDIA_TYPES = {
    ".json": "application/json",
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".jinja": "text/plain",
}
#: Dynamic quantisation answers a text otherwise alone than in company: both are measured.
ONNX_BATCH_SIZES = (1, BATCH_ROWS)


class Formats:
    """Writes a version's formats below the node's work folder, then into the store. `parity`: format -> its proof."""

    def __init__(self, context: Context, evaluation: EvaluationOutput) -> None:
        self.parity: dict[str, Parity] = {}
        self._context = context
        self._training = evaluation.training

    def write(self, form: str) -> list[ExportedFile]:
        """Make, prove and store one format; return its files.

        Raises:
            InvalidModel: it answers other than the trained model, or can't be made of this model.
            AgentFailed: too little disk.
        """
        if form == "adapter":
            # The training stored it already.
            return _exported(self._training.files)
        folder = {"merged": lambda: self._merged, "onnx": lambda: self._onnx, "onnx_int8": lambda: self._int8}[form]()
        return _exported(
            {
                file.relative_to(folder).as_posix(): self._context.objects.put_artifact_file(
                    file, MEDIA_TYPES.get(file.suffix, "application/octet-stream")
                )
                for file in sorted(folder.rglob("*"))
                if file.is_file()
            }
        )

    @cached_property
    def _golden(self) -> Golden[Any]:
        return golden(self._context, self._training)

    @property
    def _texts(self) -> GoldenTexts:
        if not isinstance(self._golden, GoldenTexts):
            raise InvalidSpec(
                "The formats 'onnx' and 'onnx_int8' are for classifiers; this model writes answers.",
                cure="Leave them out of the export's formats.",
            )
        return self._golden

    @cached_property
    def _merged(self) -> Path:
        """The adapter merged into the unquantised base, proven equal."""
        context, training = self._context, self._training
        base = context.sources.local(training.base_model, "model")
        _check_disk(context, sum(file.stat().st_size for file in ([base] if base.is_file() else base.rglob("*"))))
        trained_folder = fetch(context.objects, training.files, context.work_dir / "trained")
        trained = self._golden.load_trained(trained_folder, base)
        expected = self._golden.answers(trained)
        folder = context.work_dir / "merged"
        whole = trained.model.merge_and_unload() if hasattr(trained.model, "merge_and_unload") else trained.model
        whole.save_pretrained(folder)
        trained.tokenizer.save_pretrained(folder)
        self.parity["merged"] = self._golden.prove("merged", self._golden.load_whole(folder), expected)
        return folder

    @cached_property
    def _on_cpu(self) -> LoadedClassifier:
        """The merged model as ONNX is made of it; its plain attention becomes the smaller and faster graph."""
        training = self._training
        return load_merged(
            self._merged, training.labels, training.max_tokens, device="cpu", attn_implementation="eager"
        )

    @cached_property
    def _expected(self) -> list[Prediction]:
        """The merged model's answers in float32 on the CPU, where ONNX will run."""
        return self._texts.answers(self._on_cpu)

    @cached_property
    def _onnx(self) -> Path:
        expected = self._expected
        folder = self._context.work_dir / "onnx"
        write_onnx(self._on_cpu, self._merged, folder)
        self._prove_onnx("onnx", folder, expected)
        return folder

    @cached_property
    def _int8(self) -> Path:
        folder = self._context.work_dir / "onnx_int8"
        write_int8(self._onnx, folder)
        self._prove_onnx("onnx_int8", folder, self._expected)
        return folder

    def _prove_onnx(self, form: str, folder: Path, expected: list[Prediction]) -> None:
        model = load_onnx(folder, self._training.labels, self._training.max_tokens)
        self.parity[form] = self._texts.prove(form, model, expected, ONNX_BATCH_SIZES)


def _check_disk(context: Context, model_bytes: int) -> None:
    free = shutil.disk_usage(context.work_dir).free
    if free < 3 * model_bytes:
        raise AgentFailed(
            f"Exporting needs about {3 * model_bytes >> 20} MiB in {context.work_dir}, and {free >> 20} MiB are free.",
            cure="Free some space, or set TUNELINE_STATE_DIR to a larger disk.",
        )


def _exported(files: dict[str, Artifact]) -> list[ExportedFile]:
    return [ExportedFile(path=path, artifact=artifact) for path, artifact in sorted(files.items())]
