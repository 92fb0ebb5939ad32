"""GGUF: a merged decoder as one file that llama.cpp and Ollama run, with the template that it learned inside."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from agents.base.errors import InvalidModel
from agents.chat.format import PromptFormat
from agents.chat.layout_template import first_text
from agents.chat.markup import chat_template, ollama_template
from agents.chat.renderer import matching_renderer
from agents.formats.base import Writing
from agents.formats.modelfile import Answering, modelfile
from agents.formats.quantise import quantise
from agents.models.gguf_file import (
    CHAT_TEMPLATE_KEY,
    FINGERPRINT_KEY,
    MAX_NEW_TOKENS_KEY,
    MODEL_FILE,
    MODELFILE,
    TEMPLATE_KEY,
    text_digest,
)
from agents.models.quiet import quiet_exporters, root_cause
from agents.models.tokenizers import load_tokenizer, longest_input_tokens
from agents.training.types import TrainingOutput

LEAVE_OUT = "Leave the formats gguf_* out of the export."


@dataclass(frozen=True)
class GgufFacts:
    """What the file says beside the weights. `end_token_id`: the token that ends an answer."""

    name: str
    prompt: PromptFormat
    end_token_id: int
    chat_template: str


def write(writing: Writing) -> None:
    """Write a merged model in float16, which all GGUF formats are made of. Raises: as `write_gguf_folder`."""
    write_gguf_folder(writing.source, writing.folder, writing.name, writing.training)


def write_q8_0(writing: Writing) -> None:
    """Write the float16 GGUF with 8-bit weights. Raises InvalidModel: its rows can't be quantised."""
    _write_quantised(writing, "q8_0")


def write_q4_k_m(writing: Writing) -> None:
    """Write the float16 GGUF with weights in 4 to 6 bits. Raises InvalidModel: its rows can't be quantised."""
    _write_quantised(writing, "q4_k_m")


def _write_quantised(writing: Writing, kind: str) -> None:
    writing.folder.mkdir()
    shutil.copy(writing.source / MODELFILE, writing.folder / MODELFILE)
    types = quantise(writing.source / MODEL_FILE, writing.folder / MODEL_FILE, kind)
    writing.log("gguf_quantised", format=f"gguf_{kind}", tensors=types)


def write_gguf_folder(merged: Path, folder: Path, name: str, training: TrainingOutput) -> None:
    """Write a merged model into a new folder: `model.gguf` in float16, and a Modelfile for Ollama.

    Raises:
        InvalidModel: as `write_gguf`; or the merged model's template is not the one that was trained.
    """
    if training.prompt is None:
        raise InvalidModel(
            "The training names no prompt template.", cure="Run it again, with a task whose models write text."
        )
    tokenizer = load_tokenizer(merged)
    renderer = matching_renderer(tokenizer, training.prompt)
    folder.mkdir()
    facts = GgufFacts(name, training.prompt, renderer.end_token_id, chat_template(renderer.template))
    write_gguf(merged, folder / MODEL_FILE, facts)
    answering = Answering(
        template=ollama_template(renderer.template, first_text(tokenizer)),
        stop=str(tokenizer.convert_ids_to_tokens(renderer.end_token_id)),
        max_new_tokens=training.prompt.max_new_tokens,
        max_tokens=training.max_tokens,
        context_length=longest_input_tokens(merged, tokenizer),
    )
    (folder / MODELFILE).write_text(modelfile(name, answering), encoding="utf-8")


def foresee(folder: Path) -> None:
    """Refuse a model that llama.cpp's converter does not know, by its config and tokenizer alone.

    Raises:
        InvalidModel: it does not know the architecture, or the tokenizer.
    """
    try:
        with quiet_exporters():
            _converter(folder, folder / MODEL_FILE, "model").set_vocab()
    except Exception as fault:
        # As when it is written.
        raise InvalidModel(f"The model can't be written as GGUF: {root_cause(fault)}", cure=LEAVE_OUT) from fault


def write_gguf(merged: Path, file: Path, facts: GgufFacts) -> None:
    """Write a merged model and its tokenizer as GGUF with weights in float16.

    Weights are read from the safetensors as they are written, so that this needs little memory.

    Raises:
        InvalidModel: llama.cpp's converter doesn't know its architecture or its tokenizer.
    """
    try:
        with torch.inference_mode(), quiet_exporters():
            model = _converter(merged, file, facts.name)
            model.prepare_tensors()
            model.prepare_metadata(vocab_only=False)
            _add_facts(model.gguf_writer, facts)
            model.gguf_writer.write_header_to_file(path=file)
            model.gguf_writer.write_kv_data_to_file()
            model.gguf_writer.write_tensors_to_file(progress=False)
            model.gguf_writer.close()
    except Exception as fault:
        # The converter raises whatever it meets: an unknown name, a missing key, a failed assertion.
        raise InvalidModel(f"The model can't be written as GGUF: {root_cause(fault)}", cure=LEAVE_OUT) from fault


def _converter(merged: Path, file: Path, name: str) -> Any:
    from conversion import ModelBase, ModelType, get_model_architecture, get_model_class
    from gguf import LlamaFileType

    architecture = get_model_architecture(ModelBase.load_hparams(merged, False), ModelType.TEXT)
    return get_model_class(architecture)(merged, LlamaFileType.MOSTLY_F16, file, model_name=name)


def _add_facts(writer: Any, facts: GgufFacts) -> None:
    prompt = facts.prompt
    # Where the template ends an answer by another token than the tokenizer ends a text, it is the answer's that counts.
    writer.add_eos_token_id(facts.end_token_id)
    writer.add_chat_template(facts.chat_template)
    writer.add_string(TEMPLATE_KEY, prompt.template)
    writer.add_string(FINGERPRINT_KEY, prompt.fingerprint)
    writer.add_string(CHAT_TEMPLATE_KEY, text_digest(facts.chat_template))
    writer.add_uint32(MAX_NEW_TOKENS_KEY, prompt.max_new_tokens)
