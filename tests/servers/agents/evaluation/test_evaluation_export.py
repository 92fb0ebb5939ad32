"""Evaluation and export on tiny real models: what is measured is what is exported and served."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from agents.base.errors import InvalidData, InvalidModel
from agents.base.folders import fetch
from agents.comparison import ComparisonAgent
from agents.comparison.types import ComparisonConfig
from agents.evaluation import EvaluationAgent
from agents.evaluation.types import EvaluationConfig, EvaluationOutput
from agents.export import ExportAgent
from agents.export.types import ExportConfig, ExportOutput
from agents.models.classifiers.torch import LoadedClassifier
from agents.training.types import TrainingConfig
from tests.conftest import AgentBench
from tests.support.contract import shown
from tests.support.loaded import load_adapter, load_exported, load_merged
from tests.support.models import (
    LABELS,
    TEXTS,
    preprocessing_output,
    training_output,
    write_adapter,
    write_xlnet,
)


@pytest.fixture
def base(bench: AgentBench, small_model: Path) -> Path:
    """The small model in a folder of its own: a test writes to it."""
    return shutil.copytree(small_model, bench.work_dir / "base")


def evaluated(
    bench: AgentBench, base: Path, config: dict[str, Any], *, adapter: dict[str, Any] | None = None, **context: Any
) -> EvaluationOutput:
    folder = write_adapter(bench.work_dir / "adapter", base, **(adapter or {}))
    inputs = {
        "preprocessing": preprocessing_output(bench.objects, base, bench.work_dir / "rows"),
        "training": training_output(bench.objects, base, folder),
    }
    return EvaluationAgent().run(EvaluationConfig(**config), bench.context("evaluation", inputs, **context))


def exported(
    bench: AgentBench, base: Path, evaluation: EvaluationOutput, version: int = 1, **config: Any
) -> ExportOutput:
    inputs = {
        "preprocessing": preprocessing_output(bench.objects, base, bench.work_dir / "rows"),
        "evaluation": evaluation,
    }
    return ExportAgent().run(ExportConfig(**config), bench.context("export", inputs, version=version))


def test_a_model_that_says_spam_to_all_is_measured_so(bench: AgentBench, base: Path) -> None:
    found = evaluated(bench, base, {"minimum": 0.5}, adapter={"spam_bias": 50.0})

    assert found.confusion == [[0, 20], [0, 20]]
    assert found.metrics["accuracy"] == 0.5
    assert (found.metrics["recall"], found.metrics["precision"]) == (1.0, 0.5)
    assert found.metrics["f1"] == pytest.approx(2 / 3)
    assert found.verdict == "PROMOTE"
    predictions = bench.objects.get_json(found.predictions)
    assert {row["predicted"] for row in predictions} == {"spam"}
    assert [row["row"] for row in predictions] == list(range(1, 41))


def test_below_the_minimum_is_rejected_with_the_figure(bench: AgentBench, base: Path) -> None:
    found = evaluated(bench, base, {"minimum": 0.7}, adapter={"spam_bias": 50.0})

    assert found.verdict == "REJECT"
    assert found.reasons == ["f1 0.6667 is below the minimum of 0.7."]


def test_a_positive_label_that_is_none_is_refused(bench: AgentBench, base: Path) -> None:
    with pytest.raises(InvalidData, match="the rows have ham, spam"):
        evaluated(bench, base, {"positive_label": "junk"})


def test_the_best_of_several_trainings_is_chosen_by_validation(bench: AgentBench, base: Path) -> None:
    folder = write_adapter(bench.work_dir / "adapter", base, spam_bias=50.0)
    inputs = {"preprocessing": preprocessing_output(bench.objects, base, bench.work_dir / "rows")}
    context = bench.context("evaluation", inputs)
    trainings = [
        {"node": f"training[lora.r={r}]", "agent": "training", "output": training.model_dump(mode="json")}
        for r, f1 in ((8, 0.7), (16, 0.9), (32, 0.8))
        if (
            training := training_output(
                bench.objects, base, folder, metrics={"validation_f1": f1, "validation_loss": 1.0}
            )
        )
    ]
    context.inputs = (*context.inputs, *(type(context.inputs[0])(**given) for given in trainings))

    found = EvaluationAgent().run(EvaluationConfig(minimum=0.1), context)

    assert found.training_node == "training[lora.r=16]"
    assert "training_chosen" in bench.events()


def test_the_champion_is_scored_on_the_same_rows_and_equal_weights_are_held(bench: AgentBench, base: Path) -> None:
    first = evaluated(bench, base, {"minimum": 0.1}, adapter={"spam_bias": 50.0})
    manifest = bench.objects.get_manifest(exported(bench, base, first).manifest_key)
    again = evaluated(bench, base, {"minimum": 0.1}, adapter={"spam_bias": 50.0}, champion=manifest)
    worse = evaluated(bench, base, {"minimum": 0.0}, adapter={"spam_bias": -50.0}, champion=manifest)

    assert again.champion_metrics == again.metrics == first.metrics
    assert (again.verdict, again.champion_version) == ("HOLD", 1)
    assert "same weights as champion v1" in again.reasons[1]
    assert worse.verdict == "HOLD"
    assert "champion v1 has 0.6667 on the same test rows" in worse.reasons[1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": ["no", "yes"]}, "its labels are no, yes, here they are ham, spam."),
        ({"task": "sft"}, "it is of task 'sft', this one of 'classification'."),
        ({"formats": {}, "trained_files": []}, "it can't be loaded:"),
    ],
)
def test_a_champion_that_can_not_be_compared_holds_the_challenger_back(
    bench: AgentBench, base: Path, changes: dict[str, Any], words: str
) -> None:
    first = evaluated(bench, base, {"minimum": 0.1}, adapter={"spam_bias": 50.0})
    manifest = bench.objects.get_manifest(exported(bench, base, first).manifest_key)
    found = evaluated(bench, base, {"minimum": 0.1}, adapter={"spam_bias": 50.0}, champion={**manifest, **changes})

    assert (found.verdict, found.champion_version, found.champion_metrics) == ("HOLD", 1, None)
    assert f"Not shown to be as good as champion v1: {words}" in found.reasons[1]
    assert "promote it with force" in found.reasons[1]


def test_an_export_under_another_name_than_it_was_judged_for_is_held_back(bench: AgentBench, base: Path) -> None:
    evaluation = evaluated(bench, base, {"minimum": 0.1, "model_name": "other"}, adapter={"spam_bias": 50.0})
    assert evaluation.verdict == "PROMOTE"
    found = exported(bench, base, evaluation, formats=["adapter"])
    reasons = bench.objects.get_manifest(found.manifest_key)["reasons"]

    assert found.verdict == "HOLD"
    assert "beside the champion of 'other', not of 'spam'" in reasons[-1]


def test_a_floor_under_a_label_that_is_none_is_refused(bench: AgentBench, base: Path) -> None:
    with pytest.raises(InvalidData, match="recall_floors names 'junk', but the rows have ham, spam"):
        evaluated(bench, base, {"recall_floors": {"junk": 0.5}})


def test_probabilities_are_judged_too_and_pictures_come_with_the_report(bench: AgentBench, base: Path) -> None:
    curve = [{"step": 5, "loss": 0.7}, {"step": 10, "loss": 0.5}, {"step": 10, "validation_loss": 0.6}]
    folder = write_adapter(bench.work_dir / "adapter", base)
    data = preprocessing_output(bench.objects, base, bench.work_dir / "rows")
    training = training_output(bench.objects, base, folder, curve=bench.objects.put_json(curve))
    config, inputs = EvaluationConfig(minimum=0.0), {"preprocessing": data, "training": training}
    first, again = (EvaluationAgent().run(config, bench.context("evaluation", inputs)) for _ in range(2))
    assert first.report is not None
    assert first.threshold is not None
    assert first.metric_interval is not None
    report = bench.objects.get_json(first.report)

    assert {"roc_auc", "ece", "brier", "macro_recall", "micro_f1"} <= set(first.metrics)
    assert first.metric_interval[0] <= first.metrics["f1"] <= first.metric_interval[1]
    assert (first.positive_label, first.threshold.label) == ("spam", "spam")
    # Validation and test rows are the same here.
    assert first.threshold.validation_f1 == pytest.approx(first.threshold.test["f1"])
    assert first.threshold.test["f1"] >= first.metrics["f1"]
    assert report["loss"] == {"training": [[5, 0.7], [10, 0.5]], "validation": [[10, 0.6]]}
    assert report["roc"]["spam"]["true_positive_rate"][-1] == 1.0
    assert sum(one["rows"] for one in report["calibration"]) == 40
    names = {f"{name}.{form}" for name in ("confusion", "roc", "reliability", "loss") for form in ("svg", "png")}
    assert set(first.pictures) == names
    assert first.pictures == again.pictures
    assert bench.objects.get_artifact(first.pictures["roc.svg"]).startswith(b"<?xml")
    assert bench.objects.get_artifact(first.pictures["roc.png"]).startswith(b"\x89PNG")


def test_the_card_shows_them_all(bench: AgentBench, base: Path) -> None:
    evaluation = evaluated(bench, base, {"minimum": 0.0})
    assert evaluation.threshold is not None
    data = preprocessing_output(bench.objects, base, bench.work_dir / "rows")
    inputs = {"preprocessing": data, "evaluation": evaluation}
    comparison = ComparisonAgent().run(ComparisonConfig(), bench.context("comparison", inputs))
    context = bench.context("export", {**inputs, "comparison": comparison}, version=1)
    manifest = bench.objects.get_manifest(ExportAgent().run(ExportConfig(formats=["adapter"]), context).manifest_key)
    card = bench.objects.get_artifact(type(evaluation.predictions)(**manifest["card"])).decode()

    assert f"| ece | {evaluation.metrics['ece']:.4f} |" in card
    assert f"| spam | {evaluation.metrics['precision.spam']:.4f} |" in card
    assert "![ROC](pictures/roc.png)" in card
    assert f"has the best F1 ({evaluation.threshold.validation_f1:.4f};" in card
    assert f"| tfidf | 40 | {comparison.compared['tfidf'].metrics['f1']:.4f} |" in card
    assert set(manifest["pictures"]) == set(evaluation.pictures)


def test_an_export_answers_as_the_trained_model_does(bench: AgentBench, base: Path) -> None:
    evaluation = evaluated(bench, base, {"minimum": 0.0})
    found = exported(bench, base, evaluation)
    loaded: list[LoadedClassifier] = []
    for form in ("adapter", "merged"):
        files = {file.path: file.artifact for file in found.formats[form]}
        folder = fetch(bench.objects, files, bench.work_dir / f"out-{form}")
        if form == "merged":
            loaded.append(load_merged(folder, LABELS, 32))
        else:
            loaded.append(load_adapter(folder, base, LABELS, 32, cache_dir=bench.work_dir))
    ours, theirs = (model.predict(TEXTS) for model in loaded)

    assert [answer.label for answer in ours] == [answer.label for answer in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.scores == pytest.approx(other.scores, abs=1e-5)
    assert all(
        file.path.endswith((".safetensors", ".json", ".txt")) for files in found.formats.values() for file in files
    )


ODD_TEXTS = [
    *TEXTS,
    "",
    "x",
    "\uff26\uff52\uff45e prize 😀",
    "\u200bhidden  blanks",
    "far more words than are read " * 30,
]


def test_onnx_answers_as_the_trained_model_does_for_any_text_alone_or_in_company(bench: AgentBench, base: Path) -> None:
    found = exported(bench, base, evaluated(bench, base, {"minimum": 0.0}), formats=["merged", "onnx"])
    folders = {
        form: fetch(bench.objects, {file.path: file.artifact for file in files}, bench.work_dir / f"out-{form}")
        for form, files in found.formats.items()
    }
    torch_model, onnx_model = (load_exported(folders[form], LABELS, 32) for form in ("merged", "onnx"))
    expected = torch_model.predict(ODD_TEXTS)

    for batch_size in (1, 7):
        for mine, other in zip(onnx_model.predict(ODD_TEXTS, batch_size), expected, strict=True):
            assert mine.label == other.label
            assert mine.scores == pytest.approx(other.scores, abs=1e-5)
    assert onnx_model.predict([]) == []
    assert sorted(file.path for file in found.formats["onnx"]) == [
        "config.json",
        "model.onnx",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_every_format_reads_the_end_of_a_long_text_where_training_did(bench: AgentBench, base: Path) -> None:
    options = base / "tokenizer_config.json"
    options.write_text(json.dumps({**json.loads(options.read_text("utf-8")), "truncation_side": "left"}), "utf-8")
    found = exported(bench, base, evaluated(bench, base, {"minimum": 0.0}), formats=["merged", "onnx"])
    ending = " " + "claim your prize now " * 10

    for form, files in found.formats.items():
        folder = fetch(bench.objects, {file.path: file.artifact for file in files}, bench.work_dir / f"out-{form}")
        one, other = load_exported(folder, LABELS, 32).predict(["lunch at noon" + ending, "free " * 40 + ending])
        assert one.scores == pytest.approx(other.scores, abs=1e-6)


def test_parity_is_in_the_manifest_the_card_and_the_log(bench: AgentBench, base: Path) -> None:
    evaluation = evaluated(bench, base, {"minimum": 0.0}, adapter={"spam_bias": 3.0})
    found = exported(bench, base, evaluation, formats=["adapter", "merged", "onnx", "onnx_int8"])
    manifest = bench.objects.get_manifest(found.manifest_key)
    card = bench.objects.get_artifact(type(evaluation.predictions)(**manifest["card"])).decode()
    logged = {record["fields"]["format"] for record in bench.records if record.get("event") == "parity"}

    assert set(manifest["parity"]) == set(found.parity) == logged == {"merged", "onnx", "onnx_int8"}
    for form, proof in manifest["parity"].items():
        assert proof["agreement"] >= proof["bound"] == {"merged": 1.0, "onnx": 1.0, "onnx_int8": 0.99}[form]
        assert f"{proof['agreement']:.4f} (bound {proof['bound']:g}) | 120 |" in card
        assert proof["metric"] == "f1"
        assert f"| {proof['value']:.4f} (as trained {proof['trained_value']:.4f}) |" in card
    assert manifest["parity"]["merged"]["value"] == manifest["parity"]["merged"]["trained_value"] > 0
    sizes = {form: sum(file.artifact.size_bytes for file in files) for form, files in found.formats.items()}
    assert sizes["onnx_int8"] < sizes["onnx"]


def test_8_bits_that_change_answers_fail_the_node_with_the_numbers_and_write_no_version(
    bench: AgentBench, base: Path
) -> None:
    # A head that stands between two of its own scores: the least change of a weight turns answers over.
    plain = load_adapter(write_adapter(bench.work_dir / "plain", base), base, LABELS, 32, cache_dir=bench.work_dir)
    logits = sorted(math.log(answer.scores["spam"] / answer.scores["ham"]) for answer in plain.predict(TEXTS))
    middle = sum(logits[len(logits) // 4 :][:2]) / 2
    evaluation = evaluated(bench, base, {"minimum": 0.0}, adapter={"spam_bias": -middle})

    with pytest.raises(InvalidModel, match=r"'onnx_int8' gives .* to \d+\.\d+% of 120 texts \(bound 99%\)"):
        exported(bench, base, evaluation, formats=["onnx", "onnx_int8"])
    assert bench.objects.keys("models/") == []


def test_a_model_that_can_not_be_traced_is_refused_with_a_cure(bench: AgentBench, base: Path) -> None:
    xlnet = write_xlnet(bench.work_dir / "xlnet", base)
    training = training_output(bench.objects, xlnet, xlnet, method="full")
    data = preprocessing_output(bench.objects, base, bench.work_dir / "rows")
    context = bench.context("evaluation", {"preprocessing": data, "training": training})
    evaluation = EvaluationAgent().run(EvaluationConfig(minimum=0.0), context)

    with pytest.raises(InvalidModel, match=r"A xlnet model can't be written as ONNX: .*'merged' can be served"):
        exported(bench, base, evaluation, formats=["merged", "onnx"])
    assert bench.objects.keys("models/") == []


def test_a_manifest_holds_the_lineage_and_the_card_its_facts(bench: AgentBench, base: Path) -> None:
    evaluation = evaluated(bench, base, {"minimum": 0.0})
    found = exported(bench, base, evaluation, version=7)
    manifest = bench.objects.get_manifest(found.manifest_key)
    card = bench.objects.get_artifact(type(evaluation.predictions)(**manifest["card"])).decode()

    assert found.manifest_key == "models/spam/versions/000007/manifest.json"
    assert shown(manifest) == manifest
    assert (manifest["version"], manifest["verdict"], manifest["labels"]) == (7, evaluation.verdict, LABELS)
    assert manifest["data"]["test_sha256"] == evaluation.test_sha256
    assert manifest["environment"]["torch"]
    assert card.startswith("---\nlibrary_name: transformers\n")
    assert f"| f1 | {evaluation.metrics['f1']:.4f} |" in card
    assert evaluation.test_sha256 in card


def test_predictions_come_in_the_order_of_the_texts_whatever_the_batches(bench: AgentBench, base: Path) -> None:
    folder = write_adapter(bench.work_dir / "adapter", base)
    model = load_adapter(folder, base, LABELS, 32, cache_dir=bench.work_dir)
    texts = ["a", "a much longer text than the others are " * 5, "b c", "", *TEXTS[:9]]
    whole, single = model.predict(texts, batch_size=4), [model.predict([text])[0] for text in texts]

    for one, other in zip(whole, single, strict=True):
        assert one.scores == pytest.approx(other.scores, abs=1e-5)
        assert sum(one.scores.values()) == pytest.approx(1.0, abs=1e-6)
    assert model.predict([]) == []


def test_checks_at_submit_find_what_does_not_fit() -> None:
    full = TrainingConfig(model="package://a/b", method="full")
    faults = ExportAgent.check(
        ExportConfig(model_name="spam"), {"training": full, "evaluation": EvaluationConfig(model_name="other")}
    )

    assert any("is of method: full; use 'merged'" in fault for fault in faults)
    assert any("compares with 'other'" in fault for fault in faults)
    assert EvaluationAgent.check(EvaluationConfig(recall_floors={"spam": 2}), {}) == [
        "recall_floors.spam must lie between 0 and 1"
    ]
