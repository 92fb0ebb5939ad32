"""What went wrong at Redis, as a sentence with its cure: the one place that reads its errors."""

import re
from collections.abc import Callable
from typing import NamedTuple

from redis import Redis, RedisError
from redis import exceptions as faults

from agents.base.errors import Unavailable

RIGHTS = "docs/deployment.md lists the rights that Tuneline needs."
URL = "TUNELINE_REDIS_URL"
ABSENT_CURE = f"Start it (`tuneline up` brings one), or check {URL}."
#: What Redis' own text is shown at most; it may repeat what it was sent.
WORDS_MOST = 200
#: What a script or a transaction may not do is told by its own error.
_INDIRECT = re.compile(r"has no permissions to|can't run this command")


class _Reading(NamedTuple):
    """What a fault means: what Redis is or does, and what to do about it."""

    what: str
    cure: str


Read = Callable[[RedisError, str], _Reading | None]


def redis_error(fault: RedisError, place: str = "") -> Unavailable:
    """Return the error that users see of a fault; `place`: as `place_of` gives it."""
    words = _words(fault)
    what, cure = next(found for read in _READINGS if (found := read(fault, words)))
    return Unavailable(f"Redis{f' at {place}' if place else ''} {what}.", cure=cure)


def is_refusal(fault: RedisError) -> bool:
    """Say whether a fault means that the user lacks a right."""
    return isinstance(fault, faults.NoPermissionError) or bool(_INDIRECT.search(_words(fault)))


def is_another_kind(fault: RedisError) -> bool:
    """Say whether a fault means a server of a kind that Tuneline can't use: a cluster, or one that is too old."""
    return _kind(fault, _words(fault)) is not None


def place_of(connection: "Redis") -> str:
    """Return host and port, or the socket, that a connection leads to."""
    options = connection.connection_pool.connection_kwargs
    if "path" in options:
        return str(options["path"])
    return f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"


def _words(fault: RedisError) -> str:
    """Return the server's words, without the command that the client puts before them in a pipeline."""
    return str(fault).rpartition(" of pipeline caused error: ")[2]


def _access(fault: RedisError, words: str) -> _Reading | None:
    if is_refusal(fault):
        return _permission(words)
    low = words.lower()
    if "without any password configured" in low or "no password is set" in low:
        return _Reading("has no password, and one was sent", f"Take the password out of {URL}, or set one in Redis.")
    if fault.status_code == "NOAUTH" or low.startswith(("noauth", "authentication required")):
        return _Reading("asks for a password", f"Write it into {URL}: redis://:password@host:port/0.")
    if isinstance(fault, faults.AuthenticationError | faults.AuthenticationWrongNumberOfArgsError):
        cure = f"Correct them in {URL}: redis://user:password@host:port/0."
        return _Reading("refuses the password or user", cure)
    return None


def permission_words(fault: RedisError) -> str:
    """Return what was refused: a command, keys or a channel."""
    words = _words(fault)
    command = re.search(r"run the '([^']+)' command", words)
    if command:
        return command[1].upper().replace("|", " ")
    return "channels rq:*" if "channel" in words else "keys tuneline:* and rq:*" if "key" in words else words


def _permission(words: str) -> _Reading:
    user = re.search(r"[Uu]ser '?([^\s']+)'? has no permissions", words)
    name = user[1] if user else "USER"
    command = re.search(r"run the '([^']+)' command", words)
    if command:
        right = "+" + command[1].lower()
        return _Reading(
            f"refuses the command {command[1].upper().replace('|', ' ')} to the user '{name}'",
            f"Allow it: ACL SETUSER {name} {right}. {RIGHTS}",
        )
    if "channel" in words:
        cure = f"Allow them: ACL SETUSER {name} resetchannels &rq:*. {RIGHTS}"
        return _Reading(f"refuses a channel to the user '{name}'", cure)
    if "key" in words:
        return _Reading(
            f"refuses keys to the user '{name}'", f"Allow them: ACL SETUSER {name} ~tuneline:* ~rq:*. {RIGHTS}"
        )
    return _Reading(f"refuses a command to the user '{name}'", f"Give it the rights. {RIGHTS}")


