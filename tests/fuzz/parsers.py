"""What the fuzzers drive: each parser as the API, a worker or the command line calls it."""

import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agents import AGENTS
from agents.base.errors import InvalidRequest
from agents.base.identifiers import Cursor, parse_version
from agents.base.object_store import ObjectStore
from agents.base.sources import Sources
from agents.data.files.folders import row_files
from agents.data.reader import RowsReader
from agents.dataset.types import DatasetConfig
from agents.formats.manifest import read_manifest
from agents.generate.types import GenerateConfig
from agents.models.gguf_file import context_tokens
from agents.models.memory import ModelShape
from app.downloads import unpack
from pipelines.engine.state.log_records import archived_record, as_record
from pipelines.judge import judge
from pipelines.spec_text import parse_document

ROWS_READ = 2_000


class Quiet:
    """Listens to a reader and keeps nothing."""

    def log(self, event: str, *, level: str = "info", **fields: Any) -> None: ...

    def progress(self, done: float, total: float, **fields: Any) -> None: ...


def parse_spec(content: bytes, _: Path) -> object:
    """Read a submitted text and judge it."""
    found = parse_document(content, "The body")
    return judge(found, {}, AGENTS)


def parse_rows(name: str, content: bytes, folder: Path) -> object:
    """Read the first rows of a file of this name."""
    file = folder / name
    file.write_bytes(content)
    reader = RowsReader(DatasetConfig(source=name), Quiet(), row_files(file))
    return list(islice(reader.rows(), ROWS_READ))


def parse_packed_rows(content: bytes, folder: Path) -> object:
    """Read rows out of a gzip file; a content that is not packed is packed first."""
    packed = content if content[:2] == b"\x1f\x8b" else gzip.compress(content)
    return parse_rows("rows.jsonl.gz", packed, folder)


def parse_uri(content: bytes, folder: Path) -> object:
    """Resolve a source. The object store is one that nobody answers for, and refuses by name first."""
    root = folder / "root"
    root.mkdir(exist_ok=True)
    (root / "rows.csv").write_text("text,label\na,b\n")
    store = ObjectStore("http://127.0.0.1:9", "key", "secret", "bucket", timeout_s=0.1, patience_s=0)
    sources = Sources(store, (root,), folder / "cache")
    found = sources.local(content.decode("utf-8", "surrogateescape"), "rows")
    assert found.resolve().is_relative_to(folder.resolve()) or "/pipelines/" in str(found), found
    return found


def parse_cursor(content: bytes, _: Path) -> object:
    """Read a place in a log; what is taken can be read again from how it is written."""
    found = Cursor.parse(content.decode("utf-8", "surrogateescape"))
    assert Cursor.parse(str(found)) == found
    return found


def parse_version_name(content: bytes, _: Path) -> object:
    """Read a version's number or alias."""
    return parse_version(content.decode("utf-8", "surrogateescape"))


def parse_log_record(content: bytes, _: Path) -> object:
    """Read an entry of a stream, and a line of an archive; no entry breaks the reader, and all can be sent as JSON."""
    parts = [*content.split(b"\0"), b"", b"", b""][:4]
    entry = dict(zip((b"level", b"event", b"node", b"fields"), parts, strict=True))
    found = [as_record(b"1-0", entry), as_record(b"1-1", {}), archived_record(content, Cursor(1, 0))]
    return json.dumps(found, allow_nan=False).encode()


def parse_answer_schema(content: bytes, _: Path) -> object:
    """Check a schema of answers as the judge does."""
    schema = parse_document(content, "The schema")
    pattern = {"text": "a", "label": "{}"}
    config = {"rows": 2, "answer_schema": schema, "grammar": {"patterns": [pattern]}}
    return validated(lambda: GenerateConfig.model_validate(config))


def parse_archive(content: bytes, folder: Path) -> object:
    """Unpack a download."""
    part = folder / ".model-1-merged.etag.part"
    part.write_bytes(content)
    target = folder / "unpacked"
    target.mkdir(exist_ok=True)
    before = set(outside(folder, target))
    found = unpack(part, target, "merged")
    assert set(outside(folder, target)) <= before, "a file outside the folder"
    return found


def outside(folder: Path, target: Path) -> Iterator[Path]:
    """Yield what lies in a folder but not below `target`."""
    return (path for path in folder.rglob("*") if not path.is_relative_to(target))


def parse_gguf(content: bytes, folder: Path) -> object:
    """Read the metadata of a GGUF file."""
    file = folder / "model.gguf"
    file.write_bytes(content)
    return context_tokens(file)


def parse_model_config(content: bytes, folder: Path) -> object:
    """Work out a model's size from its config."""
    (folder / "config.json").write_bytes(content)
    return ModelShape.read(folder)


def parse_manifest(content: bytes, _: Path) -> object:
    """Read the manifest of a version."""
    try:
        written = json.loads(content)
    except (ValueError, RecursionError) as fault:
        raise InvalidRequest("not JSON") from fault
    return read_manifest(written, "spam", 1)


def validated(make: Any) -> object:
    """Call what validates a config; its refusal is one of ours, as the judge makes it."""
    try:
        return make()
    except ValidationError as fault:
        raise InvalidRequest(str(fault)[:500] or "not valid") from fault


def archive_of(files: dict[str, bytes]) -> bytes:
    """Return a tar archive of files."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()
