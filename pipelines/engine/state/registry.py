"""The model registry: versions are manifests in the object store, aliases point at them.

Redis holds the index; a copy of the aliases lies beside the manifests, so that the index can be
rebuilt from the object store alone.
"""

import json
from typing import Any

import structlog
from redis import Redis

from agents.base import bucket
from agents.base.errors import Conflict, CorruptArtifact, InvalidRequest, NotFound
from agents.base.identifiers import is_name, parse_version
from agents.base.names import printable
from agents.base.object_store import ObjectStore
from agents.formats.manifest import Manifest, read_manifest
from pipelines.engine.attempt_id import named_node_key, node_key
from pipelines.engine.state import keys
from pipelines.engine.state.installation import Installation, newest_versions
from pipelines.engine.state.moves import REASON_MOST, moves_of
from pipelines.engine.state.store import move_alias
from pipelines.plan import PlannedNode

log = structlog.get_logger()
#: So many models are named to somebody who asks for one that is not there.
NAMED_MOST = 20
#: Gives a job's node its version number: the same again however often it asks, also under the name that an older
#: release kept it by; a new one is above all that the object store holds.
RESERVE = """
local known = redis.call('HGET', KEYS[1], ARGV[1]) or redis.call('HGET', KEYS[1], ARGV[2])
if known then return tonumber(known) end
if tonumber(redis.call('HGET', KEYS[1], 'last') or 0) < tonumber(ARGV[3]) then
  redis.call('HSET', KEYS[1], 'last', ARGV[3])
end
local number = redis.call('HINCRBY', KEYS[1], 'last', 1)
redis.call('HSET', KEYS[1], ARGV[1], number)
return number
"""


