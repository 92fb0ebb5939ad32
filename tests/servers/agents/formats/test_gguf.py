"""GGUF exports of a small decoder that was really trained, proven by llama.cpp."""

from pathlib import Path
from typing import Any

import pytest

from agents.base.errors import InvalidModel, InvalidSpec
from agents.base.folders import fetch
from agents.base.records import Artifact
from agents.chat.format import PromptFormat
from agents.chat.markup import chat_template
from agents.chat.renderer import make_renderer, matching_renderer
from agents.evaluation import EvaluationAgent
from agents.evaluation.types import EvaluationConfig, EvaluationOutput
from agents.export import ExportAgent
from agents.export.parity import prove
from agents.export.types import ExportConfig, ExportOutput
from agents.formats import FORMATS
from agents.formats.gguf import GgufFacts, write_gguf
from agents.formats.gguf_answers import load_gguf
from agents.models.gguf_file import check_prompt_format
from agents.models.tokenizers import load_tokenizer
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.sft.golden import GoldenPrompts
from agents.training import TrainingAgent
from agents.training.types import TrainingConfig
from tests.conftest import AgentBench
from tests.support.decoders import SMOLLM2_FILE, prepare_answers, write_tiny_decoder


@pytest.fixture(scope="module")
def decoder(models_dir: Path) -> Path:
    # K-quants hold 256 weights a block: of a narrower model none would be made.
    return write_tiny_decoder(models_dir / "wide", width=256, whole_vocabulary=True)


@pytest.fixture
def data(bench: AgentBench, decoder: Path) -> PreprocessingOutput:
    return prepare_answers(bench, decoder, 80, template="alpaca", dedup="exact")


@pytest.fixture
def judged(bench: AgentBench, decoder: Path, data: PreprocessingOutput) -> EvaluationOutput:
    """Learned well enough that the likeliest token is far ahead of the next."""
    config = TrainingConfig(
        task="sft",
        model=str(decoder),
        batch_size=16,
        metric="exact_match",
        method="full",
        epochs=6,
        learning_rate=0.003,
    )
    training = TrainingAgent().run(config, bench.context("training", {"preprocessing": data}))
    inputs = {"preprocessing": data, "training": training}
    return EvaluationAgent().run(EvaluationConfig(minimum=0.0), bench.context("evaluation", inputs))


def export(bench: AgentBench, data: PreprocessingOutput, evaluation: EvaluationOutput, *formats: str) -> ExportOutput:
    inputs = {"preprocessing": data, "evaluation": evaluation}
    context = bench.context("export", inputs, version=1)
    return ExportAgent().run(ExportConfig(model_name="colors", formats=list(formats)), context)  # type: ignore[arg-type]


def test_a_trained_decoder_answers_the_same_in_llama_cpp_and_a_file_of_another_template_is_refused(
    bench: AgentBench, decoder: Path, data: PreprocessingOutput, judged: EvaluationOutput
) -> None:
    found = export(bench, data, judged, "gguf_f16", "gguf_q8_0", "gguf_q4_k_m")
    manifest: dict[str, Any] = bench.objects.get_manifest(found.manifest_key)
    card = bench.objects.get_artifact(Artifact(**manifest["card"])).decode()
    proofs = {form: manifest["parity"][form] for form in found.formats}
    sizes = {form: {file.path: file.artifact.size_bytes for file in files} for form, files in found.formats.items()}

    assert [proof["bound"] for proof in proofs.values()] == [0.99, 0.99, 0.97]
    assert all(proof["texts"] == 80 and proof["agreement"] >= proof["bound"] for proof in proofs.values())
    assert all(set(files) == {"Modelfile", "model.gguf"} for files in sizes.values())
    assert sizes["gguf_f16"]["model.gguf"] > sizes["gguf_q8_0"]["model.gguf"] > sizes["gguf_q4_k_m"]["model.gguf"]
    assert f"| gguf_q8_0 | {sum(sizes['gguf_q8_0'].values()):,} | {proofs['gguf_q8_0']['agreement']:.4f} (bound" in card
    assert "llama-server -m model.gguf --jinja" in card
    assert "ollama create colors -f Modelfile" in card
    quantised = [record["fields"] for record in bench.records if record.get("event") == "gguf_quantised"][-1]
    assert quantised["tensors"]["Q4_K"] > 0 < quantised["tensors"]["Q6_K"]

    files = {file.path: file.artifact for file in found.formats["gguf_q4_k_m"]}
    folder = fetch(bench.objects, files, bench.work_dir / "again")
    written = (folder / "Modelfile").read_text(encoding="utf-8")
    assert r'"### Response:\n"' in written
    assert 'PARAMETER stop "<|im_end|>"' in written

    assert judged.training.prompt is not None
    prompt, file = judged.training.prompt, folder / "model.gguf"
    model = load_gguf(file, prompt, 256)
    golden = GoldenPrompts(bench.context("export", {"preprocessing": data}), judged)
    golden.renderer = matching_renderer(load_tokenizer(decoder), prompt)
    form = FORMATS["gguf_q4_k_m"]
    (answers,) = golden.asked(model, form, [""] * 100)
    assert answers[0].startswith('{"color"')
    assert prove(golden, form, model, ["changed", "changed", *answers[2:]]).agreement == 0.975
    with pytest.raises(
        InvalidModel, match=r"'gguf_q4_k_m' gives .* to 96\.25% of 80 texts \(bound 97%\); exact_match .*\. Leave"
    ):
        prove(golden, form, model, ["changed", "changed", "changed", *answers[3:]])

    foreign = prompt.model_copy(update={"fingerprint": "0" * 64})
    with pytest.raises(InvalidModel, match=r"of fingerprint 000000000000; '.*' was written for"):
        load_gguf(file, foreign, 256)
    edited = bench.work_dir / "edited.gguf"
    edited.write_bytes(file.read_bytes().replace(b"### Instruction:", b"### Instructed::"))
    with pytest.raises(InvalidModel, match="is not the one that it was written with"):
        load_gguf(edited, prompt, 256)

    classifier = judged.training.model_copy(update={"task": "classification"})
    with pytest.raises(InvalidSpec, match="this model is of task: classification"):
        export(bench, data, judged.model_copy(update={"training": classifier}), "gguf_f16")


def test_an_architecture_that_the_converter_does_not_know_is_refused_with_a_cure(decoder: Path, tmp_path: Path) -> None:
    renderer = make_renderer("alpaca", load_tokenizer(decoder))
    facts = GgufFacts("x", renderer.format(9), renderer.end_token_id, chat_template(renderer.template))
    config = (decoder / "config.json").read_text().replace("LlamaForCausalLM", "OtherForCausalLM")
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(InvalidModel, match=r"can't be written as GGUF: .*OtherForCausalLM.* Leave the formats gguf_"):
        write_gguf(tmp_path, tmp_path / "model.gguf", facts)


def test_files_that_are_no_gguf_or_name_no_template_are_refused(tmp_path: Path) -> None:
    prompt = PromptFormat(template="chatml", fingerprint="0" * 64, max_new_tokens=9)
    (tmp_path / "x.gguf").write_bytes(b"GGUF and no more")
    with pytest.raises(InvalidModel, match="can't be read as GGUF"):
        check_prompt_format(tmp_path / "x.gguf", prompt)
    with pytest.raises(InvalidModel, match="doesn't say which prompt template"):
        check_prompt_format(SMOLLM2_FILE, prompt)
