"""What a card shows runs as it stands, by the real libraries, on nothing but the files that a download has."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCardData

from agents.base.folders import fetch
from agents.base.source_uri import HUB_NAME
from agents.evaluation import EvaluationAgent
from agents.evaluation.types import EvaluationConfig
from agents.export import ExportAgent
from agents.export.types import ExportConfig
from agents.formats.manifest import Manifest, read_manifest
from tests.conftest import AgentBench
from tests.support.cards import run_example
from tests.support.models import LABELS, preprocessing_output, training_output, write_adapter

FORMATS = ["adapter", "merged", "onnx", "onnx_int8"]


@pytest.fixture
def manifest(bench: AgentBench, small_model: Path) -> Manifest:
    """A version of a model whose base has a card with a license, and lies in a folder that nobody else has."""
    base = shutil.copytree(small_model, bench.work_dir / "base of ours")
    (base / "README.md").write_text("---\nlicense: mit\nlanguage: en\n---\n# Ours\n")
    adapter = write_adapter(bench.work_dir / "adapter", base, spam_bias=50.0)
    inputs = {
        "preprocessing": preprocessing_output(bench.objects, base, bench.work_dir / "rows"),
        "training": training_output(bench.objects, base, adapter),
    }
    evaluation = EvaluationAgent().run(EvaluationConfig(minimum=0), bench.context("evaluation", inputs))
    context = bench.context("export", {**inputs, "evaluation": evaluation}, version=1)
    found = ExportAgent().run(ExportConfig(formats=FORMATS, languages=["en"]), context)
    return read_manifest(bench.objects.get_manifest(found.manifest_key))


def card_of(bench: AgentBench, manifest: Manifest, form: str) -> str:
    return bench.objects.get_artifact(manifest.cards[form]).decode()


def test_each_formats_lines_give_its_label(
    bench: AgentBench, manifest: Manifest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    downloads = bench.work_dir / "downloads"
    for form in FORMATS:
        fetch(bench.objects, manifest.files(form), downloads / f"{manifest.name}-1-{form}")
        assert "spam" in run_example(card_of(bench, manifest, form), downloads, monkeypatch, capsys), form

    from peft import AutoPeftModelForSequenceClassification

    monkeypatch.chdir(downloads / f"{manifest.name}-1-adapter")
    model = AutoPeftModelForSequenceClassification.from_pretrained(".")
    assert list(model.config.id2label.values()) == LABELS


def test_the_metadata_is_what_the_hub_takes(bench: AgentBench, manifest: Manifest) -> None:
    libraries = {}
    for form in FORMATS:
        head = yaml.safe_load(card_of(bench, manifest, form).removeprefix("---\n").partition("\n---\n")[0])
        data = ModelCardData(**head)
        libraries[form] = data.library_name
        # The hub answers 400 to a base that is a path, and to a license that it does not know.
        assert data.base_model is None or HUB_NAME.fullmatch(data.base_model)
        assert (data.license, data.language, data.pipeline_tag) == ("mit", ["en"], "text-classification")
        assert data.datasets is None
        assert {result.metric_type for result in data.eval_results or []} >= {"f1", "accuracy"}

    assert libraries == {"adapter": "peft", "merged": "transformers", "onnx": "onnx", "onnx_int8": "onnx"}


def test_hyperparameters_are_a_table_for_people(bench: AgentBench, manifest: Manifest) -> None:
    card = card_of(bench, manifest, "merged")
    table = card.partition("| hyperparameter |")[2].partition("\n\n")[0]

    assert not re.search(r"\{|\}|None|True|False|'", table)
    assert "## Intended use and limits" in card
