"""What lies in Redis and in a bucket, as files: written once by the release that is kept, read by all after it."""

import base64
import gzip
import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import redis

from agents.base.object_store import ObjectStore

RELEASE = Path(__file__).parent / "0.1.0"
#: What a restored key has at least, so that a slow machine finds it.
SHORTEST_LIFE_MS = 600_000


def read_json(name: str) -> Any:
    return json.loads((RELEASE / name).read_text("utf-8"))


def write_json(name: str, value: Any) -> None:
    (RELEASE / name).parent.mkdir(parents=True, exist_ok=True)
    (RELEASE / name).write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", "utf-8")


# -- objects and folders: a tar file, key or path -> bytes ---------------------------------------


def write_tar(name: str, files: dict[str, bytes]) -> None:
    """Write files to a compressed archive that is the same whenever it is written."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, data in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    (RELEASE / name).parent.mkdir(parents=True, exist_ok=True)
    (RELEASE / name).write_bytes(gzip.compress(buffer.getvalue(), mtime=0))


def read_tar(name: str) -> dict[str, bytes]:
    with tarfile.open(RELEASE / name) as archive:
        found = ((entry.name, archive.extractfile(entry)) for entry in archive.getmembers())
        return {path: file.read() for path, file in found if file is not None}


def unpack(name: str, folder: Path) -> None:
    """Write an archive's files below a folder."""
    for path, data in read_tar(name).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def objects_in(objects: ObjectStore, keys: Iterable[str]) -> dict[str, bytes]:
    return {key: objects.get(key) for key in keys}


def put_objects(objects: ObjectStore, name: str) -> None:
    """Put an archive's files into a bucket, each under its key."""
    for key, data in read_tar(name).items():
        objects.put(key, data)


# -- Redis: key -> type, value and what is left of its life ---------------------------------------


def dump(connection: redis.Redis) -> dict[str, Any]:
    """Return all that a Redis holds, as JSON that any Redis or Valkey can be filled from."""
    return {key.decode(): _dumped(connection, key) for key in sorted(connection.scan_iter())}


def _dumped(connection: redis.Redis, key: bytes) -> dict[str, Any]:
    kind = connection.type(key).decode()
    value: Any = {
        "string": lambda: connection.get(key),
        "hash": lambda: sorted(connection.hgetall(key).items()),
        "list": lambda: connection.lrange(key, 0, -1),
        "set": lambda: sorted(connection.smembers(key)),
        "zset": lambda: connection.zrange(key, 0, -1, withscores=True),
        "stream": lambda: [[stream_id, sorted(entry.items())] for stream_id, entry in connection.xrange(key)],
    }[kind]()
    life_ms = connection.pttl(key)
    return {"type": kind, "value": _as_text(value), **({"life_ms": life_ms} if life_ms > 0 else {})}


def restore(connection: redis.Redis, dumped: dict[str, Any]) -> None:
    """Fill an empty Redis from a dump."""
    for key, record in dumped.items():
        value = _as_bytes(record["value"])
        match record["type"]:
            case "string":
                connection.set(key, value)
            case "hash":
                connection.hset(key, mapping=dict(value))
            case "list":
                connection.rpush(key, *value)
            case "set":
                connection.sadd(key, *value)
            case "zset":
                connection.zadd(key, dict(value))
            case "stream":
                for stream_id, entry in value:
                    connection.xadd(key, dict(entry), id=stream_id)
        if life_ms := record.get("life_ms"):
            connection.pexpire(key, max(life_ms, SHORTEST_LIFE_MS))


def _as_text(value: Any) -> Any:
    """Return a value with text instead of bytes, and base64 where they are none."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}
    return [_as_text(found) for found in value] if isinstance(value, list | tuple) else value


def _as_bytes(value: Any) -> Any:
    match value:
        case str():
            return value.encode()
        case {"base64": text}:
            return base64.b64decode(text)
        case list():
            return [_as_bytes(found) for found in value]
    return value
