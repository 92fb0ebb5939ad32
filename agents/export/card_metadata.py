"""The metadata block of a card, as the Hugging Face hub checks it: names of the hub alone, licences and languages."""

import re
from math import isfinite

from huggingface_hub import EvalResult, ModelCardData

from agents.base.markdown import one_line
from agents.base.source_uri import hub_model, repository_of
from agents.formats import FORMATS
from agents.formats.manifest import Manifest
from agents.metrics.catalogue import headline
from agents.tasks import find_task

#: What the hub calls the library that loads a format.
LIBRARIES = {"adapter": "peft", "merged": "transformers", "onnx": "onnx", "gguf": "gguf"}
#: How a format's weights stand to those of the base, in the hub's words.
RELATIONS = {"adapter": "adapter", "merged": "finetune", "onnx": "finetune", "gguf": "quantized"}
METRIC_NAME = re.compile(r"[a-z][a-z0-9_]*")


def family(form: str) -> str:
    """Return what a format is a variant of: `gguf` of `gguf_q8_0`; a format of one's own is itself."""
    return next((known for known in LIBRARIES if form == known or form.startswith(f"{known}_")), form)


def metadata(manifest: Manifest, form: str | None) -> ModelCardData:
    """Return the metadata of a version's card, or of the README beside the files of one format."""
    tag = find_task(manifest.task).pipeline_tag
    base = hub_model(manifest.base_model or "")
    kind = family(form or ("merged" if manifest.method == "full" or "merged" in manifest.formats else "adapter"))
    return ModelCardData(
        base_model=base.name if base else None,
        base_model_relation=RELATIONS.get(kind) if base else None,
        library_name=LIBRARIES.get(kind, "transformers"),
        pipeline_tag=tag,
        license=manifest.license,
        language=list(manifest.languages) or None,
        datasets=_datasets(manifest.data.source),
        tags=["tuneline", *([_tag(manifest.method)] if manifest.method else []), *_runtime_tags(kind)],
        metrics=sorted(result.metric_type for result in _results(manifest, tag)) or None,
        model_name=manifest.name,
        eval_results=_results(manifest, tag),
    )


def _results(manifest: Manifest, tag: str) -> list[EvalResult]:
    return [
        EvalResult(
            task_type=tag,
            dataset_type="custom",
            dataset_name=one_line(manifest.data.source or "unknown", 200) or "unknown",
            dataset_split="test",
            metric_type=name,
            metric_value=round(value, 4),
        )
        for name, value in headline(manifest.metrics, manifest.metric).items()
        if METRIC_NAME.fullmatch(name) and isfinite(value)
    ]


def _datasets(source: str | None) -> list[str] | None:
    """Return the repository of the rows, if they come from the hub: other names are none there."""
    if source is None or not source.startswith("hf://"):
        return None
    try:
        return [repository_of(source.removeprefix("hf://").partition("?")[0]).name]
    except ValueError:
        return None


def _tag(method: str) -> str:
    return re.sub(r"[^a-z0-9-]+", "-", method.lower())


def _runtime_tags(kind: str) -> list[str]:
    known = FORMATS.get(kind)
    return [kind] if known is not None and kind not in {"merged", "adapter"} else []
