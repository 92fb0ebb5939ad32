"""A model's own files may name nothing but themselves: no kernels, no other base, no file elsewhere."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.base.errors import InvalidModel
from agents.models.foreign import check_adapter, check_model, check_tokenizer

Write = Callable[..., Path]
KERNEL = "kernels-community/x"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a JSON file into a model's folder; return the folder."""

    def write_json(name: str, content: Any) -> Path:
        (tmp_path / "model").mkdir(exist_ok=True)
        (tmp_path / "model" / name).write_text(json.dumps(content))
        return tmp_path / "model"

    return write_json


@pytest.mark.parametrize(
    "config",
    [
        {"_attn_implementation": KERNEL},
        {"attn_implementation": f"{KERNEL}@main:attend"},
        {"text_config": {"_attn_implementation": KERNEL}},
        {"_attn_implementation": {"": "eager", "vision_config": KERNEL}},
        {"layers": [{"experts_implementation": KERNEL}]},
        {"_attn_implementation": f"paged|{KERNEL}"},
        {"_attn_implementation": ["sdpa"]},
        {"backbone": "evil/resnet"},
        {"encoder": {"use_timm_backbone": True}},
    ],
    ids=json.dumps,
)
@pytest.mark.parametrize("name", ["config.json", "generation_config.json"])
def test_configs_that_name_kernels_or_weights_of_others_are_refused(
    write: Write, name: str, config: dict[str, Any]
) -> None:
    with pytest.raises(InvalidModel, match="names code or weights of another place") as refused:
        check_model(write(name, config))
    assert refused.value.cure.startswith("Remove '")


@pytest.mark.parametrize("attention", ["eager", "sdpa", "flex_attention", "flash_attention_2", "paged|eager", None])
def test_attention_that_is_installed_may_be_named(write: Write, attention: str | None) -> None:
    check_model(write("config.json", {"_attn_implementation": attention, "backbone": None, "use_timm_backbone": False}))


@given(st.text(st.sampled_from("ab/@:|.") | st.characters(), max_size=20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_attention_that_is_taken_is_never_a_repository(write: Write, name: str) -> None:
    folder = write("config.json", {"_attn_implementation": name})
    try:
        check_model(folder)
    except InvalidModel:
        return
    assert name.removeprefix("paged|").isalnum() or set(name) & {"_"}
    assert not set(name) & set("/@:.")


@pytest.mark.parametrize("base", ["/outside/base", "../base", "org/cached", ""])
def test_an_adapter_is_no_base_model(write: Write, base: str) -> None:
    write("config.json", {})
    with pytest.raises(InvalidModel, match="not a whole model but an adapter"):
        check_model(write("adapter_config.json", {"base_model_name_or_path": base}))


def test_an_adapter_names_no_module_to_import(write: Write) -> None:
    check_adapter(write("adapter_config.json", {"megatron_core": "megatron.core", "megatron_config": None}))
    with pytest.raises(InvalidModel, match="megatron_core is 'evil'"):
        check_adapter(write("adapter_config.json", {"megatron_core": "evil", "megatron_config": {"x": 1}}))


@pytest.mark.parametrize("name", ["../../secret.safetensors", "/etc/x.safetensors", "a\x00b", ".hidden", ""])
def test_an_index_names_weights_of_its_own_folder_alone(write: Write, name: str) -> None:
    check_model(write("model.safetensors.index.json", {"weight_map": {"a": "model-00001-of-00002.safetensors"}}))
    with pytest.raises(InvalidModel, match="names a file elsewhere in weight_map"):
        check_model(write("model.safetensors.index.json", {"weight_map": {"a": name}}))


def test_a_tokenizer_names_files_of_its_own_folder_alone(write: Write, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("x")
    check_tokenizer(write("tokenizer_config.json", {"special_tokens_map_file": "/root/.cache/author/x.json"}))
    for settings_ in (
        {"vocab_file": str(tmp_path / "secret.txt")},
        {"vocab_file": "../secret.txt"},
        {"fast_tokenizer_files": ["../../tokenizer.4.0.json"]},
    ):
        with pytest.raises(InvalidModel, match="names a file elsewhere"):
            check_tokenizer(write("tokenizer_config.json", settings_))


@pytest.mark.parametrize("content", ["[]", "{", "[" * 100_000, "1", '"text"'])
def test_files_that_are_no_settings_are_refused_in_a_sentence(write: Write, content: str) -> None:
    folder = write("config.json", {})
    (folder / "config.json").write_text(content)
    with pytest.raises(InvalidModel, match=r"is not JSON|is no object of settings"):
        check_model(folder)


def test_a_link_to_settings_elsewhere_is_not_followed(write: Write, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    folder = write("other.json", {})
    (folder / "config.json").symlink_to(tmp_path / "config.json")
    with pytest.raises(InvalidModel, match="link that leads out of its folder"):
        check_model(folder)
