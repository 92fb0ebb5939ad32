"""Evaluation and export of a decoder that was really trained: what it answers is what is measured and exported."""

from pathlib import Path
from typing import Any

import pytest

from agents.base.errors import InvalidData, InvalidModel
from agents.base.folders import fetch
from agents.evaluation import EvaluationAgent
from agents.evaluation.types import EvaluationConfig, EvaluationOutput
from agents.export import ExportAgent
from agents.export.parity import prove
from agents.export.types import ExportConfig, ExportOutput
from agents.formats import FORMATS
from agents.formats.manifest import read_manifest
from agents.metrics.text import same_answer
from agents.models.generators.torch import LoadedGenerator
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.sft.golden import GoldenPrompts
from agents.tasks.splits import read_test_conversations
from agents.training import TrainingAgent
from agents.training.types import TrainingConfig, TrainingOutput
from tests.conftest import AgentBench
from tests.servers.conftest import Learned
from tests.support.cards import run_example
from tests.support.contract import shown
from tests.support.decoders import conversations, prepare_answers
from tests.support.loaded import load_trained_generator, load_whole_generator


@pytest.fixture
def bench(learned: Learned, tmp_path: Path) -> AgentBench:
    return learned.bench(tmp_path / "work")


@pytest.fixture
def decoder(learned: Learned) -> Path:
    return learned.decoder


@pytest.fixture
def data(learned: Learned) -> PreprocessingOutput:
    return learned.data


@pytest.fixture
def trained(learned: Learned) -> TrainingOutput:
    return learned.training


def train(bench: AgentBench, decoder: Path, data: PreprocessingOutput, **config: Any) -> TrainingOutput:
    settings = TrainingConfig(task="sft", model=str(decoder), batch_size=16, metric="exact_match", **config)
    context = bench.context("training", {"preprocessing": data})
    return TrainingAgent().run(settings, context)


def evaluate(
    bench: AgentBench, decoder: Path, data: PreprocessingOutput, training: TrainingOutput, **context: Any
) -> EvaluationOutput:
    inputs = {"preprocessing": data, "training": training}
    given = bench.context("evaluation", inputs, **context)
    return EvaluationAgent().run(EvaluationConfig(minimum=0.2), given)


def export(
    bench: AgentBench, decoder: Path, data: PreprocessingOutput, evaluation: EvaluationOutput, *formats: str
) -> ExportOutput:
    inputs = {"preprocessing": data, "evaluation": evaluation}
    context = bench.context("export", inputs, version=1)
    return ExportAgent().run(ExportConfig(formats=list(formats)), context)  # type: ignore[arg-type]


def load(bench: AgentBench, decoder: Path, training: TrainingOutput, name: str = "again") -> LoadedGenerator:
    assert training.prompt is not None
    folder = fetch(bench.objects, training.files, bench.work_dir / name)
    return load_trained_generator(folder, decoder, training.prompt, cache_dir=bench.work_dir)


def test_a_trained_decoder_is_measured_promoted_exported_and_held_against_itself(
    bench: AgentBench, decoder: Path, data: PreprocessingOutput, trained: TrainingOutput
) -> None:
    judged = evaluate(bench, decoder, data, trained)
    rows = bench.objects.get_json(judged.predictions)

    assert judged.metrics["exact_match"] == sum(row["exact_match"] for row in rows) / len(rows) > 0.5
    assert judged.metrics["json_validity"] == 1.0
    assert judged.metric == "exact_match"
    assert (judged.verdict, judged.confusion) == ("PROMOTE", [])
    assert {"row", "prompt", "expected", "answer", "exact_match"} == set(rows[0])

    found = export(bench, decoder, data, judged, "merged")
    manifest = bench.objects.get_manifest(found.manifest_key)
    card = bench.objects.get_artifact(type(judged.predictions)(**manifest["card"])).decode()
    assert (manifest["task"], manifest["labels"]) == ("sft", [])
    assert shown(manifest) == manifest
    assert manifest["prompt"] == trained.model_dump()["prompt"]
    assert "pipeline_tag: text-generation" in card
    assert f"| exact_match | {judged.metrics['exact_match']:.4f} |" in card
    assert "template `chatml`" in card

    again = evaluate(bench, decoder, data, trained, champion=manifest)
    assert again.champion_metrics == again.metrics == judged.metrics
    assert again.verdict == "HOLD"
    assert "same weights as champion v1" in again.reasons[1]

    untrained = train(bench, decoder, data, method="lora", epochs=0.1, learning_rate=1e-6)
    worse = evaluate(bench, decoder, data, untrained, champion=manifest)
    assert worse.verdict == "REJECT"
    assert worse.metrics["exact_match"] == 0.0
    assert worse.champion_metrics == judged.metrics