class Registry:
    """Model versions and the aliases `champion` and `previous`."""

    def __init__(self, connection: "Redis", objects: ObjectStore) -> None:
        self.connection = connection
        self.objects = objects
        self._installation = Installation(connection, objects)
        self._reserve = connection.register_script(RESERVE)

    def reserve(self, model: str, job: str, node: PlannedNode) -> int:
        """Return the version number that belongs to a job's node.

        Raises:
            Conflict: Redis lost data, or the bucket is another installation's.
        """
        self._installation.require(model)
        newest = newest_versions(self.objects, model).get(model, 0)
        return int(self._reserve(keys=[keys.reserved(model)], args=[*reservation_fields(job, node), newest]))

    @staticmethod
    def add_commands(model: str, version: int) -> list[tuple[str, ...]]:
        """Return the Redis commands that put a version into the index, for the transaction that ends its export."""
        return [
            ("SADD", keys.MODELS, model),
            ("HSET", keys.versions(model), str(version), bucket.version_manifest(model, version)),
        ]

    def names(self) -> list[str]:
        """Return all models, sorted."""
        found = (name.decode(errors="replace") for name in self.connection.smembers(keys.MODELS))
        return sorted(name for name in found if is_name(name))

    def versions(self, model: str) -> list[int]:
        """Return a model's versions, newest first.

        Raises:
            NotFound: no such model.
        """
        written = self.connection.hkeys(keys.versions(model)) if is_name(model) else []
        found = sorted((int(version) for version in written if version.isdigit()), reverse=True)
        if not found:
            known = ", ".join(self.names()[:NAMED_MOST])
            cure = f"There are: {known}." if known else "There are none yet: `tuneline run spam` makes one."
            raise NotFound(f"There is no model '{printable(model)}'.", cure=cure)
        return found

    def aliases(self, model: str) -> dict[str, int]:
        """Return a model's aliases, such as `{"champion": 3, "previous": 2}`."""
        found = self.connection.hgetall(keys.aliases(model)) if is_name(model) else {}
        return {alias.decode(errors="replace"): int(version) for alias, version in found.items() if version.isdigit()}

    def manifest(self, model: str, version: int) -> Manifest:
        """Return a version's manifest.

        Raises:
            NotFound: no such model or version.
            CorruptArtifact: the manifest is damaged, or of a newer release.
        """
        return read_manifest(self.written_manifest(model, version), model, version)

    def written_manifest(self, model: str, version: int) -> Any:
        """Return a version's manifest as it is stored: whatever JSON it is.

        Raises:
            NotFound: no such model or version.
            CorruptArtifact: it is not JSON.
        """
        if version not in self.versions(model):
            raise NotFound(f"There is no version {version} of '{model}'.", cure=f"See `tuneline models show {model}`.")
        return self.objects.get_manifest(bucket.version_manifest(model, version))

    def is_complete(self, model: str, version: int) -> bool:
        """Say whether a version's manifest is there."""
        return self.objects.size(bucket.version_manifest(model, version)) is not None

    def champion(self, model: str) -> dict[str, Any] | None:
        """Return the manifest of the present champion, or None where there is none."""
        version = self.aliases(model).get("champion")
        return self.objects.get_manifest(bucket.version_manifest(model, version)) if version is not None else None

    def resolve(self, model: str, wanted: str) -> int:
        """Return the version that an alias or a number (`3`, `v3`) names.

        Raises:
            NotFound: no such model, version or alias.
            InvalidRequest: it is neither a number nor an alias.
        """
        named, versions = parse_version(wanted), self.versions(model)
        number = self.aliases(model).get(named) if isinstance(named, str) else named
        if number is None or number not in versions:
            raise NotFound(f"'{model}' has no version '{wanted}'.", cure=f"See `tuneline models show {model}`.")
        return number

    def history(self, model: str, most: int | None = None) -> list[dict[str, Any]]:
        """Return the moves of the champion alias (the newest `most`), newest first, without what can't be read."""
        return moves_of(self.connection, model, most)

    # -- moving aliases ------------------------------------------------------------------------

    def promote(self, model: str, version: int, *, at: float, reason: str, force: bool = False) -> dict[str, int]:
        """Make a version the champion; return the aliases.

        Raises:
            NotFound: no such version.
            Conflict: its verdict was not PROMOTE, or was given beside another champion than the present one; not
                raised with `force`. Redis lost data, or the bucket is another installation's; always raised.
            InvalidRequest: the reason is too long.
        """
        _check_reason(reason)
        self._installation.require(model)
        manifest = self.manifest(model, version)
        if manifest.verdict != "PROMOTE" and not force:
            raise Conflict(
                f"Version {version} of '{model}' was judged {manifest.verdict}: {' '.join(manifest.reasons)}",
                cure="Promote it anyway with force and a reason.",
            )
        # A version that was champion before may come back: what it was judged beside is long gone.
        been = any(move["version"] == version and not move.get("deleted") for move in self.history(model))
        untold = "judged_against" not in manifest.model_fields_set
        beside = None if force or been or untold else (manifest.judged_against,)
        return self._move(model, version, {"at": at, "why": reason, "forced": force}, beside)

    def rollback(self, model: str, *, at: float, reason: str) -> dict[str, int]:
        """Make the previous champion the champion again; return the aliases.

        Raises:
            NotFound: no such model.
            Conflict: there was no champion before; or as `promote` says of lost data.
            InvalidRequest: the reason is too long.
        """
        _check_reason(reason)
        self._installation.require(model)
        self.versions(model)
        previous = self.aliases(model).get("previous")
        if previous is None:
            raise Conflict(f"'{model}' has no previous champion to go back to.")
        return self._move(model, previous, {"at": at, "why": reason, "rollback": True})

    def delete(self, model: str, version: int, *, at: float, reason: str) -> None:
        """Remove a version; its files go with the next `tuneline gc`. Broken off, it can be done again.

        Raises:
            NotFound: no such version.
            Conflict: an alias points at it; or as `promote` says of lost data.
            InvalidRequest: the reason is too long.
        """
        _check_reason(reason)
        self._installation.require(model)
        if version not in self.versions(model) and not self.is_complete(model, version):
            raise NotFound(f"There is no version {version} of '{model}'.", cure=f"See `tuneline models show {model}`.")

        def remove(pipe: Any) -> None:
            aliases = {int(number): alias.decode() for alias, number in pipe.hgetall(keys.aliases(model)).items()}
            pipe.multi()
            if version in aliases:
                raise Conflict(
                    f"Version {version} of '{model}' is its {aliases[version]}.", cure="Promote another version first."
                )
            pipe.hdel(keys.versions(model), version)
            pipe.lpush(keys.history(model), json.dumps({"version": version, "deleted": True, "at": at, "why": reason}))

        self.connection.transaction(remove, keys.aliases(model))
        self.objects.delete([bucket.version_manifest(model, version)])
        self.save_aliases(model)

    def _move(
        self, model: str, version: int, note: dict[str, Any], beside: tuple[int | None] | None = None
    ) -> dict[str, int]:
        """Move the alias; `beside`: the champion that there must be for it, unset where any will do."""

        def move(pipe: Any) -> None:
            found = pipe.hget(keys.aliases(model), "champion")
            pipe.multi()
            present = int(found) if found else None
            if beside is not None and present not in {version, *beside}:
                raise _judged_beside_another(model, version, beside[0], present)
            if found is None or int(found) != version:
                move_alias(pipe, model, version, int(found) if found else None, note)

        self.connection.transaction(move, keys.aliases(model))
        self.save_aliases(model)
        return self.aliases(model)

    # -- the copy beside the manifests ---------------------------------------------------------

    def save_aliases(self, model: str) -> None:
        """Copy a model's aliases and their history to the object store; not where Redis lost data."""
        if self._installation.known_standing().kind != "sound" or self._installation.is_behind(model):
            log.warning("aliases_not_saved", model=model)
            return
        record = {"aliases": self.aliases(model), "history": self.history(model)}
        self.objects.put_manifest(bucket.aliases(model), record)

    def rebuild(self) -> dict[str, int]:
        """Rebuild the index from the manifests, and begin a new epoch; return how many versions each model has.

        Versions without a manifest are left out: they don't exist. Moves that Redis alone knows are kept.

        Raises:
            Conflict: the bucket is another installation's.
        """
        standing = self._installation.standing()
        if standing.kind == "foreign":
            raise standing.error()
        return self._rebuilt()

    def adopt(self) -> dict[str, int]:
        """Make the bucket this Redis' own, whoever it belonged to, then rebuild the index from it."""
        self._installation.adopt()
        return self._rebuilt()

    def _rebuilt(self) -> dict[str, int]:
        found: dict[str, list[int]] = {}
        for key in self.objects.keys(bucket.MODELS):
            if (version := bucket.version_of(key)) is not None:
                found.setdefault(version.model, []).append(version.number)
        for model, versions in found.items():
            self._rebuild(model, versions)
        self._installation.renew()
        return {model: len(versions) for model, versions in found.items()}

    def _rebuild(self, model: str, versions: list[int]) -> None:
        try:
            record = self.objects.get_manifest(bucket.aliases(model))
        except (NotFound, CorruptArtifact):
            record = {"aliases": {}, "history": []}
        if not self._installation.lacks_a_move(model) and self.history(model):
            record = {"aliases": self.aliases(model), "history": self.history(model)}
        told = [int(move["version"]) for move in record["history"]]
        last = max(int(self.connection.hget(keys.reserved(model), "last") or 0), *versions, *told)
        with self.connection.pipeline() as pipe:
            pipe.sadd(keys.MODELS, model)
            pipe.delete(keys.versions(model), keys.aliases(model), keys.history(model))
            pipe.hset(
                keys.versions(model), mapping={version: bucket.version_manifest(model, version) for version in versions}
            )
            pipe.hset(keys.reserved(model), "last", last)
            kept = {alias: version for alias, version in record["aliases"].items() if version in versions}
            if kept:
                pipe.hset(keys.aliases(model), mapping=kept)
            if record["history"]:
                pipe.rpush(keys.history(model), *(json.dumps(move) for move in record["history"]))
            pipe.execute()


def reservation_fields(job: str, node: PlannedNode) -> list[str]:
    """Return the fields of `keys.reserved` that may hold a node's version number; new ones go into the first."""
    return [node_key(job, node.number), named_node_key(job, node.name)]


def _check_reason(reason: str) -> None:
    if len(reason) > REASON_MOST:
        raise InvalidRequest(
            f"The reason has {len(reason):,} characters, more than the {REASON_MOST:,} that are kept.",
            cure="Shorten it; a link can hold the rest.",
        )


def _judged_beside_another(model: str, version: int, judged: int | None, present: int | None) -> Conflict:
    was = f"beside champion v{judged}" if judged else "while there was no champion"
    now = f"v{present} is champion" if present else "there is none"
    return Conflict(
        f"Version {version} of '{model}' was judged {was}, and now {now}: the verdict says nothing of that.",
        cure="Run its pipeline again, or promote it anyway with force and a reason.",
    )