def _state(fault: RedisError, words: str) -> _Reading | None:
    code = fault.status_code or words.partition(" ")[0]
    if isinstance(fault, faults.OutOfMemoryError) or code == "OOM":
        cure = "Raise its maxmemory, or remove what nothing needs: `tuneline gc --apply`."
        return _Reading("is full: it has reached its maxmemory", cure)
    if isinstance(fault, faults.ReadOnlyError) or code in {"READONLY", "UNBLOCKED"}:
        return _Reading(
            "is a replica, which takes no writes: another server is the primary since a failover",
            f"Let {URL} name the primary, or a name that always leads to it: it is looked up again at every try.",
        )
    if isinstance(fault, faults.MasterDownError):
        return _Reading("is a replica whose primary is away", f"Let {URL} name the primary, or start it.")
    if isinstance(fault, faults.BusyLoadingError):
        return _Reading("is loading its data after a start", "Wait: it answers once all is loaded.")
    if code == "BUSY":
        return _Reading("is busy with a script", "Wait, or end the script: SCRIPT KILL.")
    if code == "MISCONF":
        return _Reading("takes no writes, because it can't save to its disk", "Make room on its disk, and see its log.")
    if code == "NOREPLICAS":
        return _Reading("takes no writes: it has fewer replicas than `min-replicas-to-write`", "Start its replicas.")
    return None


def _kind(fault: RedisError, words: str) -> _Reading | None:
    clustered = faults.AskError | faults.ClusterError | faults.ClusterCrossSlotError | faults.TryAgainError
    low = words.lower()
    if isinstance(fault, clustered) or "cluster mode" in low or low.startswith("crossslot"):
        cure = f"Let {URL} name a Redis or Valkey without cluster mode."
        return _Reading("is a cluster, which Tuneline can't use", cure)
    if "db index is out of range" in low or "invalid db index" in low:
        cure = f"Name a lower one in {URL}; there are 16 unless its `databases` says otherwise: redis://host:port/0."
        return _Reading(f"doesn't have the database that {URL} names", cure)
    if found := re.search(r"unknown (?:sub)?command '?`?([\w|]+)", low):
        return _Reading(f"doesn't know the command {found[1].upper()}: it is too old", "Use Redis 7, 8 or Valkey.")
    if "max number of clients" in low:
        return _Reading(
            "takes no more connections: it has reached its maxclients",
            "Raise its maxclients and its limit of open files, or start fewer workers.",
        )
    return None


def _connection(fault: RedisError, words: str) -> _Reading | None:
    low = words.lower()
    if "certificate" in low:
        reason = re.search(r"verify failed: (.*?)(?: \(_ssl|\)|$)", words)
        cure = f"Name a file with the certificate of its CA: {URL}=rediss://host:port/0?ssl_ca_certs=/path/ca.pem."
        return _Reading(f"has a TLS certificate that is not trusted here: {reason[1] if reason else words}", cure)
    if "ssl" in low or "tls" in low:
        return _Reading("doesn't speak TLS as this machine does", f"Use redis:// in {URL} if it has no TLS.")
    if "name or service not known" in low or "name resolution" in low or "nodename nor servname" in low:
        return _Reading("can't be found: no address is known for its name", f"Check {URL} and this machine's DNS.")
    if isinstance(fault, faults.TimeoutError):
        cure = f"Look whether it is overloaded or behind a firewall; check {URL}: redis:// is without TLS."
        return _Reading("doesn't answer in time", cure)
    if "closed by server" in low or "reset by peer" in low:
        return _Reading(
            "doesn't answer: it closed the connection", f"Start it, or check {URL}; with TLS it begins with rediss://."
        )
    return _Reading("doesn't answer", ABSENT_CURE) if isinstance(fault, faults.ConnectionError) else None


def _other(_: RedisError, words: str) -> _Reading:
    said = " ".join(words.split())[:WORDS_MOST].rstrip(".")
    return _Reading(f"refused a command: {said}", "See its log; Tuneline needs Redis 7, 8 or Valkey.")


_READINGS: tuple[Read, ...] = (_access, _state, _kind, _connection, _other)