def test_an_adapter_merged_answers_as_the_adapter_does_and_other_programs_know_where_to_stop(
    bench: AgentBench,
    decoder: Path,
    data: PreprocessingOutput,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    training = train(bench, decoder, data, method="lora", epochs=4, learning_rate=0.02)
    judged = evaluate(bench, decoder, data, training)
    found = export(bench, decoder, data, judged, "adapter", "merged")
    files = {file.path: file.artifact for file in found.formats["merged"]}
    folder = fetch(bench.objects, files, bench.work_dir / "merged-again")
    assert training.prompt is not None
    whole = load_whole_generator(folder, training.prompt, cache_dir=bench.work_dir)
    prompts = [messages[:-1] for messages in conversations(20)]

    assert whole.answer(prompts) == load(bench, decoder, training).answer(prompts)
    assert "chat_template.jinja" in files
    assert bench.objects.get_json(files["generation_config.json"])["eos_token_id"] == whole.renderer.end_token_id
    parity = next(record["fields"] for record in bench.records if record.get("event") == "parity")
    assert (parity["format"], parity["agreement"]) == ("merged", 1.0)

    manifest = read_manifest(bench.objects.get_manifest(found.manifest_key))
    answer = whole.answer([[{"role": "user", "content": "a question"}]])[0]
    for form in ("adapter", "merged"):
        fetch(bench.objects, manifest.files(form), bench.work_dir / "downloads" / f"{manifest.name}-1-{form}")
        card = bench.objects.get_artifact(manifest.cards[form]).decode()
        said = run_example(card, bench.work_dir / "downloads", monkeypatch, capsys)
        assert answer.split()[0].strip('{}":') in said, form


def test_an_export_that_answers_differently_is_refused(
    bench: AgentBench, decoder: Path, data: PreprocessingOutput, trained: TrainingOutput
) -> None:
    judged = evaluate(bench, decoder, data, trained)
    golden = GoldenPrompts(bench.context("export", {"preprocessing": data}), judged)
    merged = FORMATS["merged"].model_copy(update={"prompts": 3})
    model = load(bench, decoder, trained)
    expected = golden.expected(model, [merged])
    right = [row["exact_match"] for row in bench.objects.get_json(judged.predictions)][: len(expected)]
    proof = prove(golden, merged, model, expected)
    assert (proof.agreement, proof.metric) == (1.0, "exact_match")
    assert proof.value == proof.trained_value == pytest.approx(sum(right) / len(right))
    with pytest.raises(InvalidModel, match=r"gives the trained model's answer to .* \(bound 100%\); exact_match [01]"):
        prove(golden, merged, model, ["something else", *expected[1:]])


def test_answers_do_not_depend_on_their_batch_and_the_loss_is_that_of_training(
    bench: AgentBench, decoder: Path, data: PreprocessingOutput, trained: TrainingOutput
) -> None:
    model = load(bench, decoder, trained)
    prompts = [*(messages[:-1] for messages in conversations(9)), [{"role": "user", "content": "x " * 40}]]
    single = [model.answer([prompt])[0] for prompt in prompts]

    assert model.answer(prompts, batch_size=4) == single
    assert any(answer.startswith("{") for answer in single)

    from agents.data.batches import read_rows
    from agents.tasks.sft.objective import score_answers

    test = read_test_conversations(bench.context("x"), data)
    rows = read_rows(bench.objects, data.splits["test"], bench.work_dir, target="loss_mask")
    figures = score_answers(model.model, rows, batch_size=4, autocast=False)
    written = model.answer(test.prompts)
    assert model.loss(test.conversations, batch_size=3) == pytest.approx(figures["loss"], rel=1e-4)
    assert figures["exact_match"] == sum(map(str.__eq__, written, test.expected)) / len(written)


def test_rows_or_a_model_of_another_template_are_refused(
    bench: AgentBench, decoder: Path, data: PreprocessingOutput, trained: TrainingOutput
) -> None:
    other = prepare_answers(bench, decoder, 80, template="alpaca", dedup="exact")
    with pytest.raises(InvalidData, match="need the same preprocessing node"):
        evaluate(bench, decoder, other, trained)
    assert trained.prompt is not None
    foreign = trained.prompt.model_copy(update={"fingerprint": "0" * 64})
    changed = (data.model_copy(update={"prompt": foreign}), trained.model_copy(update={"prompt": foreign}))
    with pytest.raises(InvalidModel, match="made with a template 'chatml' of fingerprint 0000"):
        evaluate(bench, decoder, *changed)
    judged = evaluate(bench, decoder, data, trained)
    with pytest.raises(InvalidModel, match="made with a template 'chatml' of fingerprint 0000"):
        export(bench, decoder, data, judged.model_copy(update={"training": changed[1]}), "merged")


@pytest.mark.parametrize(
    ("expected", "answer", "same"),
    [
        ('{"a": 1, "b": 2}', '{"b":2,"a":1}', True),
        ('{"a": 1}', '{"a": true}', False),
        ("milk on  monday", "milk on monday ", True),
        ("milk", "Milk", False),
        ('{"a": 1}', '{"a": 1', False),
    ],
)
def test_answers_are_compared_as_json_where_both_are(expected: str, answer: str, same: bool) -> None:
    assert same_answer(expected, answer) is same


def test_checks_at_submit_find_a_metric_of_another_task() -> None:
    sft, labels = TrainingConfig(task="sft", model="package://a/b"), TrainingConfig(model="package://a/b")
    assert EvaluationAgent.check(EvaluationConfig(metric="f1"), {"training": sft}) == [
        "metric is 'f1', but 'training' is of task: sft"
    ]
    assert EvaluationAgent.check(EvaluationConfig(metric="exact_match"), {"training": labels}) == [
        "metric is 'exact_match', but 'training' is of task: classification"
    ]
    assert EvaluationAgent.check(EvaluationConfig(), {"training": sft}) == []
