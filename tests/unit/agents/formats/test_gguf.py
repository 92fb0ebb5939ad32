"""GGUF exports as decisions: tensor types, room, the Modelfile, and what is refused at submit."""

from pathlib import Path

import pytest

from agents.base.errors import InvalidSpec, NoSpace, OutOfMemory
from agents.export import ExportAgent, ExportConfig
from agents.export.gguf import GGUF_FORMATS, require_packages
from agents.export.modelfile import Answering, modelfile
from agents.export.parity import BOUNDS
from agents.export.quantise import tensor_type
from agents.export.room import check_room, disk_bytes, memory_bytes
from agents.prompts.layouts import LAYOUTS
from agents.prompts.markup import ollama_template
from agents.prompts.pieces import LayoutTemplate
from agents.training.config import TrainingConfig

SMALL = Answering(template="T", stop="<|im_end|>", max_new_tokens=40, max_tokens=256, context_length=8192)
TIED = {"token_embd.weight"}
ANSWER = r'{{ "<|im_start|>assistant\n" }}{{ .Content }}{{ if not $last }}{{ "<|im_end|>\n" }}{{ end }}'
CHATML = r"""{{- $previous := "" }}
{{- range $index, $_ := .Messages }}
{{- $last := eq (len (slice $.Messages $index)) 1 }}
{{- if eq .Role "assistant" }}ANSWER
{{- else if eq .Role "system" }}{{ "<|im_start|>system\n" }}{{ .Content }}{{ "<|im_end|>\n" }}
{{- else if eq .Role "user" }}{{ "<|im_start|>user\n" }}{{ .Content }}{{ "<|im_end|>\n" }}
{{- else if eq .Role "tool" }}{{ "<|im_start|>tool\n" }}{{ .Content }}{{ "<|im_end|>\n" }}
{{- end }}
{{- if and $last (ne .Role "assistant") }}{{ "<|im_start|>assistant\n" }}{{ end }}
{{- $previous = .Role }}
{{- end }}""".replace("ANSWER", ANSWER)


@pytest.mark.parametrize(
    ("kind", "name", "shape", "expected"),
    [
        ("q8_0", "blk.0.attn_q.weight", [576, 576], "Q8_0"),
        ("q8_0", "blk.0.attn_norm.weight", [576], "F32"),
        ("q8_0", "blk.0.ffn_gate_inp.weight", [64, 8], "F16"),
        ("q8_0", "blk.0.attn_q.weight", [40, 40], "F16"),
        ("q4_k_m", "blk.9.attn_q.weight", [2048, 2048], "Q4_K"),
        ("q4_k_m", "blk.9.attn_q.weight", [576, 576], "Q5_0"),
        ("q4_k_m", "blk.0.attn_v.weight", [2048, 512], "Q6_K"),
        ("q4_k_m", "blk.0.attn_v.weight", [576, 192], "Q8_0"),
        ("q4_k_m", "blk.6.ffn_down.weight", [1536, 576], "Q4_K"),
        ("q4_k_m", "blk.5.ffn_down.weight", [1536, 576], "Q6_K"),
        ("q4_k_m", "blk.29.ffn_down.weight", [1536, 576], "Q6_K"),
        ("q4_k_m", "token_embd.weight", [2048, 49152], "Q6_K"),
    ],
)
def test_tensors_get_the_types_that_llama_cpp_gives_them(kind: str, name: str, shape: list[int], expected: str) -> None:
    assert tensor_type(kind, name, shape, 30, TIED, "F32" if len(shape) == 1 else "F16") == expected


def test_an_output_layer_of_its_own_is_the_one_with_more_bits() -> None:
    names = {"token_embd.weight", "output.weight"}
    assert tensor_type("q4_k_m", "output.weight", [2048, 32000], 30, names, "F16") == "Q6_K"
    assert tensor_type("q4_k_m", "token_embd.weight", [2048, 32000], 30, names, "F16") == "Q4_K"


