"""The doctor's checks of Redis and the object store: those that settings name, or the embedded ones."""

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from agents.base import bucket as keys
from agents.base.errors import NotFound, TunelineError
from agents.base.object_store import ObjectStore
from agents.base.records import Record
from app.doctor.finding import Finding
from app.settings import Settings
from app.wiring import store_keys

START_STACK = "`tuneline up` starts it."
LEAST_REDIS_MAJOR = 7
STORE_TIMEOUT_S = 10.0


class StackFile(Record):
    """What `tuneline up` wrote about its servers; `fault` where the file can't be read."""

    path: Path
    urls: dict[str, Any] | None = None
    fault: str | None = None

    @classmethod
    def read(cls, path: Path) -> "StackFile":
        try:
            urls = json.loads(path.read_text())
        except FileNotFoundError:
            return cls(path=path)
        except (OSError, ValueError) as fault:
            return cls(path=path, fault=str(fault))
        return (
            cls(path=path, urls=urls)
            if isinstance(urls, dict)
            else cls(path=path, fault="it does not hold a JSON object")
        )

    def url(self, key: str) -> str | None:
        """Return the URL under `key`, where the stack has been started."""
        return str(self.urls[key]) if self.urls and self.urls.get(key) else None

    def not_started(self, name: str) -> Finding:
        if self.fault:
            cure = f"Delete it, then start the stack again: {START_STACK}"
            return Finding(name=name, ok=False, found=f"{self.path} can't be read: {self.fault}", cure=cure)
        return Finding(name=name, ok=None, found="not started", cure=START_STACK)


def redis_server(settings: Settings, stack: StackFile) -> list[Finding]:
    """Check that Redis answers, is new enough, and keeps what it is given."""
    url = settings.redis_url or stack.url("redis_url")
    if url is None:
        return [stack.not_started("Redis")]
    try:
        with redis.Redis.from_url(
            url,
            socket_timeout=settings.redis_timeout_s,
            socket_connect_timeout=settings.redis_timeout_s,
            retry=Retry(NoBackoff(), 0),  # What is wrong now is wrong: no waiting for it to pass.
        ) as client:
            facts = dict(client.info())
    except (redis.RedisError, ValueError) as fault:
        return [_redis_fault(url, fault, embedded=settings.redis_url is None)]
    return judge_redis(facts, _place(url))


def judge_redis(facts: dict[str, Any], place: str) -> list[Finding]:
    """Return one finding each for the version, the append-only file and the memory policy.

    `facts`: Redis' own answer to `INFO`.
    """
    name = f"Valkey {facts['valkey_version']}" if "valkey_version" in facts else f"Redis {facts['redis_version']}"
    new_enough = int(str(facts["redis_version"]).split(".", 1)[0]) >= LEAST_REDIS_MAJOR
    append_only = bool(facts.get("aof_enabled"))
    last_write = str(facts.get("aof_last_write_status", "ok"))
    policy = str(facts.get("maxmemory_policy", "unknown"))
    return [
        Finding(
            name="Redis",
            ok=new_enough,
            found=f"{name} at {place}",
            cure="" if new_enough else "Use Redis 7, 8 or Valkey.",
        ),
        Finding(
            name="Redis append-only file",
            ok=append_only and last_write == "ok",
            found=f"{'on' if append_only else 'off'}, last write {last_write}" if append_only else "off",
            cure=_append_only_cure(append_only, last_write),
        ),
        Finding(
            name="Redis memory policy",
            ok=policy == "noeviction",
            found=policy,
            cure="" if policy == "noeviction" else "Jobs could be forgotten: set `maxmemory-policy noeviction`.",
        ),
    ]


def _append_only_cure(append_only: bool, last_write: str) -> str:
    if not append_only:
        return "Jobs would be lost at a restart: set `appendonly yes` in its configuration."
    return "" if last_write == "ok" else "Its disk is full or broken: see its log."


def _redis_fault(url: str, fault: Exception, *, embedded: bool) -> Finding:
    if isinstance(fault, redis.AuthenticationError | redis.exceptions.NoPermissionError):
        return Finding(
            name="Redis",
            ok=False,
            found=f"{_place(url)} refuses the password or user",
            cure="Correct them in TUNELINE_REDIS_URL: redis://user:password@host:port/0.",
        )
    if isinstance(fault, ValueError):
        cure = "Set TUNELINE_REDIS_URL to redis://host:port/0, or rediss:// with TLS."
        return Finding(name="Redis", ok=False, found="TUNELINE_REDIS_URL is not a Redis URL", cure=cure)
    cure = START_STACK if embedded else "Start it, or check TUNELINE_REDIS_URL."
    return Finding(name="Redis", ok=False, found=f"{_place(url)} doesn't answer", cure=cure)


def object_store(settings: Settings, stack: StackFile) -> Finding:
    """Write, read and delete one small object."""
    url = settings.s3_endpoint_url or stack.url("s3_endpoint_url")
    if url is None:
        return stack.not_started("object store")
    name, bucket = "object store", settings.s3_bucket
    try:
        took_ms = _round_trip_ms(settings, url)
    except NotFound:
        cure = f"Make the bucket '{bucket}', or check TUNELINE_S3_BUCKET."
        return Finding(name=name, ok=False, found=f"{_place(url)} has no bucket '{bucket}'", cure=cure)
    except TunelineError as fault:
        cure = START_STACK if settings.s3_endpoint_url is None and fault.retryable else fault.cure
        return Finding(name=name, ok=False, found=fault.message, cure=cure)
    except ValueError as fault:
        cure = "Set TUNELINE_S3_ENDPOINT_URL to http://host:port or https://host, and a valid TUNELINE_S3_BUCKET."
        return Finding(name=name, ok=False, found=str(fault), cure=cure)
    return Finding(name=name, ok=True, found=f"bucket '{bucket}' at {_place(url)}: round trip in {took_ms:.0f} ms")


def _round_trip_ms(settings: Settings, url: str) -> float:
    store = ObjectStore(
        url,
        *store_keys(settings),
        settings.s3_bucket,
        region=settings.s3_region,
        timeout_s=STORE_TIMEOUT_S,
    )
    key, content = keys.probe(str(uuid4())), b"round trip"
    started_at = time.perf_counter()
    store.put(key, content, "text/plain")
    try:
        if store.get(key) != content:
            raise TunelineError(
                f"The object store at {url} gave back other bytes than it was given.", cure="Replace it."
            )
    finally:
        store.delete([key])
    return (time.perf_counter() - started_at) * 1000


def _place(url: str) -> str:
    """Return host and port of a URL, without the password in it."""
    return urlsplit(url).netloc.rpartition("@")[2] or url
