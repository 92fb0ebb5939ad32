"""The doctor's checks of Redis and the object store: those that settings name, or the embedded ones."""

import json
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import redis

from agents.base import bucket as keys
from agents.base.errors import TunelineError, Unavailable
from agents.base.object_store import ObjectStore
from agents.base.records import Record
from app.doctor.finding import Finding
from app.server_urls import check_redis_url, shown
from app.settings import Settings
from app.stack_file import store_keys
from pipelines.engine.state.installation import Installation
from pipelines.engine.state.prefix import keeping_to
from pipelines.engine.state.redis_client import connect
from pipelines.engine.state.redis_faults import redis_error
from pipelines.engine.state.rights import refused_rights, see_that_it_writes

START_STACK = "`tuneline up` starts it."
LEAST_REDIS_MAJOR = 7
STORE_TIMEOUT_S = 10.0
#: Beyond this share of its maxmemory Redis is told of as nearly full.
FULL_SHARE = 0.9


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
    name, place = "Redis", shown(url)
    try:
        check_redis_url(url)
        # What is wrong now is wrong: no waiting for it to pass.
        with _client(settings, url) as client:
            client.ping()
            refused = refused_rights(client)
            if refused:
                return [_without_rights(place, refused)]
            facts = dict(client.info())
            see_that_it_writes(client)
    except redis.RedisError as fault:
        told = redis_error(fault, place)
        cure = START_STACK if settings.redis_url is None else told.cure
        return [Finding(name=name, ok=False, found=told.message, cure=cure)]
    except TunelineError as fault:
        return [Finding(name=name, ok=False, found=fault.message, cure=fault.cure)]
    except ValueError as fault:
        cure = "Set TUNELINE_REDIS_URL to redis://host:port/0, or rediss:// with TLS."
        return [Finding(name=name, ok=False, found=f"TUNELINE_REDIS_URL is not a Redis URL: {fault}", cure=cure)]
    return judge_redis(facts, place)


def _client(settings: Settings, url: str) -> "redis.Redis":
    made = connect(url, timeout_s=settings.redis_timeout_s, tries=0)
    return keeping_to(f"{settings.redis_prefix}:" if settings.redis_prefix else "", made)


def _without_rights(place: str, refused: list[str]) -> Finding:
    return Finding(
        name="Redis",
        ok=False,
        found=f"{place} refuses to its user: {', '.join(refused)}",
        cure="Allow it by ACL SETUSER; docs/deployment.md lists the rights that Tuneline needs.",
    )


def registry_index(settings: Settings, stack: StackFile) -> list[Finding]:
    """Compare the marks and the versions of Redis and the bucket; nothing where one of them is away."""
    redis_url, store_url = settings.redis_url or stack.url("redis_url"), _store_url(settings, stack)
    if redis_url is None or store_url is None:
        return []
    try:
        with _client(settings, redis_url) as client:
            standing = Installation(client, _store(settings, store_url)).standing()
    except (redis.RedisError, TunelineError, ValueError):
        # Told by the look at that server.
        return []
    if standing.kind == "sound":
        return [Finding(name="registry", ok=True, found="Redis knows all that the bucket holds")]
    return [Finding(name="registry", ok=False, found=standing.message, cure=standing.cure)]


def judge_redis(facts: dict[str, Any], place: str) -> list[Finding]:
    """Return one finding each for the version, the append-only file and the memory policy.

    `facts`: Redis' own answer to `INFO`.
    """
    name = f"Valkey {facts['valkey_version']}" if "valkey_version" in facts else f"Redis {facts['redis_version']}"
    new_enough = int(str(facts["redis_version"]).split(".", 1)[0]) >= LEAST_REDIS_MAJOR
    append_only = bool(facts.get("aof_enabled"))
    last_write = str(facts.get("aof_last_write_status", "ok"))
    policy = str(facts.get("maxmemory_policy", "unknown"))
    used, most = int(facts.get("used_memory", 0)), int(facts.get("maxmemory", 0))
    full = most > 0 and used > FULL_SHARE * most
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
        Finding(
            name="Redis memory",
            ok=None if full else True,
            found=f"{used >> 20} MiB of {most >> 20} MiB" if most else f"{used >> 20} MiB, no limit set",
            cure="It is nearly full: raise maxmemory, or remove what nothing needs: `tuneline gc --apply`."
            if full
            else "",
        ),
    ]


def _append_only_cure(append_only: bool, last_write: str) -> str:
    if not append_only:
        return "Jobs would be lost at a restart: set `appendonly yes` in its configuration."
    return "" if last_write == "ok" else "Its disk is full or broken: see its log."


def object_store(settings: Settings, stack: StackFile) -> Finding:
    """Write, read and delete one small object."""
    url = _store_url(settings, stack)
    if url is None:
        return stack.not_started("object store")
    name, bucket = "object store", settings.s3_bucket
    try:
        took_ms = _round_trip_ms(settings, url)
    except TunelineError as fault:
        away = isinstance(fault, Unavailable) and fault.message.endswith("doesn't answer.")
        cure = START_STACK if settings.s3_endpoint_url is None and away else fault.cure
        return Finding(name=name, ok=False, found=fault.message, cure=cure)
    except ValueError as fault:
        cure = "Set TUNELINE_S3_ENDPOINT_URL to http://host:port or https://host, and a valid TUNELINE_S3_BUCKET."
        return Finding(name=name, ok=False, found=str(fault), cure=cure)
    return Finding(name=name, ok=True, found=f"bucket '{bucket}' at {shown(url)}: round trip in {took_ms:.0f} ms")


def _store_url(settings: Settings, stack: StackFile) -> str | None:
    return settings.s3_endpoint_url or stack.url("s3_endpoint_url")


def _store(settings: Settings, url: str) -> ObjectStore:
    return ObjectStore(
        url,
        *store_keys(settings),
        settings.s3_bucket,
        region=settings.s3_region,
        timeout_s=STORE_TIMEOUT_S,
    )


def _round_trip_ms(settings: Settings, url: str) -> float:
    store = _store(settings, url)
    store.require_bucket()
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
