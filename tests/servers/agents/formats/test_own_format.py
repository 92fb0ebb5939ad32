"""A format of one's own: one module, which is this one, and one registration; exported, proven and served."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fastapi.testclient import TestClient
from safetensors.torch import load_file, save_file

from agents.base.errors import InvalidModel
from agents.evaluation import EvaluationAgent
from agents.evaluation.types import EvaluationConfig, EvaluationOutput
from agents.export import ExportAgent
from agents.export.types import ExportConfig
from agents.formats import FORMATS, Format, formats_of
from agents.formats.base import Writing
from agents.models.classifiers.torch import LoadedClassifier, load_merged
from agents.models.files import ModelFiles
from agents.preprocessing.types import PreprocessingOutput
from app.serving.main import create_app
from app.wiring import Parts
from tests.conftest import AgentBench
from tests.support.models import preprocessing_output, training_output, write_adapter
from tests.support.planned import PLANNED_EXPORT

# -- the module ------------------------------------------------------------------------------------


def write_half(writing: Writing) -> None:
    """The merged model's weights in float16."""
    writing.folder.mkdir()
    for file in writing.source.iterdir():
        (writing.folder / file.name).write_bytes(file.read_bytes())
    _change(writing.folder / "model.safetensors", lambda weight: weight.to(torch.float16))
    writing.log("halved", format="half")


def write_nonsense(writing: Writing) -> None:
    """The head's rows change places: it says the other label."""
    write_half(writing)
    _change(writing.folder / "model.safetensors", lambda weight: weight.flip(0) if len(weight) == 2 else weight)


def load_half(files: ModelFiles) -> LoadedClassifier:
    return load_merged(files)


HALF = Format(
    name="half",
    kinds=("classifier",),
    made_from="merged",
    writer=f"{__name__}:write_half",
    loaders={"classifier": f"{__name__}:load_half"},
    disk_bytes=2.0,
    memory_bytes=8.0,
    agreement_bound=0.99,
    needs_torch=True,
)


def _change(file: Path, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    save_file({name: change(weight) for name, weight in load_file(file).items()}, file, metadata={"format": "pt"})


# -- the proof -------------------------------------------------------------------------------------


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one registration."""
    monkeypatch.setitem(FORMATS, "half", HALF)


@pytest.fixture
def judged(bench: AgentBench, parts: Parts, small_model: Path) -> dict[str, PreprocessingOutput | EvaluationOutput]:
    bench.objects = parts.objects
    data = preprocessing_output(bench.objects, small_model, bench.work_dir / "rows")
    training = training_output(bench.objects, small_model, write_adapter(bench.work_dir / "adapter", small_model))
    context = bench.context("evaluation", {"preprocessing": data, "training": training})
    return {"preprocessing": data, "evaluation": EvaluationAgent().run(EvaluationConfig(minimum=0.0), context)}


def test_a_format_of_ones_own_is_exported_proven_and_served(
    registered: None, bench: AgentBench, parts: Parts, judged: dict[str, PreprocessingOutput | EvaluationOutput]
) -> None:
    assert "half" in [form.name for form in formats_of("classifier")]
    version = parts.registry.reserve("spam", "job_test", PLANNED_EXPORT)
    context = bench.context("export", dict(judged), version=version)
    exported = ExportAgent().run(ExportConfig(model_name="spam", formats=["half"]), context)

    assert exported.parity["half"].agreement >= 0.99
    sizes = {file.path: file.artifact.size_bytes for file in exported.formats["half"]}
    assert "model.safetensors" in sizes
    assert "halved" in bench.events()
    parts.registry.rebuild()
    parts.registry.promote("spam", version, at=1.0, reason="test", force=True)
    manifest = parts.registry.manifest("spam", version)
    assert manifest.card is not None
    assert f"| half | {sum(sizes.values()):,} |" in bench.objects.get_artifact(manifest.card).decode()

    settings = parts.settings.model_copy(update={"serving_format": "half"})
    app = create_app(parts.registry, parts.objects, settings, look_every_s=3600)
    app.state.serving.reconciler.follow()
    with TestClient(app) as serving:
        assert serving.get("/models").json()["models"][0]["format"] == "half"
        assert serving.post("/predict/spam", json={"text": "free prize"}).json()["label"] in ("ham", "spam")


def test_a_format_that_answers_otherwise_is_no_export(
    monkeypatch: pytest.MonkeyPatch, bench: AgentBench, judged: dict[str, PreprocessingOutput | EvaluationOutput]
) -> None:
    wrong = HALF.model_copy(update={"writer": f"{__name__}:write_nonsense"})
    monkeypatch.setitem(FORMATS, "half", wrong)
    context = bench.context("export", dict(judged), version=1)
    with pytest.raises(InvalidModel, match=r"'half' gives the trained model's answer to .* \(bound 99%\)"):
        ExportAgent().run(ExportConfig(model_name="spam", formats=["half"]), context)
    assert bench.objects.keys("models/") == []
