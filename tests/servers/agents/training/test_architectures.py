"""Base models of other architectures: heads of one module or several, a decoder as a classifier, adapters and whole."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from agents.classifier import fetch, load_trained
from agents.outputs import PreprocessingOutput, TrainingOutput
from agents.training import TrainingAgent, TrainingConfig
from tests.conftest import AgentBench
from tests.support.prepared import prepare, spam_rows

pytestmark = pytest.mark.slow

SIZE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64},
    "roberta": {**SIZE, "max_position_embeddings": 200, "pad_token_id": 0},
    "modernbert": {**SIZE, "pad_token_id": 0},
    "electra": {**SIZE, "embedding_size": 32},
    "llama": {**SIZE, "pad_token_id": 0},
}
#: What is trained whole: all that the body's files have no weights for.
HEADS = {
    "distilbert": {"pre_classifier", "classifier"},
    "roberta": {"classifier"},
    "modernbert": {"head", "classifier"},
    "electra": {"classifier"},
    "llama": {"score"},
}


def base_of(architecture: str, folder: Path, tokenizer_folder: Path) -> Path:
    import torch
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    config = AutoConfig.for_model(architecture, vocab_size=len(tokenizer), **ARCHITECTURES[architecture])
    torch.manual_seed(7)
    AutoModel.from_config(config).save_pretrained(folder / architecture)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer_folder / name, folder / architecture)
    return folder / architecture


def train(bench: AgentBench, base: Path, data: PreprocessingOutput, **config: Any) -> TrainingOutput:
    settings = TrainingConfig(model=str(base), precision="fp32", epochs=6, learning_rate=0.01, batch_size=8, **config)
    context = bench.context("training", {"preprocessing": data}, sources=bench.sources(base))
    return TrainingAgent().run(settings, context)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_an_adapter_of_any_architecture_learns_and_answers_the_same_when_loaded_again(
    bench: AgentBench, tmp_path: Path, small_model: Path, architecture: str
) -> None:
    base = base_of(architecture, tmp_path, small_model)
    bench.work_dir.mkdir(parents=True, exist_ok=True)
    rows = spam_rows()
    data = prepare(bench.objects, bench.work_dir, rows, str(base), base)
    output = train(bench, base, data)
    settings = bench.objects.get_json(output.files["adapter_config.json"])
    # PEFT adds the names that heads usually have.
    assert set(settings["modules_to_save"]) - {"classifier", "score"} == HEADS[architecture] - {"classifier", "score"}
    folder = fetch(bench.objects, output.files, bench.work_dir / "again")
    with safe_open(folder / "adapter_model.safetensors", "np") as weights:
        kinds = {(key.split(".")[2], "lora" in key) for key in weights.keys()}  # noqa: SIM118
    assert {name for name, is_adapter in kinds if not is_adapter} == HEADS[architecture]
    assert not {name for name, is_adapter in kinds if is_adapter} & HEADS[architecture]

    model = load_trained(folder, base, output.labels, output.max_tokens, cache_dir=bench.work_dir)
    answers = model.predict([text for text, _ in rows["validation"]])
    right = sum(answer.label == label for answer, (_, label) in zip(answers, rows["validation"], strict=True))
    assert right / len(answers) > 0.8
    assert right / len(answers) == pytest.approx(output.metrics["validation_accuracy"])
