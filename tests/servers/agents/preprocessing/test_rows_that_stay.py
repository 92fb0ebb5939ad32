"""Rows as people have them that look alike: those that differ in what the model sees stay, and are shared out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.base.errors import InvalidData
from agents.dataset import DatasetAgent
from agents.dataset.types import DatasetConfig
from agents.preprocessing import PreprocessingAgent
from agents.preprocessing.types import PreprocessingConfig, PreprocessingOutput
from agents.validation import ValidationAgent
from agents.validation.types import ValidationConfig
from tests.conftest import MINILM, AgentBench
from tests.support.rows import TEMPLATE, sentences

Rows = list[dict[str, Any]]
Through = Callable[..., PreprocessingOutput]


@pytest.fixture
def through(bench: AgentBench, tiny_decoder: Path) -> Through:
    """Take rows through dataset, validation and preprocessing."""

    def run(rows: Rows, validation: dict[str, Any] | None = None, **config: Any) -> PreprocessingOutput:
        bench.work_dir.mkdir(parents=True, exist_ok=True)
        path = bench.work_dir / "source.jsonl"
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        dataset = DatasetAgent().run(DatasetConfig(source=str(path)), bench.context("dataset"))
        settings = ValidationConfig(**(validation or {}))
        validated = ValidationAgent().run(settings, bench.context("validation", {"dataset": dataset}))
        task = "classification" if dataset.shape == "text_label" else "sft"
        own = {"model": MINILM} if task == "classification" else {"model": str(tiny_decoder), "template": "chatml"}
        context = bench.context("preprocessing", {"dataset": dataset, "validation": validated})
        return PreprocessingAgent().run(PreprocessingConfig(**{"task": task, **own, **config}), context)

    return run


def chat(system: str, asked: str, said: str) -> dict[str, Any]:
    turns = [("system", system), ("user", asked), ("assistant", said)]
    return {"messages": [{"role": role, "content": content} for role, content in turns if content]}


NOUNS = ["invoice", "parcel", "refund", "ticket", "password", "contract", "flight", "server", "meeting", "lunch"]
VERBS = ["lost", "found", "approved", "cancelled", "sent", "booked", "renewed", "closed", "delayed", "returned"]
CONTEXTS = [
    f"Document: the {one} was {verb} by the {two} team." for one in NOUNS for verb in VERBS for two in NOUNS[:3]
]
FIXED = (
    "You are given a short message that a customer sent to the support desk of an online shop. Decide which of the "
    "following departments has to answer it: billing, shipping, returns or technical. Answer with its name only."
)
INPUTS = [f"My {one} {verb} {two}" for one in NOUNS for verb in VERBS[:5] for two in ("lamp", "chair", "radio", "desk")]
DESKS = ["billing", "shipping", "returns", "technical"]
TEMPLATES = [
    *("Patient glucose {} mg/dl at admission.", "Fasting sugar was measured as {} today.", "The lab reports {}."),
    *("HbA1c follow-up visit, spot glucose {}.", "Reading on the meter before lunch was {}."),
]
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
#: Name -> rows that all differ in what the model sees.
SHAPES: dict[str, Rows] = {
    "one question, context in the system's turn": [
        chat(context, "Is this a complaint? Answer yes or no.", "yes" if n % 3 else "no")
        for n, context in enumerate(CONTEXTS)
    ],
    "few questions, context in the system's turn": [
        chat(context, f"Is there a {NOUNS[n % 8]}? Answer yes or no.", "yes" if n % 3 else "no")
        for n, context in enumerate(CONTEXTS)
    ],
    "a long fixed instruction": [
        {"instruction": FIXED, "input": text, "output": DESKS[n * 7 % 4]} for n, text in enumerate(INPUTS)
    ],
    "a fixed instruction in the same text": [
        {"prompt": f"{FIXED} Message: {text}", "completion": DESKS[n * 7 % 4]} for n, text in enumerate(INPUTS)
    ],
    "a fixed instruction behind the text": [
        {"prompt": f"{text}\n\n{FIXED}", "completion": DESKS[n * 7 % 4]} for n, text in enumerate(INPUTS)
    ],
    "eight instructions in turn": [
        {"instruction": f"Task {NOUNS[n % 8]}: {FIXED} {VERBS[n % 8]}", "input": text, "output": f"{text}, {n % 5}"}
        for n, text in enumerate(INPUTS)
    ],
    "a fixed frame around labelled texts": [
        {"text": f"Ticket from the portal. {FIXED} {text} Kind regards from the desk.", "label": DESKS[n * 7 % 4]}
        for n, text in enumerate(INPUTS)
    ],
    "sums": [{"prompt": f"What is {n} + {m}?", "completion": str(n + m)} for n in range(20) for m in range(10)],
    "values that tell the label": [
        {"text": TEMPLATES[n % 5].format(n), "label": "high" if n * 37 % 101 > 50 else "normal"} for n in range(60, 360)
    ],
    "one template only": [
        {"text": f"Patient glucose {n} mg/dl.", "label": "high" if n > 200 else "normal"} for n in range(60, 360)
    ],
    "labels of one template each": [
        {"text": f"set an alarm for {n}" if n % 2 else f"play track {n} now", "label": "alarm" if n % 2 else "music"}
        for n in range(200)
    ],
    "signs between numbers": [
        {"prompt": f"Compute and answer with the number alone, no words: {n} {sign} 2", "completion": str(n)}
        for n in range(40)
        for sign in "+-*/^"
    ],
    "short texts without blanks": [
        {"text": f"{one}{two}{three}", "label": "好" if n % 2 else "坏"}
        for n, one in enumerate("手机物流客服电池屏幕")
        for two in "太很真最"
        for three in ("慢了", "好用", "差劲", "不错", "结实")
    ],
}


@pytest.mark.parametrize("name", SHAPES)
def test_rows_that_differ_in_what_the_model_sees_all_stay(bench: AgentBench, through: Through, name: str) -> None:
    rows = SHAPES[name]
    output = through(rows, maximum_unknown_share=1.0)
    counts = {split: found.row_count for split, found in output.splits.items()}
    assert (sum(counts.values()), output.dropped, output.leaked) == (len(rows), {}, 0)
    assert all(counts[split] >= 0.05 * len(rows) for split in ("validation", "test"))
    assert counts["train"] >= 0.7 * len(rows)
    assert "many_rows_lost" not in bench.events()


def test_marks_that_nobody_sees_are_taken_off_labels_in_reading_and_counted(
    bench: AgentBench, through: Through
) -> None:
    written = ["ham", "ham\u00a0", "\ufeffham", "spam", "spam\u200b", "\u3000spam"]
    output = through([{"text": text, "label": written[n % 6]} for n, text in enumerate(sentences(60))])
    assert output.labels == ["ham", "spam"]
    assert fields(bench, "labels_cleaned") == {"rows": 40}
    assert fields(bench, "validation_report")["findings"] == {"label_cleaned": 40}


def test_copies_of_what_the_model_sees_go_and_other_answers_stay(through: Through) -> None:
    rows = SHAPES["one question, context in the system's turn"]
    other = [chat(CONTEXTS[n], "Is this a complaint? Answer yes or no.", "maybe") for n in range(20)]
    said = ["yes" if n % 3 else "no" for n in range(40)]
    tools = [{**chat(CONTEXTS[n], "Is this a complaint?", said[n]), "tools": [TOOL] * (n % 2)} for n in range(40)]
    output = through([*rows, *rows, *other, *tools, *tools[:30]])
    assert output.dropped == {"exact_duplicate": len(rows) + 30}


def fields(bench: AgentBench, event: str) -> dict[str, Any]:
    found: dict[str, Any] = next(record["fields"] for record in bench.records if record.get("event") == event)
    return found


def test_a_large_share_of_rows_lost_is_told_or_stops_with_a_cure_that_cures(
    bench: AgentBench, through: Through
) -> None:
    different = [{"text": text, "label": "ab"[n % 2]} for n, text in enumerate(sentences(60))]
    near = [{"text": f"my old grey cat sleeps on the roof{'!' * n}", "label": "a"} for n in range(1, 160)]
    through([*different, *near[:20]])
    told = fields(bench, "many_rows_lost")
    assert (told["largest_reason"], told["rows"]) == ("near_duplicate", told["reasons"]["near_duplicate"])
    with pytest.raises(InvalidData, match=r"would leave out \d+ of 219 rows .*near_duplicate") as raised:
        through([*different, *near])
    assert "`dedup: exact`" in str(raised.value)
    assert sum(split.row_count for split in through([*different, *near], dedup="exact").splits.values()) == 219
    with pytest.raises(InvalidData, match=r"set the preprocessing node's `maximum_lost_share` to 0\.8"):
        through([*different, *different, *different, *different, *different])
    through([*different] * 5, maximum_lost_share=0.8)


def test_the_least_number_of_rows_is_asked_for_again_after_duplicates(through: Through) -> None:
    rows = [{"text": text, "label": "ab"[n % 2]} for n, text in enumerate(sentences(50))] * 2
    with pytest.raises(InvalidData, match=r"50 rows are left after preprocessing, `minimum_rows` is 80\..*50 x exact_"):
        through(rows, {"minimum_rows": 80})
    through(rows, {"minimum_rows": 50})


@pytest.mark.parametrize("dedup", ["none", "exact", "near"])
def test_no_cure_is_told_that_is_set_already_or_lets_copies_into_the_test(through: Through, dedup: str) -> None:
    few = [{"prompt": "Hello?", "completion": "Good day."}, {"prompt": "And you?", "completion": "Fine."}]
    with pytest.raises(InvalidData, match="There are 2 different prompts") as raised:
        through(few, {"minimum_rows": 2}, dedup=dedup)
    assert "dedup" not in str(raised.value)


def test_a_label_of_near_duplicates_is_refused_with_a_threshold_that_was_tried(through: Through) -> None:
    rows = [{"text": text, "label": "ham"} for text in sentences(40)]
    rows += [{"text": f"{' '.join(NOUNS)} {' '.join(VERBS)} {word}", "label": "spam"} for word in NOUNS]
    with pytest.raises(InvalidData, match=r"Label 'spam' has 1 different rows.*`near_threshold` to \d") as raised:
        through(rows, dedup="exact")
    threshold = float(str(raised.value).rpartition(" to ")[2].rstrip("."))
    assert through(rows, dedup="exact", near_threshold=threshold).splits["test"].label_counts["spam"] > 0


def test_templates_with_one_label_share_a_side_and_all_their_rows_stay(bench: AgentBench, through: Through) -> None:
    spam = [{"text": TEMPLATE.format(n * 37, n * 991, n), "label": "spam"} for n in range(5)]
    others = [{"text": text, "label": "spam" if n < 50 else "ham"} for n, text in enumerate(sentences(120, seed=3))]
    output = through(spam + others)
    assert (sum(split.row_count for split in output.splits.values()), output.leaked) == (125, 0)
    assert "templates_shared_out" not in bench.events()
    through([{"text": TEMPLATE.format(n * 37, n * 991, n), "label": "spam"} for n in range(30)] + others)
    assert fields(bench, "templates_shared_out")["rows"] == 30
