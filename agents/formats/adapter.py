"""Adapter: the training's own files, with a base that PEFT finds: on the hub, or beside it; and a chat template."""

import json
import shutil
from pathlib import Path

from agents.base.source_uri import Repository, hub_model
from agents.chat.markup import chat_template
from agents.chat.renderer import matching_renderer
from agents.formats.base import Writing
from agents.models.files import ADAPTER_CONFIG, BASE_FOLDER
from agents.models.tokenizers import load_tokenizer

CHAT_TEMPLATE = "chat_template.jinja"


def write_beside(writing: Writing) -> None:
    """Write what lies beside the trained adapter, or in place of its files, into the folder; nothing for a model that
    was trained whole."""
    writing.folder.mkdir()
    if not (writing.source / ADAPTER_CONFIG).exists():
        return
    hub = hub_model(writing.training.base_model)
    _write_config(writing, hub)
    if writing.training.prompt is not None:
        tokenizer = load_tokenizer(writing.source)
        template = chat_template(matching_renderer(tokenizer, writing.training.prompt).template)
        (writing.folder / CHAT_TEMPLATE).write_text(template, encoding="utf-8")
    if hub is None:
        _copy_base(writing, writing.folder / BASE_FOLDER)


def _write_config(writing: Writing, hub: Repository | None) -> None:
    """Write PEFT's settings with the base as PEFT can load it, not as a spec names it."""
    settings = json.loads((writing.source / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    settings["base_model_name_or_path"] = hub.name if hub else BASE_FOLDER
    settings["revision"] = hub.revision if hub else None
    text = json.dumps(settings, indent=2, sort_keys=True)
    (writing.folder / ADAPTER_CONFIG).write_text(text, encoding="utf-8")


def _copy_base(writing: Writing, folder: Path) -> None:
    """Copy the base's weights and config; a classifier's config with its labels, so that it loads with as many."""
    source = writing.base()
    folder.mkdir()
    for name in ("config.json", "generation_config.json", "*.safetensors", "*.safetensors.index.json"):
        for path in source.glob(name):
            shutil.copy(path, folder / path.name)
    if labels := writing.training.labels:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config["id2label"] = {str(index): label for index, label in enumerate(labels)}
        config["label2id"] = {label: index for index, label in enumerate(labels)}
        (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
