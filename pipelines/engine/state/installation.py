"""Whose Redis and whose bucket these are, and whether Redis still knows all that the bucket holds.

Both carry a mark: the installation's id, and an epoch that `tuneline registry rebuild` renews in both. A Redis without
a mark beside a bucket that has one has lost its data or is another installation's; one with an older epoch, or that
knows fewer versions or moves of aliases than the bucket, was restored from an older state. Until a rebuild nothing is
promoted, exported or collected then: versions that exist would be overwritten, and artifacts in use removed.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from secrets import token_hex
from typing import Any, Literal

from pydantic import ValidationError
from redis import Redis

from agents.base import bucket
from agents.base.errors import Conflict, CorruptArtifact, NotFound
from agents.base.object_store import ObjectStore
from agents.base.records import Record
from pipelines.engine.state import keys
from pipelines.engine.state.moves import moves_of

REBUILD = "Run `tuneline registry rebuild`"
LOST_CURE = f"{REBUILD}. If this is a new installation, set another TUNELINE_S3_BUCKET instead."
#: How often one of all processes compares Redis with the whole bucket, in seconds.
LOOK_EVERY_S = 60
#: As many of the newest moves in Redis are searched for the bucket's newest: it saves each move as it is made.
MOVES_LOOKED_AT = 100
Kind = Literal["sound", "lost", "foreign"]


class Mark(Record):
    """What Redis and the bucket carry; `bucket` is the name of the one that belongs to this Redis."""

    installation: str
    epoch: str
    bucket: str = ""


@dataclass(frozen=True)
class Standing:
    """How Redis and the bucket stand to each other.

    `lost`: Redis doesn't know what the bucket holds. `foreign`: they belong to two installations.
    """

    kind: Kind = "sound"
    message: str = ""
    cure: str = ""

    def __str__(self) -> str:
        return f"{self.message} {self.cure}".strip()

    def error(self) -> Conflict:
        """Return the refusal of what needs them to be sound."""
        return Conflict(self.message, cure=self.cure)


SOUND = Standing()


def judge(kept: Mark | None, stored: Mark | None, name: str, behind: Iterable[str]) -> Standing:
    """Return the standing of a Redis with mark `kept` beside the bucket `name` with mark `stored`; None: there is none.

    `behind`: models of which the bucket holds more than Redis knows; only looked at where the marks agree.
    """
    if kept is not None and kept.bucket != name:
        return Standing(
            "foreign",
            f"This Redis belongs to the bucket '{kept.bucket}', and TUNELINE_S3_BUCKET is '{name}'.",
            f"Set TUNELINE_S3_BUCKET={kept.bucket}, or, if all was moved to '{name}': `tuneline registry adopt`.",
        )
    if stored is not None and kept is None:
        return Standing("lost", f"Redis lost its data: it doesn't know what the bucket '{name}' holds.", LOST_CURE)
    if stored is not None and kept is not None and stored.installation != kept.installation:
        return Standing(
            "foreign",
            f"The bucket '{name}' belongs to another installation ({stored.installation}) than this Redis "
            f"({kept.installation}).",
            "Set another TUNELINE_S3_BUCKET or another TUNELINE_REDIS_URL. If that installation is gone for good: "
            "`tuneline registry adopt` takes its bucket over.",
        )
    if stored is not None and kept is not None and stored.epoch != kept.epoch:
        return Standing("lost", "Redis lost data: it was restored from before the last rebuild.", f"{REBUILD}.")
    if found := next(iter(behind), None):
        message = f"Redis lost data: the bucket '{name}' holds more of the model '{found}' than Redis knows."
        return Standing("lost", message, f"{REBUILD}.")
    return SOUND


class Installation:
    """The marks of a Redis and a bucket. Nothing is kept here: any process may ask."""

    def __init__(self, connection: "Redis", objects: ObjectStore) -> None:
        self._connection = connection
        self._objects = objects

    # -- asking --------------------------------------------------------------------------------

    def standing(self, model: str | None = None) -> Standing:
        """Compare the marks, and what there is of one model or of all; changes nothing."""
        kept, stored = self._kept(), self._stored()
        return judge(kept, stored, self._objects.bucket, self._behind(model))

    def known_standing(self) -> Standing:
        """Return what Redis alone says: that it has no mark, or what was found at the last look."""
        return known_standing(self._connection)

    def require_bucket(self) -> None:
        """See that the bucket is the one that Redis belongs to, whether there is one yet or not.

        Raises:
            Conflict: it is another.
        """
        _refuse(judge(self._kept(), None, self._objects.bucket, ()))

    def require(self, model: str | None = None) -> None:
        """See that Redis and the bucket belong together, and that Redis knows all of one model or of all models.

        Raises:
            Conflict: they don't, or it doesn't; the cure says which command helps.
        """
        _refuse(self.look(model))

    def is_behind(self, model: str) -> bool:
        """Say whether the bucket holds more of a model than Redis knows."""
        return any(self._behind(model))

    # -- marking -------------------------------------------------------------------------------

    def look(self, model: str | None = None) -> Standing:
        """Compare, mark what has no mark yet, and keep what was found for those who ask Redis alone."""
        kept, stored = self._kept(), self._stored()
        said = self._connection.hexists(keys.INSTALLATION, "standing")
        found = judge(kept, stored, self._objects.bucket, self._behind(None if said else model))
        if found.kind == "sound" and (kept is None or stored is None):
            found = self._marked(kept)
        if found.kind == "sound" and said:
            self._connection.hdel(keys.INSTALLATION, "standing")
        elif found.kind != "sound" and kept is not None:
            record = {"kind": found.kind, "message": found.message, "cure": found.cure}
            self._connection.hset(keys.INSTALLATION, "standing", json.dumps(record))
        return found

    def look_now_and_then(self) -> Standing:
        """Return what Redis says, after a look at the bucket where no process has taken one lately."""
        if self._connection.set(keys.LOOKED, 1, nx=True, ex=LOOK_EVERY_S):
            return self.look()
        return self.known_standing()

    def renew(self) -> None:
        """Begin a new epoch in the bucket and then in Redis, which is the bucket's from now on."""
        stored, kept = self._stored(), self._kept()
        owner = (stored or kept or _new_mark("")).installation
        self._write(Mark(installation=owner, epoch=token_hex(8), bucket=self._objects.bucket))

    def adopt(self) -> None:
        """Make the bucket this Redis' own, whoever it belonged to."""
        owner = (self._kept() or _new_mark("")).installation
        self._write(Mark(installation=owner, epoch=token_hex(8), bucket=self._objects.bucket))

    def _marked(self, kept: Mark | None) -> Standing:
        """Write the marks that are missing; of several processes that do, the first decides."""
        if kept is None:
            made = _new_mark(self._objects.bucket)
            first = self._connection.hsetnx(keys.INSTALLATION, "mark", made.model_dump_json())
            kept = made if first else self._kept() or made
        self._objects.create(bucket.INSTALLATION, kept.model_dump_json().encode(), "application/json")
        return judge(kept, self._stored(), self._objects.bucket, ())

    def _write(self, mark: Mark) -> None:
        self._objects.put(bucket.INSTALLATION, mark.model_dump_json().encode(), "application/json")
        with self._connection.pipeline() as pipe:
            pipe.delete(keys.INSTALLATION)
            pipe.hset(keys.INSTALLATION, "mark", mark.model_dump_json())
            pipe.execute()

    # -- reading -------------------------------------------------------------------------------

    def _kept(self) -> Mark | None:
        found = self._connection.hget(keys.INSTALLATION, "mark")
        return Mark.model_validate_json(found) if found else None

    def _stored(self) -> Mark | None:
        try:
            return Mark.model_validate_json(self._objects.get(bucket.INSTALLATION))
        except NotFound:
            return None
        except ValidationError as fault:
            raise Conflict(
                f"'{bucket.INSTALLATION}' in the bucket '{self._objects.bucket}' is not Tuneline's.",
                cure="Set another TUNELINE_S3_BUCKET, or delete that object and run `tuneline registry rebuild`.",
            ) from fault

    def _behind(self, model: str | None) -> Iterator[str]:
        """Yield models of which the bucket holds a newer version than Redis has given out, or a newer move."""
        for name, newest in newest_versions(self._objects, model).items():
            if newest > newest_known(self._connection, name) or self.lacks_a_move(name):
                yield name

    def lacks_a_move(self, model: str) -> bool:
        """Say whether the bucket has a newer move of a model's aliases than Redis."""
        try:
            saved = self._objects.get_manifest(bucket.aliases(model)).get("history") or []
        except (NotFound, CorruptArtifact):
            return False
        newest = saved[0] if isinstance(saved, list) and saved else None
        # Not whole: a reason may have been cut in one of them.
        ours = map(_move, moves_of(self._connection, model, MOVES_LOOKED_AT))
        return isinstance(newest, Mapping) and _move(newest) not in ours


