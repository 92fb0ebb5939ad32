"""The formats' files: each is made once, from the one before it, and proven to answer as the trained model does."""

import shutil
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from agents.base.agent import Context
from agents.base.errors import InvalidSpec
from agents.base.folders import fetch, upload
from agents.base.records import Artifact
from agents.evaluation.types import EvaluationOutput
from agents.export.gguf import GGUF_FORMATS, require_packages, write_gguf_folder
from agents.export.llama_answers import load_gguf
from agents.export.onnx import write_int8, write_onnx
from agents.export.parity import Golden, GoldenPrompts, GoldenTexts, golden
from agents.export.quantise import quantise
from agents.export.room import check_room
from agents.export.types import ExportedFile, Parity
from agents.models.classifiers.base import Prediction
from agents.models.classifiers.onnx import BATCH_ROWS, load_onnx
from agents.models.classifiers.torch import LoadedClassifier, load_merged
from agents.models.gguf_file import MODEL_FILE, MODELFILE

#: Dynamic quantisation answers a text otherwise alone than in company: both are measured.
ONNX_BATCH_SIZES = (1, BATCH_ROWS)


class Formats:
    """Writes a version's formats below the node's work folder, then into the store. `parity`: format -> its proof."""

    def __init__(self, context: Context, evaluation: EvaluationOutput, name: str, formats: Sequence[str]) -> None:
        """Raises InvalidSpec, NoSpace or OutOfMemory where the formats can't be made here."""
        self.parity: dict[str, Parity] = {}
        self._context = context
        self._judged, self._training = evaluation, evaluation.training
        self._name = name
        self._formats = formats
        if any(form in GGUF_FORMATS for form in formats):
            require_packages()
            _ = self._prompts
        trained_bytes = sum(artifact.size_bytes for artifact in self._training.files.values())
        check_room(formats, self._training.total_parameters, trained_bytes, context.work_dir)

    def write(self, form: str) -> list[ExportedFile]:
        """Make, prove and store one format; return its files.

        Raises:
            InvalidModel: it answers other than the trained model, or can't be made of this model.
        """
        if form == "adapter":
            # The training stored it already.
            return _exported(self._training.files)
        return _exported(upload(self._context.objects, self._folder(form)))

    def _folder(self, form: str) -> Path:
        if form in GGUF_FORMATS:
            return self._gguf(form)
        return {"merged": lambda: self._merged, "onnx": lambda: self._onnx, "onnx_int8": lambda: self._int8}[form]()

    @cached_property
    def _golden(self) -> Golden[Any]:
        return golden(self._context, self._judged, self._formats)

    @property
    def _texts(self) -> GoldenTexts:
        if not isinstance(self._golden, GoldenTexts):
            raise InvalidSpec(
                "The formats 'onnx' and 'onnx_int8' are for classifiers; this model writes answers.",
                cure="Leave them out of the export's formats.",
            )
        return self._golden

    @property
    def _prompts(self) -> GoldenPrompts:
        if not isinstance(self._golden, GoldenPrompts):
            raise InvalidSpec(
                f"The formats {', '.join(GGUF_FORMATS)} are for models that write answers; this one classifies.",
                cure="Leave them out of the export's formats; 'onnx_int8' is a classifier's small format.",
            )
        return self._golden

    @property
    def _merged(self) -> Path:
        return self._merged_and_answers[0]

    @cached_property
    def _merged_and_answers(self) -> tuple[Path, list[Any]]:
        """The adapter merged into the unquantised base, proven equal; and the trained model's golden answers."""
        context, training = self._context, self._training
        base = context.sources.local(training.base_model, "model")
        trained_folder = fetch(context.objects, training.files, context.work_dir / "trained")
        trained = self._golden.load_trained(trained_folder, base)
        expected = self._golden.answers(trained)
        folder = context.work_dir / "merged"
        whole = trained.model.merge_and_unload() if hasattr(trained.model, "merge_and_unload") else trained.model
        whole.save_pretrained(folder)
        trained.tokenizer.save_pretrained(folder)
        self.parity["merged"] = self._golden.prove("merged", self._golden.load_whole(folder), expected)
        return folder, expected

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

    @cached_property
    def _gguf_f16(self) -> Path:
        """The merged model in float16, which all GGUF formats are made of."""
        folder = self._context.work_dir / "gguf_f16"
        write_gguf_folder(self._merged, folder, self._name, self._training)
        return folder

    def _gguf(self, form: str) -> Path:
        folder, prompt = self._gguf_f16, self._prompts.prompt
        if form != "gguf_f16":
            folder = self._context.work_dir / form
            folder.mkdir()
            shutil.copy(self._gguf_f16 / MODELFILE, folder / MODELFILE)
            types = quantise(self._gguf_f16 / MODEL_FILE, folder / MODEL_FILE, form.removeprefix("gguf_"))
            self._context.log("gguf_quantised", format=form, tensors=types)
        context_tokens = self._training.max_tokens + prompt.max_new_tokens
        model = load_gguf(folder / MODEL_FILE, prompt, context_tokens)
        self.parity[form] = self._prompts.prove(form, model, self._merged_and_answers[1])
        return folder

    def _prove_onnx(self, form: str, folder: Path, expected: list[Prediction]) -> None:
        model = load_onnx(folder, self._training.labels, self._training.max_tokens)
        self.parity[form] = self._texts.prove(form, model, expected, ONNX_BATCH_SIZES)


def _exported(files: dict[str, Artifact]) -> list[ExportedFile]:
    return [ExportedFile(path=path, artifact=artifact) for path, artifact in sorted(files.items())]
