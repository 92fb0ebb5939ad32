"""Figures of a training: the rate that is shown is applied, what is not a number is never kept, and what can't come to
an end is refused before the first step."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, load_file, save_file

from agents.base.errors import Diverged, InvalidModel, InvalidSpec
from agents.base.records import Follower, Input
from agents.evaluation import EvaluationAgent
from agents.evaluation.types import EvaluationConfig
from agents.models.tokenizers import load_tokenizer
from agents.preprocessing.types import PreprocessingOutput
from agents.training import TrainingAgent
from agents.training.types import TrainingConfig, TrainingOutput
from tests.conftest import AgentBench
from tests.support.decoders import prepare_answers
from tests.support.prepared import prepare, spam_rows

pytestmark = pytest.mark.slow

SMALL = {"epochs": 2, "batch_size": 8, "learning_rate": 0.01, "save_steps": 2, "log_steps": 4, "precision": "fp32"}
POISON = "horse"


@pytest.fixture
def run(bench: AgentBench) -> Callable[..., TrainingOutput]:
    """Train on prepared rows: `run(data, model, node="training[r=4]", epochs=2)`."""

    def train(
        data: PreprocessingOutput, model: Path | str, node: str = "training", inputs: Any = None, **config: Any
    ) -> TrainingOutput:
        fields = {"node": node, "checkpoint_prefixes": (f"checkpoints/job_test/{len(node)}",)}
        context = bench.context("training", {"preprocessing": data}, **fields)
        return TrainingAgent().run(TrainingConfig(**{"model": str(model), **SMALL, **config}), context)

    return train


def rows_of(bench: AgentBench, model: Path, rows: dict[str, list[tuple[str, str]]]) -> PreprocessingOutput:
    return prepare(bench.objects, bench.work_dir, rows, str(model), model)


@pytest.mark.parametrize(("epochs", "steps"), [(0.1, 1), (0.3, 2), (1.0, 6)])
@pytest.mark.parametrize("warmup", [0.1, 0.99])
def test_a_training_of_any_number_of_steps_learns_by_the_rate_that_it_shows(
    bench: AgentBench, run: Callable[..., TrainingOutput], small_model: Path, epochs: float, steps: int, warmup: float
) -> None:
    data = rows_of(bench, small_model, spam_rows())
    found = run(data, small_model, epochs=epochs, warmup_ratio=warmup, log_steps=1, weight_decay=0.0)
    rates = [one["learning_rate"] for one in bench.objects.get_json(found.curve) if "learning_rate" in one]
    weights = load(bench.objects.get_artifact(found.files["adapter_model.safetensors"]))

    assert found.steps == len(rates) == steps
    assert all(0 < rate <= 0.01 for rate in rates)
    assert max(rates) == pytest.approx(0.01)
    # An adapter begins at zero there: it moved by what Adam moves in a first step, the rate.
    moved = max(float(weight.abs().max()) for name, weight in weights.items() if "lora_B" in name)
    assert moved > 0.3 * min(rates)
    assert steps > 1 or moved == pytest.approx(0.01, rel=0.01)


@pytest.fixture
def poisoned(bench: AgentBench, small_model: Path) -> Path:
    """The small model, whose embedding of one word is not a number."""
    folder = shutil.copytree(small_model, bench.work_dir / "poisoned")
    weights = load_file(folder / "model.safetensors")
    token = load_tokenizer(folder).convert_tokens_to_ids(POISON)
    weights["embeddings.word_embeddings.weight"][token] = torch.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def with_poison(split: str) -> dict[str, list[tuple[str, str]]]:
    """Return rows of which the last of a split has the word."""
    rows = spam_rows()
    return {**rows, split: [*rows[split][:-1], (f"a {POISON} for free", "spam")]} if split else rows


def kept_weights(bench: AgentBench) -> list[torch.Tensor]:
    keys = [key for key in bench.objects.keys("checkpoints/") if key.endswith("safetensors") and "random" not in key]
    return [tensor for key in keys for tensor in load(bench.objects.get(key)).values()]


@pytest.mark.parametrize(
    ("split", "method", "words"),
    [
        ("train", "lora", r"The loss is not a number at step \d+\."),
        ("train", "full", r"The loss is not a number at step \d+\."),
        ("validation", "lora", r"The loss of the validation split is not a number at step 6\."),
        ("", "full", r"The weight '.*word_embeddings.weight' holds values that are not numbers at step 2\."),
    ],
)
def test_what_is_not_a_number_ends_a_training_and_is_never_kept(
    bench: AgentBench, run: Callable[..., TrainingOutput], poisoned: Path, split: str, method: str, words: str
) -> None:
    data = rows_of(bench, poisoned, with_poison(split))
    with pytest.raises(Diverged, match=words) as found:
        run(data, poisoned, method=method)

    assert "learning_rate" in found.value.cure
    assert all(bool(torch.isfinite(tensor).all()) for tensor in kept_weights(bench))
    for key in bench.objects.keys("checkpoints/"):
        if key.endswith(".json"):
            json.loads(bench.objects.get(key), parse_constant=pytest.fail)


def test_a_word_that_no_row_has_harms_nothing(
    bench: AgentBench, run: Callable[..., TrainingOutput], poisoned: Path
) -> None:
    assert run(rows_of(bench, poisoned, with_poison("")), poisoned).steps == 12


def test_a_gradient_that_is_not_a_number_ends_a_training_too(
    bench: AgentBench, run: Callable[..., TrainingOutput], small_model: Path
) -> None:
    data = rows_of(bench, small_model, spam_rows())
    with pytest.raises(Diverged, match="is not a number at step"):
        run(data, small_model, method="full", learning_rate=1.0, max_grad_norm=1e38, weight_decay=1e20, epochs=4)


def test_a_member_of_a_sweep_that_diverges_is_named_and_the_others_are_judged(
    bench: AgentBench, run: Callable[..., TrainingOutput], small_model: Path, poisoned: Path
) -> None:
    rows = spam_rows(96, 16)
    data = rows_of(bench, small_model, {**rows, "test": rows["train"][:40]})
    bad = run(rows_of(bench, poisoned, with_poison("train")), poisoned, node="training[learning_rate=1]")
    good, worse = (
        run(data, small_model, node=f"training[epochs={epochs}]", epochs=epochs, learning_rate=0.02)
        for epochs in (4, 1)
    )
    assert (bad.files, bad.steps < 12) == ({}, True)
    assert "training_diverged" in bench.events()

    def judged(**trainings: TrainingOutput) -> Any:
        context = bench.context("evaluation", {"preprocessing": data})
        given = [
            Input(node=f"training[{name}]", agent="training", output=training.model_dump(mode="json"))
            for name, training in trainings.items()
        ]
        context.inputs = (*context.inputs, *given)
        return EvaluationAgent().run(EvaluationConfig(minimum=0.1), context)

    found = judged(bad=bad, good=good, worse=worse)
    assert found.training_node in {"training[good]", "training[worse]"}
    assert set(found.candidates) == {"training[good]", "training[worse]"}
    assert found.diverged == {"training[bad]": bad.diverged}
    assert judged(bad=bad, good=good).chosen_by == "validation_f1"
    with pytest.raises(Diverged, match=r"No training has weights to judge. training\[bad\]: The loss is not a number"):
        judged(bad=bad)


def test_the_last_weights_can_be_kept_instead_of_the_best(
    bench: AgentBench, run: Callable[..., TrainingOutput], small_model: Path
) -> None:
    rows = spam_rows()
    # Labels turned over: each step further is a step worse on the validation split.
    wrong = [(text, "ham" if label == "spam" else "spam") for text, label in rows["validation"]]
    data = rows_of(bench, small_model, {**rows, "validation": wrong})
    best, last = (run(data, small_model, node=keep, keep=keep, epochs=3) for keep in ("best", "last"))
    curve = [one for one in bench.objects.get_json(last.curve) if "validation_loss" in one]

    assert (best.metrics["best_step"], last.metrics["best_step"]) == (6, 18)
    assert last.metrics["validation_loss"] == pytest.approx(curve[-1]["validation_loss"], abs=1e-6)
    assert best.metrics["validation_loss"] < last.metrics["validation_loss"]
    assert best.files["adapter_model.safetensors"] != last.files["adapter_model.safetensors"]


@pytest.mark.parametrize(
    "lora",
    [
        {"target_modules": ["q_proj", "lm_head"]},
        {"target_modules": ["embed_tokens"]},
        {"train_modules": ["lm_head"]},
        {"train_modules": ["embed_tokens"]},
    ],
)
def test_an_adapter_on_tied_weights_is_refused_before_the_first_step(
    bench: AgentBench, run: Callable[..., TrainingOutput], tiny_decoder: Path, lora: dict[str, Any]
) -> None:
    data = prepare_answers(bench, tiny_decoder, 40)
    with pytest.raises(
        InvalidSpec, match=r"'(lm_head|model\.embed_tokens)' shares its weights with .* \(tied weights\)"
    ):
        run(data, tiny_decoder, task="sft", lora=lora)
    assert "training_started" not in bench.events()


@pytest.mark.parametrize("form", ["gguf_f16", "gguf_q4_k_m"])
def test_a_tokenizer_that_no_gguf_can_be_made_of_is_refused_before_the_first_step(
    bench: AgentBench, tiny_decoder: Path, form: str
) -> None:
    data = prepare_answers(bench, tiny_decoder, 40)
    export = Follower(node="export", agent="export", config={"formats": ["adapter", form]})
    context = bench.context("training", {"preprocessing": data}, followers=(export,))
    config = TrainingConfig(task="sft", model=str(tiny_decoder), epochs=1)

    with pytest.raises(InvalidModel, match="can't be written as GGUF: BPE pre-tokenizer was not recognized"):
        TrainingAgent().run(config, context)
    assert "training_started" not in bench.events()


def test_a_token_that_the_model_has_no_embedding_for_is_refused_before_the_first_step(
    bench: AgentBench, run: Callable[..., TrainingOutput], small_model: Path
) -> None:
    folder = shutil.copytree(small_model, bench.work_dir / "longer")
    tokenizer = load_tokenizer(folder)
    tokenizer.add_tokens(["<order>"])
    tokenizer.save_pretrained(folder)
    data = rows_of(bench, folder, spam_rows())

    with pytest.raises(
        InvalidModel, match=r"has 1 tokens that the model's embedding of 5,000 lacks: .* '<order>'"
    ) as found:
        run(data, folder)
    assert "resize_token_embeddings" in found.value.cure
    assert "training_started" not in bench.events()