def known_standing(connection: "Redis") -> Standing:
    """Return what Redis alone says of itself and its bucket."""
    mark, said = connection.hmget(keys.INSTALLATION, ["mark", "standing"])
    if mark is None:
        return Standing("lost", "Redis lost its data: it doesn't know what its bucket holds.", LOST_CURE)
    return Standing(**json.loads(said)) if said else SOUND


def newest_versions(objects: ObjectStore, model: str | None = None) -> dict[str, int]:
    """Return the number of the newest version that the store holds: of one model, or of all."""
    newest: dict[str, int] = {}
    for key in objects.keys(bucket.MODELS if model is None else bucket.versions(model)):
        if (version := bucket.version_of(key)) is not None:
            newest[version.model] = max(version.number, newest.get(version.model, 0))
    return newest


def newest_known(connection: "Redis", model: str) -> int:
    """Return the newest version number of a model that Redis has given out or holds; 0: none."""
    with connection.pipeline(transaction=False) as pipe:
        pipe.hget(keys.reserved(model), "last")
        pipe.hkeys(keys.versions(model))
        last, held = pipe.execute()
    return max([int(last or 0), *(int(version) for version in held if version.isdigit())])


def _new_mark(name: str) -> Mark:
    return Mark(installation=token_hex(8), epoch=token_hex(8), bucket=name)


def _move(record: Mapping[str, Any]) -> tuple[Any, ...]:
    return record.get("version"), record.get("at"), record.get("deleted")


def _refuse(found: Standing) -> None:
    if found.kind != "sound":
        raise found.error()
