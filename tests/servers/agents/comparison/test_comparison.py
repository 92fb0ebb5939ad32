"""Comparison on small real models: baselines learn the training rows, a base model answers untuned."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.base.errors import InvalidData
from agents.comparison import ComparisonAgent
from agents.comparison.types import ComparisonConfig, ComparisonOutput
from agents.evaluation import EvaluationAgent
from agents.evaluation.types import EvaluationConfig, EvaluationOutput
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.pairs import Pair, Side
from agents.training.types import TrainingConfig
from tests.conftest import AgentBench
from tests.servers.conftest import Learned
from tests.support.models import preprocessing_output, training_output, write_adapter


def compare(bench: AgentBench, data: PreprocessingOutput, judged: EvaluationOutput, **config: Any) -> ComparisonOutput:
    inputs = {"preprocessing": data, "evaluation": judged}
    return ComparisonAgent().run(ComparisonConfig(**config), bench.context("comparison", inputs))


def test_a_classifier_that_says_spam_to_all_is_no_better_than_nothing_and_worse_than_words(
    bench: AgentBench, small_model: Path
) -> None:
    data = preprocessing_output(bench.objects, small_model, bench.work_dir / "rows")
    adapter = write_adapter(bench.work_dir / "adapter", small_model, spam_bias=50.0)
    training = training_output(bench.objects, small_model, adapter)
    context = bench.context("evaluation", {"preprocessing": data, "training": training})
    judged = EvaluationAgent().run(EvaluationConfig(minimum=0.0, metric="accuracy"), context)
    found = compare(bench, data, judged, examples=4)
    majority, tfidf = found.compared["majority"], found.compared["tfidf"]

    assert (majority.metrics["accuracy"], tfidf.metrics["accuracy"]) == (0.5, 1.0)
    assert majority.tuned == tfidf.tuned == judged.metrics
    assert (tfidf.difference, tfidf.fixed, tfidf.broken) == (-0.5, 0, 20)
    assert tfidf.difference_interval[1] < -0.3
    examples = bench.objects.get_json(found.report)["baselines"]["tfidf"]["examples"]
    assert [(one["expected"], one["baseline"], one["tuned"]) for one in examples] == [("ham", "ham", "spam")] * 4
    page = bench.objects.get_artifact(found.report_markdown).decode()
    assert tfidf.better == "refuted"
    assert "Worse than tfidf: accuracy differs by -0.5000" in page
    assert "| 21 | see you at 0 for lunch then | ham | ham | spam |" in page

    other = judged.model_copy(update={"test_sha256": "0" * 64})
    with pytest.raises(InvalidData, match="scored other test rows"):
        compare(bench, data, other)


def test_a_tuned_decoder_is_held_against_its_own_base(learned: Learned, tmp_path: Path) -> None:
    bench = learned.bench(tmp_path)
    context = bench.context("evaluation", {"preprocessing": learned.data, "training": learned.training})
    judged = EvaluationAgent().run(EvaluationConfig(minimum=0.0, metric="slot_f1"), context)
    found = compare(bench, learned.data, judged, rows=5).compared["base"]

    assert judged.metrics["slot_f1"] == judged.metrics["slot_f1.color"] > 0.5
    assert {"rouge_l", "bleu", "perplexity"} <= set(judged.metrics)
    assert set(judged.pictures) == {"loss.svg", "loss.png"}
    assert (found.rows, found.broken, found.metrics["exact_match"]) == (5, 0, 0.0)
    assert found.fixed == round(5 * found.tuned["exact_match"]) > 0
    assert found.difference == found.tuned["slot_f1"] > 0
    assert found.metrics["perplexity"] > 10 * found.tuned["perplexity"]


def side(right: list[bool]) -> Side:
    return Side([str(one) for one in right], np.array(right), {}, lambda _, rows: float(np.array(right)[rows].mean()))


def test_examples_show_what_got_worse_first_and_leave_room_for_what_got_better() -> None:
    broken, fixed, same = [(True, False)] * 5, [(False, True)] * 5, [(True, True)] * 3
    rows = [*same, *fixed, *broken]
    pair = Pair(list(range(13)), ["x"] * 13, ["x"] * 13, side([b for b, _ in rows]), side([t for _, t in rows]))

    assert [one["right"] for one in pair.examples(6)] == ["baseline"] * 3 + ["tuned"] * 3
    assert [one["row"] for one in pair.examples(20)] == [8, 9, 10, 11, 12, 3, 4, 5, 6, 7]
    assert pair.examples(0) == []
    assert pair.compared("any").difference == pytest.approx(0.0)


def test_checks_at_submit_find_a_baseline_of_another_task() -> None:
    sft = TrainingConfig(task="sft", model="package://a/b")

    assert ComparisonAgent.check(ComparisonConfig(baselines=["tfidf"]), {"training": sft}) == [
        "baselines has 'tfidf', but for the task of 'training' there is base"
    ]
    assert ComparisonAgent.check(ComparisonConfig(), {"training": sft}) == []
