"""Versions of a real decoder for serving to follow: SmolLM2 as GGUF, and a tiny one as merged files for torch."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from fastapi import FastAPI

from agents.chat.format import PromptFormat
from agents.chat.renderer import make_renderer
from agents.models.gguf_file import CHAT_TEMPLATE_KEY, FINGERPRINT_KEY, MODEL_FILE, text_digest
from app.door.connections import BoundedServer, Bounds
from app.wiring import Parts
from tests.support.decoders import SMOLLM2_FILE, smollm2_tokenizer, write_tiny_decoder
from tests.support.door import Known
from tests.support.models import stored

#: Of bounded length: any model has written it after some forty tokens.
COUNT_SCHEMA = {
    "type": "object",
    "properties": {"urgent": {"type": "boolean"}, "count": {"type": "integer"}},
    "required": ["urgent", "count"],
    "additionalProperties": False,
}


def prompt_format(max_new_tokens: int = 64) -> PromptFormat:
    return make_renderer(None, smollm2_tokenizer()).format(max_new_tokens)


@cache
def gguf_folder() -> Path:
    """Return a folder with SmolLM2 as `model.gguf`, the template's facts inside, once a run."""
    from gguf import GGUFReader, GGUFValueType, GGUFWriter
    from gguf.scripts.gguf_new_metadata import MetadataDetails, copy_with_new_metadata

    folder = Path(mkdtemp(prefix="smollm2-gguf-"))
    reader = GGUFReader(SMOLLM2_FILE)
    template = reader.fields["tokenizer.chat_template"].contents()
    facts = {FINGERPRINT_KEY: prompt_format().fingerprint, CHAT_TEMPLATE_KEY: text_digest(template)}
    details = {key: MetadataDetails(GGUFValueType.STRING, value) for key, value in facts.items()}
    writer = GGUFWriter(folder / MODEL_FILE, "llama")
    copy_with_new_metadata(reader, writer, details, [])
    return folder


@cache
def merged_folder() -> Path:
    # With the tokens of the GGUF file: a version's tokenizer is one.
    return write_tiny_decoder(Path(mkdtemp(prefix="tiny-decoder-")), whole_vocabulary=True)


def put_decoder(parts: Parts, version: int, form: str, name: str = "task", **facts: Any) -> None:
    """Write a version in one format, `gguf_q8_0` or `merged`, and make it champion."""
    merged = stored(parts.objects, merged_folder())
    files = merged if form == "merged" else stored(parts.objects, gguf_folder())
    manifest = {
        "name": name,
        "version": version,
        "task": "sft",
        "labels": [],
        "max_tokens": 256,
        "prompt": prompt_format().model_dump(),
        "verdict": "PROMOTE",
        "reasons": [],
        "metrics": {},
        "answer_schema": json.dumps(COUNT_SCHEMA),
        "trained_files": _listed({path: one for path, one in merged.items() if "token" in path or "template" in path}),
        "formats": {form: _listed(files)},
        **facts,
    }
    parts.objects.put_manifest(f"models/{name}/versions/{version:06d}/manifest.json", manifest)
    parts.registry.rebuild()
    parts.registry.promote(name, version, at=1.0, reason="test")


def _listed(files: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"path": path, "artifact": artifact.model_dump()} for path, artifact in files.items()]


class _Server(BoundedServer):
    """Says when it listens."""

    def __init__(self, app: FastAPI, bounds: Bounds) -> None:
        super().__init__(Known(app), bounds, port=0)
        self.listens = threading.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.listens.set()


@contextmanager
def listening(app: FastAPI, bounds: Bounds | None = None) -> Iterator[str]:
    """Serve an app on a port of loopback, to callers who have its key; give its URL."""
    server = _Server(app, bounds or Bounds())
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert server.listens.wait(30)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
