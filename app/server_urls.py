"""The URLs of Redis and the object store: checked when settings are read, and shown without their passwords."""

from urllib.parse import SplitResult, parse_qs, urlsplit

REDIS_SCHEMES = ("redis", "rediss", "unix")
#: What a Redis URL may say in its query; the client takes each by this name.
REDIS_OPTIONS = {
    *("db", "username", "password", "protocol", "client_name", "health_check_interval", "max_connections"),
    *("socket_timeout", "socket_connect_timeout", "socket_keepalive"),
    *("ssl_keyfile", "ssl_certfile", "ssl_cert_reqs", "ssl_ca_certs", "ssl_ca_path", "ssl_check_hostname"),
}
QUOTED = "in a user name or password, write / as %2F, # as %23, ? as %3F, @ as %40 and : as %3A"


def check_redis_url(url: str) -> str:
    """Return the URL as it is.

    Raises:
        ValueError: Tuneline can't use it; the message tells no part that may be secret.
    """
    parts = _split(url)
    if parts.scheme not in REDIS_SCHEMES or not url.startswith(f"{parts.scheme}://"):
        if "sentinel" in parts.scheme or "cluster" in parts.scheme:
            raise ValueError("Sentinel and Cluster are not used: name the primary as redis://host:port/0")
        raise ValueError("it has to start with redis:// or rediss:// or unix://")
    if parts.fragment:
        raise ValueError(f"it has a #: {QUOTED}")
    if "@" in parts.path + parts.query or parts.netloc.count("@") > 1:
        raise ValueError(f"it has an @ at a strange place: {QUOTED}")
    unknown = [name for name in parse_qs(parts.query, keep_blank_values=True) if name not in REDIS_OPTIONS]
    if unknown:
        raise ValueError(
            f"its query has an option that is not known; there are {', '.join(sorted(REDIS_OPTIONS))}; {QUOTED}"
        )
    if parts.scheme == "unix":
        if not parts.path.strip("/"):
            raise ValueError("it names no socket: unix:///run/redis.sock?db=0")
    elif "," in parts.netloc.rpartition("@")[2]:
        raise ValueError("it names several hosts: name one, the primary, or a name that always leads to it")
    else:
        _check_host(parts)
        _check_database(parts.path.strip("/"), "redis://host:port/0")
    for database in parse_qs(parts.query).get("db", []):
        _check_database(database, "?db=0")
    return url


def check_store_url(url: str) -> str:
    """Return the URL of an object store, without a slash at its end.

    Raises:
        ValueError: Tuneline can't use it.
    """
    parts = _split(url)
    if not url.startswith(("http://", "https://")):
        raise ValueError("it has to start with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("it has keys in it: they belong into TUNELINE_S3_ACCESS_KEY and TUNELINE_S3_SECRET_KEY")
    _check_host(parts)
    if not parts.hostname:
        raise ValueError("it names no host: http://host:port")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(
            f"it has '{parts.path or '?'}' after the host, and buckets are asked for at a server's root: leave it out; "
            "the bucket is named by TUNELINE_S3_BUCKET. A store that is only reachable below a path can't be used"
        )
    return url.rstrip("/")


def shown(url: str) -> str:
    """Return what may be shown of a URL: host and port, or the path of a socket."""
    try:
        parts = urlsplit(check_store_url(url) if url.startswith("http") else check_redis_url(url))
    except ValueError:
        return "an address that can't be used"
    return parts.path if parts.scheme == "unix" else parts.netloc.rpartition("@")[2]


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        # The library's words may repeat a part of a password.
        raise ValueError("it is not a URL: an address in brackets is IPv6, such as redis://[::1]:6379/0") from None


def _check_host(parts: SplitResult) -> None:
    try:
        port = parts.port
    except ValueError:
        raise ValueError(f"its port is not a number from 1 to 65535; {QUOTED}") from None
    if port == 0:
        raise ValueError("its port is 0")


def _check_database(written: str, example: str) -> None:
    if written and not (written.isascii() and written.isdecimal()):
        raise ValueError(f"a database of Redis is a number: {example}; {QUOTED}")
