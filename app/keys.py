"""Keys: what callers of the API and of serving send, where it lies on this machine, and where it may be sent to."""

import fcntl
import ipaddress
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from agents.base.dot_env import stands_in_dot_env
from agents.base.errors import InvalidRequest, NotAllowed
from app.settings import Settings

#: A key of the network has at least so many characters, and so many that differ.
LEAST_CHARACTERS, LEAST_DIFFERENT = 16, 6
NEW_KEY = "`openssl rand -hex 32` prints a good one"
NEW_TOKEN = "`tuneline token --new` makes another; restart the API and serving then"
TOKEN = re.compile(r"[A-Za-z0-9_-]{32,200}")
#: What a header can carry as it is.
SENDABLE = re.compile(r"[!-~]+")


def is_loopback(host: str) -> bool:
    """Say whether a host's name or address is this machine's loopback."""
    with suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    return host.lower().rstrip(".") == "localhost"


def door_key(settings: Settings) -> str:
    """Return the key that callers have to send: TUNELINE_API_KEY, or else the token of this machine, made once.

    Raises:
        InvalidRequest: the key can't be sent in a header.
        NotAllowed: the token's file is open to other users, or damaged.
    """
    if settings.api_key is None:
        return local_token(settings.state_dir)
    key = settings.api_key.get_secret_value()
    if not SENDABLE.fullmatch(key):
        raise InvalidRequest(
            "TUNELINE_API_KEY has blanks or characters that an HTTP header can't carry.",
            cure=f"Set it to letters and digits: {NEW_KEY}.",
        )
    return key


def check_strength(key: str) -> None:
    """See that a key can't be guessed.

    Raises:
        NotAllowed: it is short, blank, or the same few characters again and again.
    """
    if len(key.strip()) < LEAST_CHARACTERS or len(set(key)) < LEAST_DIFFERENT:
        raise NotAllowed(
            f"TUNELINE_API_KEY can be guessed: a key for the network has at least {LEAST_CHARACTERS} characters, "
            f"{LEAST_DIFFERENT} of them different.",
            cure=f"Set another: {NEW_KEY}.",
        )


def token_path(state_dir: Path) -> Path:
    """Return where the token of a machine's services lies."""
    return state_dir.absolute() / "token"


def local_token(state_dir: Path) -> str:
    """Return the token of this machine; it is made when it is first asked for, once, whoever else asks meanwhile.

    Raises: as `read_token`.
    """
    found = read_token(state_dir)
    if found is None:
        with _locked(state_dir):
            found = read_token(state_dir) or _write(token_path(state_dir))
    return found


def new_token(state_dir: Path) -> str:
    """Replace the token of this machine; return the new one."""
    with _locked(state_dir):
        return _write(token_path(state_dir))


def read_token(state_dir: Path) -> str | None:
    """Return the token of this machine, None where none was made yet.

    Raises:
        NotAllowed: its file belongs to another user, others can read it, or it holds no token.
    """
    path = token_path(state_dir)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise NotAllowed(
            f"The token in {path} can't be read: {fault.strerror}.",
            cure="Be the user who started Tuneline, or set TUNELINE_API_KEY.",
        ) from fault
    try:
        found = os.fstat(descriptor)
        content = os.read(descriptor, 1000) if stat.S_ISREG(found.st_mode) else b""
    finally:
        os.close(descriptor)
    text = content.decode("ascii", "replace").strip()
    if found.st_uid not in {os.geteuid(), 0} or found.st_mode & 0o077:
        raise NotAllowed(f"Other users can read or replace the token in {path}.", cure=f"{NEW_TOKEN}.")
    if not TOKEN.fullmatch(text):
        raise NotAllowed(f"The file {path} holds no token.", cure=f"{NEW_TOKEN}.")
    return text


def check_addresses(settings: Settings) -> None:
    """See that no key leaves for an address that the `.env` of this folder names, unless it stands there too.

    Whoever wrote that file, such as the author of a repository, must not learn the keys of who works in it.

    Raises:
        NotAllowed: an address stands in `.env`, and a key elsewhere.
    """
    for address in ("api_url", "serving_url"):
        if stands_in_dot_env(settings, address) and (
            keys := _keys_from_elsewhere(settings, getattr(settings, address))
        ):
            name = f"TUNELINE_{address.upper()}"
            raise NotAllowed(
                f"{name} comes from the .env of this folder, {' and '.join(keys)} from elsewhere: a key is only sent "
                "to an address that was set beside it.",
                cure=f"Set {name} in the environment, or the key in that .env.",
            )


def _keys_from_elsewhere(settings: Settings, url: str) -> list[str]:
    """Return the names of the keys that would be sent to an address, and don't stand in the `.env` of this folder."""
    keys = [name for name in ("api_key", "force_key") if getattr(settings, name) is not None]
    found = [f"TUNELINE_{name.upper()}" for name in keys if not stands_in_dot_env(settings, name)]
    inside = settings.state_dir.resolve().is_relative_to(Path.cwd().resolve())
    if "api_key" not in keys and not inside and is_loopback(urlsplit(url).hostname or ""):
        found.append(f"the token in {settings.state_dir}")
    return found


@contextmanager
def _locked(state_dir: Path) -> Iterator[None]:
    """Hold the state folder's token against other processes."""
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (state_dir / "token.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(path: Path) -> str:
    """Put a new token in place at once: no reader sees half of it, and a kill leaves the old one."""
    token = secrets.token_urlsafe(32)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".token-")
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{token}\n")
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
    return token