def test_room_is_asked_for_everything_that_is_made_on_the_way(tmp_path: Path) -> None:
    parameters = 1_000_000
    only = {form: disk_bytes([form], parameters, 0) for form in ("adapter", "merged", "gguf_f16", "gguf_q8_0")}
    assert only["adapter"] == memory_bytes(["adapter"], parameters) == 0
    assert only["gguf_f16"] - only["merged"] == 2 * parameters
    assert only["gguf_q8_0"] > only["gguf_f16"]
    assert disk_bytes(["gguf_f16", "gguf_q8_0"], parameters, 7) == only["gguf_q8_0"] + 7
    check_room(["gguf_f16"], parameters, 0, tmp_path)
    with pytest.raises(NoSpace, match=r"Exporting gguf_q8_0 needs about \d{9,} MiB in .* and \d+ MiB are free"):
        check_room(["gguf_q8_0"], 10**15, 0, tmp_path)


def test_too_little_memory_is_said_before_anything_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.export.room.free_memory_bytes", lambda: 100 << 20)
    with pytest.raises(OutOfMemory, match="needs about 263 MiB of memory, and 100 MiB are free"):
        check_room(["merged"], 1_000_000, 0, tmp_path)


def test_a_modelfile_names_the_file_the_template_and_where_answers_stop() -> None:
    assert modelfile("task", SMALL).splitlines() == [
        "# ollama create task -f Modelfile",
        "FROM ./model.gguf",
        'TEMPLATE """T"""',
        'PARAMETER stop "<|im_end|>"',
        "PARAMETER num_ctx 2048",
        "PARAMETER num_predict 40",
        "PARAMETER temperature 0",
    ]
    untold = Answering(template=None, stop="</s>", max_new_tokens=9, max_tokens=4000, context_length=4096)
    assert "TEMPLATE" not in modelfile("task", untold)
    assert "PARAMETER num_ctx 4009" in modelfile("task", untold)


def test_ollama_gets_chatml_turn_by_turn() -> None:
    assert ollama_template(LayoutTemplate("chatml", LAYOUTS["chatml"], "", "</s>"), "") == CHATML


@pytest.mark.parametrize("name", LAYOUTS)
def test_ollama_writes_the_first_token_itself_and_a_template_closes_no_quotes(name: str) -> None:
    written = ollama_template(LayoutTemplate(name, LAYOUTS[name], "<s>", "</s>"), "<s>")
    assert written is not None
    assert '"""' not in written
    assert written.count("{{ if") + written.count("{{- if") + written.count("range") == written.count("{{ end }}") + (
        written.count("{{- end }}")
    )
    outside_of_later_turns = written.replace('{{ if $index }}{{ "<s>" }}{{ end }}', "")
    assert "<s>" not in outside_of_later_turns


def test_formats_of_another_task_are_found_at_submit() -> None:
    sft, labels = TrainingConfig(task="sft", model="package://a/b"), TrainingConfig(model="package://a/b")
    gguf, onnx = ExportConfig(formats=["merged", "gguf_q8_0"]), ExportConfig(formats=["onnx"])
    assert ExportAgent.check(gguf, {"training": labels}) == [
        "formats has 'gguf_q8_0', but 'training' is of task: classification"
    ]
    assert ExportAgent.check(onnx, {"training": sft}) == ["formats has 'onnx', but 'training' is of task: sft"]
    assert ExportAgent.check(gguf, {"training": sft}) == ExportAgent.check(onnx, {"training": labels}) == []


def test_packages_that_lack_are_named_with_the_extra_at_submit_and_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    require_packages()
    monkeypatch.setattr("agents.export.gguf.MODULES", {"a_module_that_is_not_there": "xllamacpp"})
    sft = TrainingConfig(task="sft", model="package://a/b")
    assert ExportAgent.check(ExportConfig(formats=["gguf_f16"]), {"training": sft}) == [
        "the formats gguf_* need xllamacpp: pip install 'tuneline[gguf]'"
    ]
    with pytest.raises(InvalidSpec, match=r"need xllamacpp, .* pip install 'tuneline\[gguf\]'"):
        require_packages()


def test_every_format_has_a_bound() -> None:
    assert [BOUNDS[form] for form in GGUF_FORMATS] == [0.99, 0.99, 0.97]
