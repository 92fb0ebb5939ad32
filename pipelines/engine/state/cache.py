"""The step cache: the output of a node that was run before with the same inputs, code and config."""

import ast
import functools
import hashlib
import importlib.util
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from redis import Redis

from agents import AgentEntry, load_agent
from agents.base.errors import InvalidData, InvalidModel, InvalidSpec
from agents.base.object_store import ObjectStore
from agents.base.records import Input, artifacts_in
from agents.base.sources import Sources
from pipelines.engine.state import keys
from pipelines.params import leaves
from pipelines.plan import PlannedNode

CACHE_TTL_S = 30 * 86400


class CacheKey:
    """What a node's output depends on: part -> digest. The key is the digest of all parts."""

    def __init__(self, parts: Mapping[str, str]) -> None:
        self.parts = dict(parts)
        self.digest = digest(self.parts)

    def changed_from(self, older: Mapping[str, str]) -> list[str]:
        """Return the parts that are new or other than in an older key."""
        return sorted(part for part in {*self.parts, *older} if self.parts.get(part) != older.get(part))


class StepCache:
    """Outputs by key, in Redis; their artifacts stay in the object store."""

    def __init__(self, connection: "Redis", objects: ObjectStore) -> None:
        self._connection = connection
        self._objects = objects

    def find(self, pipeline: str, node: PlannedNode, key: CacheKey) -> tuple[dict[str, Any] | None, str]:
        """Return the output kept for a key, or None, and why it hit or missed."""
        found = self._connection.get(keys.cache(key.digest))
        if found is not None:
            entry = json.loads(found)
            gone = [a.sha256[:12] for a in artifacts_in(entry["output"]) if not self._objects.has_artifact(a)]
            if not gone:
                return entry["output"], f"same inputs, code and config as in {entry['job']}"
            return None, f"same as in {entry['job']}, but artifact {gone[0]} is no longer in the object store"
        older = self._connection.get(keys.cache_parts(pipeline, node.name))
        if older is None:
            return None, "first run of this node"
        changed = key.changed_from(json.loads(older))
        return None, f"changed since the last run: {', '.join(changed)}" if changed else "the kept output has expired"

    @staticmethod
    def store_commands(
        pipeline: str, node: PlannedNode, job: str, key: CacheKey, output: Mapping[str, Any]
    ) -> list[tuple[str, ...]]:
        """Return the Redis commands that keep an output, for the transaction that completes its node."""
        entry = json.dumps({"job": job, "node": node.name, "output": output})
        return [
            ("SET", keys.cache(key.digest), entry, "EX", str(CACHE_TTL_S)),
            ("SET", keys.cache_parts(pipeline, node.name), json.dumps(key.parts), "EX", str(CACHE_TTL_S)),
        ]


def cache_key(
    node: PlannedNode,
    entry: AgentEntry,
    inputs: tuple[Input, ...],
    sources: Sources,
    champion: Mapping[str, Any] | None,
    pipeline: str,
) -> CacheKey | None:
    """Return a node's key, or None where what its config names can't be read: the agent will say why."""
    agent_type = load_agent(entry.path)
    agent = agent_type()
    try:
        config = agent_type.parse_config(node.config)
        named, loaded = agent.cache_inputs(config, sources), agent.loads(config, inputs)
    except (InvalidData, InvalidModel, InvalidSpec, ValidationError):
        return None
    parts = {
        "code": code_version(entry.path),
        **{f"code.{path}": code_version(path) for path in loaded},
        **{f"config.{path}": digest(value) for path, value in leaves(node.config)},
        **{f"input.{given.node}": digest(given.output) for given in inputs},
        **{f"source.{name}": value for name, value in named.items()},
    }
    if node.reads_champion:
        parts["champion"] = str(champion["version"]) if champion else "none"
        parts["pipeline"] = pipeline
    if node.makes_version:
        parts["pipeline"] = pipeline
    return CacheKey(parts)


@functools.cache
def code_version(agent_path: str) -> str:
    """Return a digest of an agent's own source and of all project modules it imports."""
    seen: dict[str, str] = {}
    _read_sources(agent_path.partition(":")[0], seen)
    return digest(seen)


def digest(value: Any) -> str:
    """Return the sha256 of a value as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _read_sources(module: str, seen: dict[str, str]) -> None:
    spec = importlib.util.find_spec(module)
    if module in seen or spec is None or spec.origin is None:
        return
    files = [Path(spec.origin)]
    if spec.submodule_search_locations:
        files = sorted(Path(spec.origin).parent.glob("*.py"))
    sources = {path.name: path.read_bytes() for path in files}
    seen[module] = digest({name: hashlib.sha256(source).hexdigest() for name, source in sources.items()})
    own = module.partition(".")[0]
    for source in sources.values():
        for imported in _imports(source):
            # `agents` itself is only the table of agents: it says nothing of what one of them does.
            if imported.startswith(f"{own}.") and not imported.startswith(f"{module}."):
                _read_sources(imported, seen)


def _imports(source: bytes) -> Iterator[str]:
    for statement in ast.walk(ast.parse(source)):
        if isinstance(statement, ast.Import):
            yield from (name.name for name in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.module:
            yield statement.module
