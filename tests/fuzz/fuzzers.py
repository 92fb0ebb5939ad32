"""The fuzzers, by name: a parser, and inputs that start from what people write."""

import gzip
import hashlib
import io
import json
import struct
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.fuzz import parsers
from tests.fuzz.fuzzing import Fuzzer
from tests.fuzz.inputs import lines_of

SPECS = Path(__file__).parents[2] / "pipelines"
ANCHORS = lines_of("a: &a {x: 1, y: 2}", "b: &b {<<: *a, z: 3}", "c: {<<: [*a, *b]}", "name: x", "nodes: {}")
SPEC_PIECES = (
    *(b"matrix: {a: [1, 2, 3], b: [1, 2, 3]}", b"when: {metric: f1, above: 0.5}", b"retries: 1e300", b"timeout: 1e300"),
    *(
        b"needs: [training]",
        b"{<<: *a}",
        b"nodes:",
        b"config:",
        b"agent: prediction",
        b"queue: \xc3\xa4",
        b"!!binary aGk=",
    ),
)
SCHEMAS = (
    *(
        b'{"type": "object", "properties": {"a": {"type": "string", "pattern": "^[a-z]+$"}}, "required": ["a"]}',
        b"true",
    ),
    *(b'{"$defs": {"n": {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}}, "$ref": "#/$defs/n"}', b"{}", b"true"),
    *(
        b'{"$id": "http://a.example/", "$ref": "b", "type": "array", "items": {"enum": [1, "a"]}}',
        b'{"multipleOf": 0.01}',
    ),
)
SCHEMA_PIECES = (
    b'"$dynamicRef": "#x"',
    b'"patternProperties": {"(a|aa)+$": {}}',
    b'"maxLength": 1e99',
    b'"$schema": "x"',
)
JSONL = lines_of('{"text": "Win now", "label": "spam"}', '{"text": "See you", "label": "ham"}')
CHATS = lines_of('{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}')
DOCUMENT = b'{"train": [{"instruction": "Add", "input": "1 2", "output": "3"}], "test": []}'
TABLE = lines_of("text,label", '"Win, now",spam', "See you,ham", '"a ""b""\nc",ham')
URIS = (
    *(b"rows.csv", b"dataset://0123456789abcdef", b"package://pipelines/data/spam.jsonl", b"hf://org/name@main"),
    *(
        b"s3://bucket/rows/a.jsonl",
        b"./rows.csv",
        b"../rows.csv",
        b".env",
        b".tuneline/stack.json",
        b"",
        b".",
        b"file:///etc/passwd",
    ),
)
CONFIG = json.dumps(
    {
        **{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 576, "num_hidden_layers": 30},
        **{"num_attention_heads": 9, "num_key_value_heads": 3, "intermediate_size": 1536, "vocab_size": 49152},
    }
).encode()
RECORDS = (
    b'info\0epoch_ended\0training\0{"epoch": 1, "loss": 0.5}',
    b'{"id": "1-0", "at": 1.0, "level": "info", "event": "progress", "node": null, "fields": {"done": 1, "total": 2}}',
)
MANIFEST = b'{"schema": 2, "name": "spam", "version": 1, "task": "sft", "verdict": "HOLD", "metrics": {"f1": 0.9}}'


def parquet() -> bytes:
    """Return rows as Parquet."""
    file = io.BytesIO()
    table = pa.table({"text": ["Win now", "See you"] * 20, "label": pa.array(["spam", "ham"] * 20).dictionary_encode()})
    pq.write_table(table, file)
    return file.getvalue()


def archive() -> bytes:
    """Return a download as the API sends it."""
    weights = b"weights"
    artifact = {"sha256": hashlib.sha256(weights).hexdigest(), "size_bytes": len(weights), "media_type": "text/plain"}
    entry = {"path": "model.safetensors", "artifact": artifact}
    manifest = json.dumps({"formats": {"merged": [entry]}}).encode()
    return parsers.archive_of({"manifest.json": manifest, "model.safetensors": weights})


def gguf() -> bytes:
    """Return the head of a GGUF file with two facts and no tensor."""

    def text(value: bytes) -> bytes:
        return struct.pack("<Q", len(value)) + value

    facts = text(b"general.architecture") + struct.pack("<I", 8) + text(b"llama")
    facts += text(b"llama.context_length") + struct.pack("<II", 4, 2048)
    return b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + facts


def rows(name: str, *seeds: bytes) -> Fuzzer:
    """Return the fuzzer of a kind of rows, by the ending of its file."""
    return Fuzzer(f"rows-{name}", seeds, partial(parsers.parse_rows, f"rows.{name}"))


FUZZERS = {
    fuzzer.name: fuzzer
    for fuzzer in (
        Fuzzer(
            "spec",
            (*(path.read_bytes() for path in sorted(SPECS.glob("*.yaml"))), ANCHORS),
            parsers.parse_spec,
            SPEC_PIECES,
        ),
        Fuzzer("answer-schema", SCHEMAS, parsers.parse_answer_schema, SCHEMA_PIECES),
        rows("jsonl", JSONL, CHATS),
        rows("json", DOCUMENT, CHATS),
        rows("csv", TABLE),
        rows("tsv", lines_of("text\tlabel", "Win, now\tspam", "See you\tham")),
        rows("txt", lines_of("Win now\tspam", "See you\tham"), lines_of("__label__spam Win now")),
        rows("parquet", parquet()),
        Fuzzer("rows-packed", (gzip.compress(JSONL), JSONL), parsers.parse_packed_rows),
        Fuzzer("uri", URIS, parsers.parse_uri),
        Fuzzer("cursor", (b"1767225600250-0", b"0-0", b"1"), parsers.parse_cursor),
        Fuzzer("version", (b"3", b"v12", b"champion"), parsers.parse_version_name),
        Fuzzer("log-record", RECORDS, parsers.parse_log_record),
        Fuzzer("archive", (archive(),), parsers.parse_archive),
        Fuzzer("gguf", (gguf(),), parsers.parse_gguf),
        Fuzzer("model-config", (CONFIG,), parsers.parse_model_config),
        Fuzzer("manifest", (MANIFEST, MANIFEST.replace(b"task", b"\\ud800task")), parsers.parse_manifest),
    )
}
