"""Words instead of a model through gate, export and serving; what is served was judged; baselines in the verdict."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.base.errors import InvalidModel, InvalidSpec
from agents.comparison import ComparisonAgent
from agents.comparison.types import ComparisonConfig
from agents.evaluation import EvaluationAgent
from agents.evaluation.types import EvaluationConfig, EvaluationOutput
from agents.export import ExportAgent
from agents.export.types import ExportConfig
from agents.formats import FORMATS
from agents.formats.manifest import Manifest, read_manifest
from agents.models.classifiers.base import Classifier
from agents.preprocessing.types import PreprocessingOutput
from agents.training import TrainingAgent
from agents.training.types import TrainingConfig, TrainingOutput
from app.serving.versions.loading import Loader
from tests.conftest import AgentBench
from tests.support.models import preprocessing_output, training_output, write_adapter
from tests.support.prepared import prepare

#: Words that tell the label, but for one row in ten, which tells the other.
WORDS = {"spam": "free prize call win now", "ham": "lunch home milk see you", "news": "vote court minister war bank"}


def rows(count: int, labels: int = 2, seed: int = 1) -> list[tuple[str, str]]:
    draw, names = np.random.default_rng(seed), list(WORDS)[:labels]
    found = []
    for number in range(count):
        label, wrong = names[number % labels], draw.random() < 0.1
        words = draw.choice(WORDS[names[(number + 1) % labels] if wrong else label].split(), 3)
        found.append((f"{' '.join(words)} {number}", label))
    return found


def prepared(bench: AgentBench, model: Path, labels: int = 2) -> PreprocessingOutput:
    splits = {"train": rows(120, labels, 1), "validation": rows(60, labels, 2), "test": rows(90, labels, 3)}
    return prepare(bench.objects, bench.work_dir / "rows", splits, str(model), model)


def train(bench: AgentBench, data: PreprocessingOutput, **config: Any) -> TrainingOutput:
    return TrainingAgent().run(
        TrainingConfig(model=data.model, **config), bench.context("training", {"preprocessing": data})
    )


def judge(bench: AgentBench, data: PreprocessingOutput, training: TrainingOutput, **config: Any) -> EvaluationOutput:
    inputs = {"preprocessing": data, "training": training}
    return EvaluationAgent().run(EvaluationConfig(**{"minimum": 0.5, **config}), bench.context("evaluation", inputs))


def export(
    bench: AgentBench, data: PreprocessingOutput, judged: EvaluationOutput, *formats: str, **more: Any
) -> Manifest:
    context = bench.context("export", {"preprocessing": data, "evaluation": judged, **more}, version=1)
    found = ExportAgent().run(ExportConfig(formats=list(formats)), context)
    return read_manifest(bench.objects.get_manifest(found.manifest_key))


def served(bench: AgentBench, manifest: Manifest, form: str) -> Classifier:
    """Return a version as serving holds it in memory."""
    loader = Loader(bench.objects, bench.work_dir / "served", None, {"classifier": [FORMATS[form]], "decoder": []})  # type: ignore[arg-type]
    found = loader.load_version(manifest)
    assert found[0].name == form
    return found[1]  # type: ignore[return-value]


def differences(bench: AgentBench, model: Classifier, judged: EvaluationOutput, texts: list[str]) -> tuple[int, float]:
    """Return how many answers are of another label than evaluation's, and by how much confidences differ at most."""
    pairs = list(zip(model.predict(texts), bench.objects.get_json(judged.predictions), strict=True))
    others = sum(now.label != then["predicted"] for now, then in pairs)
    return others, max(abs(now.confidence - then["confidence"]) for now, then in pairs)


@pytest.mark.parametrize("labels", [2, 3])
def test_words_are_trained_judged_exported_and_served_as_any_model(
    bench: AgentBench, small_model: Path, labels: int
) -> None:
    data = prepared(bench, small_model, labels)
    training = train(bench, data, method="tfidf")
    judged = judge(bench, data, training)
    compared = ComparisonAgent().run(
        ComparisonConfig(), bench.context("comparison", {"preprocessing": data, "evaluation": judged})
    )
    manifest = export(bench, data, judged, "linear", comparison=compared)
    texts = [text for text, _ in rows(90, labels, 3)]

    assert set(training.files) == {"linear.safetensors", "linear_vocabulary.json"}
    assert training.metrics["validation_accuracy"] > 0.8
    assert judged.verdict == "PROMOTE", judged.reasons
    # The baseline is this very model.
    assert compared.compared["tfidf"].difference == 0
    assert compared.compared["majority"].better == "shown"
    assert manifest.reasons[-2].startswith("Better than majority: f1 differs by +")
    assert manifest.reasons[-1] == (
        "Not shown to be better than tfidf: f1 differs by +0.0000; it could be up to 0.0000 worse or 0.0000 better."
    )
    assert differences(bench, served(bench, manifest, "linear"), judged, texts) == (0, pytest.approx(0, abs=1e-6))
    card = bench.objects.get_artifact(manifest.card).decode() if manifest.card else ""
    assert "Not shown to be better than tfidf" in card
    assert "are calibrated by a temperature of" in card


def test_it_needs_no_torch_to_be_served(bench: AgentBench, small_model: Path, tmp_path: Path) -> None:
    data = prepared(bench, small_model)
    training = train(bench, data, method="tfidf")
    for name, artifact in training.files.items():
        bench.objects.get_artifact_file(artifact, tmp_path / name)
    code = (
        "import sys, json; from pathlib import Path; from agents.formats import FORMATS;"
        "from agents.models.files import ModelFiles;"
        f"files = ModelFiles(Path({str(tmp_path)!r}), ['ham', 'spam'], 32, None, Path({str(tmp_path)!r}));"
        "found = FORMATS['linear'].load('classifier', files).predict(['free prize', 'zzz']);"
        "print(json.dumps([found[0].label, sorted({'torch', 'transformers', 'sklearn'} & set(sys.modules))]))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert json.loads(said) == ["spam", []]


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "linear_vocabulary.json").write_text("[]"),
        lambda folder: (folder / "linear_vocabulary.json").write_text('{"labels": ["a", "b"], "terms": []}'),
        lambda folder: (folder / "linear.safetensors").write_bytes(b"cut"),
        lambda folder: (folder / "linear.safetensors").unlink(),
    ],
)
def test_damaged_words_are_refused(bench: AgentBench, small_model: Path, tmp_path: Path, damage: Any) -> None:
    from agents.models.files import ModelFiles

    training = train(bench, prepared(bench, small_model), method="tfidf")
    for name, artifact in training.files.items():
        bench.objects.get_artifact_file(artifact, tmp_path / name)
    damage(tmp_path)
    with pytest.raises(InvalidModel, match="linear model"):
        FORMATS["linear"].load("classifier", ModelFiles(tmp_path, ["ham", "spam"], 32, None, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("form", ["merged", "onnx"])
def test_what_is_served_of_a_tuned_model_is_what_was_judged(bench: AgentBench, small_model: Path, form: str) -> None:
    data = prepared(bench, small_model)
    judged = judge(bench, data, train(bench, data, epochs=3, batch_size=16, learning_rate=0.01), minimum=0.1)
    manifest = export(bench, data, judged, "merged", "onnx")
    calibration = manifest.calibration

    assert calibration is not None
    assert calibration.temperature != 1
    assert judged.metrics["ece"] == calibration.ece
    texts = [text for text, _ in rows(90, 2, 3)]
    assert differences(bench, served(bench, manifest, form), judged, texts) == (0, pytest.approx(0, abs=1e-4))


def test_a_model_that_answers_other_than_when_it_was_judged_is_not_exported(
    bench: AgentBench, small_model: Path
) -> None:
    data = preprocessing_output(bench.objects, small_model, bench.work_dir / "rows")
    spam, ham = (
        training_output(
            bench.objects, small_model, write_adapter(bench.work_dir / str(bias), small_model, spam_bias=bias)
        )
        for bias in (50.0, -50.0)
    )
    judged = judge(bench, data, spam, minimum=0.1).model_copy(update={"training": ham})

    with pytest.raises(InvalidModel, match=r"gives the answer that it was judged by to only 0\.00% of the test rows"):
        export(bench, data, judged, "merged")


@pytest.mark.parametrize(
    ("must_beat", "verdict", "words"),
    [
        ([], "PROMOTE", ""),
        (["majority"], "PROMOTE", "Better than majority: f1 differs by"),
        (["tfidf"], "HOLD", "Not shown to be better than tfidf: f1 differs by +0.0000"),
        (["majority", "tfidf"], "HOLD", "Not shown to be better than tfidf"),
    ],
)
def test_a_baseline_that_must_be_beaten_holds_back_what_is_not_shown_to_beat_it(
    bench: AgentBench, small_model: Path, must_beat: list[str], verdict: str, words: str
) -> None:
    data = prepared(bench, small_model)
    judged = judge(bench, data, train(bench, data, method="tfidf"), must_beat=must_beat)

    assert judged.verdict == verdict
    assert words in " ".join(judged.reasons)
    assert list(judged.compared) == must_beat
    said = [reason for reason in export(bench, data, judged, "linear").reasons if "baseline" in reason]
    assert said == (
        []
        if must_beat
        else ["Whether it is better than a baseline is not known: no comparison stands before the export."]
    )


def test_a_model_that_is_worse_than_words_is_told_so_and_is_not_promoted(bench: AgentBench, small_model: Path) -> None:
    data = preprocessing_output(bench.objects, small_model, bench.work_dir / "rows")
    adapter = write_adapter(bench.work_dir / "adapter", small_model, spam_bias=50.0)
    judged = judge(bench, data, training_output(bench.objects, small_model, adapter), minimum=0.3, must_beat=["tfidf"])

    assert judged.verdict == "HOLD"
    assert judged.compared["tfidf"].better == "refuted"
    assert judged.reasons[-1].startswith("Worse than tfidf: f1 differs by -0.3333 (")


@pytest.mark.parametrize(
    ("metrics", "alarm"),
    [
        ({"validation_f1": 0.7, "validation_loss": 9.0}, ""),
        ({"validation_f1": 1.0, "validation_accuracy": 1.0}, "accuracy was 1.0000 on 40 validation rows and is 0.5000"),
        ({"validation_accuracy": 0.0}, "accuracy was 0.0000 on 40 validation rows and is 0.5000 on 40 test rows"),
    ],
)
def test_figures_that_contradict_each_other_are_an_alarm(
    bench: AgentBench, small_model: Path, metrics: dict[str, float], alarm: str
) -> None:
    data = preprocessing_output(bench.objects, small_model, bench.work_dir / "rows")
    adapter = write_adapter(bench.work_dir / "adapter", small_model, spam_bias=50.0)
    judged = judge(bench, data, training_output(bench.objects, small_model, adapter, metrics=metrics), minimum=0.3)

    assert judged.verdict == ("HOLD" if alarm else "PROMOTE")
    assert alarm in " ".join(judged.reasons)
    assert bool(judged.warnings) == ("figures_disagree" in bench.events()) == bool(alarm)
    report = bench.objects.get_json(judged.report) if judged.report else {}
    assert report["warnings"] == judged.warnings


def test_a_champion_whose_labels_stand_in_another_order_is_compared_by_name(
    bench: AgentBench, small_model: Path
) -> None:
    data = preprocessing_output(bench.objects, small_model, bench.work_dir / "rows")
    turned = write_adapter(bench.work_dir / "turned", small_model, spam_bias=50.0, labels=["spam", "ham"])
    first = judge(
        bench,
        data,
        training_output(bench.objects, small_model, write_adapter(bench.work_dir / "first", small_model)),
        minimum=0.0,
    )
    manifest = export(bench, data, first, "adapter").as_json()
    files = [
        {"path": name, "artifact": one.model_dump()}
        for name, one in training_output(bench.objects, small_model, turned).files.items()
    ]
    champion = {**manifest, "labels": ["spam", "ham"], "trained_files": files, "calibration": None}
    again = training_output(
        bench.objects, small_model, write_adapter(bench.work_dir / "again", small_model, spam_bias=50.0)
    )
    context = bench.context("evaluation", {"preprocessing": data, "training": again}, champion=champion)
    judged = EvaluationAgent().run(EvaluationConfig(minimum=0.0), context)

    # The second place of its head, which leans, is ham there: it says ham to all.
    assert judged.champion_metrics is not None
    assert judged.champion_metrics["recall.ham"] == 1.0
    assert judged.metrics["recall.spam"] == 1.0


def test_specs_that_ask_words_for_what_they_have_not_are_refused_at_submit() -> None:
    words, tuned = TrainingConfig(model="package://a/b", method="tfidf"), TrainingConfig(model="package://a/b")
    assert ExportAgent.check(ExportConfig(), {"training": words}) == [
        f"formats has '{form}', but 'training' is of method: tfidf; use 'linear'" for form in ("adapter", "merged")
    ]
    assert ExportAgent.check(ExportConfig(formats=["linear"]), {"training": tuned}) == [
        "formats has 'linear', but 'training' is of method: lora; use 'merged' or 'adapter'"
    ]
    both = {"training[method=lora]": tuned, "training[method=tfidf]": words}
    assert ExportAgent.check(ExportConfig(formats=["merged", "linear"]), both) == []
    assert ExportAgent.check(ExportConfig(formats=["merged"]), both) == [
        "formats has none for 'training[method=tfidf]', which is of method: tfidf; add 'linear'"
    ]
    with pytest.raises(ValueError, match="method: tfidf is for task: classification, not for task: sft"):
        TrainingConfig(model="package://a/b", task="sft", method="tfidf")
    assert EvaluationAgent.check(EvaluationConfig(must_beat=["base"]), {"training": tuned}) == [
        "must_beat has 'base', but for the task of 'training' there is majority, tfidf"
    ]


def test_of_a_sweep_over_methods_the_winners_formats_are_written(bench: AgentBench, small_model: Path) -> None:
    data = prepared(bench, small_model)
    judged = judge(bench, data, train(bench, data, method="tfidf"))

    assert set(export(bench, data, judged, "merged", "onnx", "linear").formats) == {"linear"}
    assert bench.events().count("format_left_out") == 2
    with pytest.raises(InvalidSpec, match="None of the formats merged is for a model of method: tfidf"):
        export(bench, data, judged, "merged")
