"""By which names a service may be asked, and from which web pages.

A page of another site can have its name lead here (DNS rebinding), and every browser sends simple requests of such
pages anywhere. A service thus answers only to names that are its own.
"""

import ipaddress
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
#: Listening here, a service has whatever address the machine has.
EVERYWHERE = frozenset({"0.0.0.0", "::", ""})
#: So many host headers are remembered as allowed.
REMEMBERED_MOST = 256
PORTS = {"http": "80", "https": "443"}


@dataclass(frozen=True)
class Hosts:
    """The names of a service: those of loopback, its own, and those that were allowed."""

    names: frozenset[str]
    below: tuple[str, ...] = ()
    """Ends of names, such as `.example.com`."""
    any_address: bool = False
    """Addresses, which no other site can have, are allowed too."""
    _known: set[bytes] = field(default_factory=set, compare=False)

    @classmethod
    def of(cls, listens_on: str, allowed: Iterable[str]) -> "Hosts":
        """Return the names of a service that listens on an address."""
        everywhere = listens_on in EVERYWHERE
        names = {name.lower().strip("[]").rstrip(".") for name in allowed if not name.startswith("*")}
        own = set() if everywhere else {listens_on.lower().strip("[]")}
        below = tuple(name[1:].lower() for name in allowed if name.startswith("*"))
        return cls(frozenset(LOOPBACK | own | names), below, everywhere)

    def allow(self, header: bytes) -> bool:
        """Say whether a request's `Host` is one of these."""
        if header in self._known:
            return True
        name = host_of(header.decode("latin-1"))
        if name is None or not (name in self.names or name.endswith(self.below) or self._is_address(name)):
            return False
        if len(self._known) < REMEMBERED_MOST:
            self._known.add(header)
        return True

    def _is_address(self, name: str) -> bool:
        if self.any_address:
            with suppress(ValueError):
                ipaddress.ip_address(name)
                return True
        return False


def host_of(header: str) -> str | None:
    """Return the name or address in a `Host` header, without its port; None where it is not one."""
    name, colon, port = header.rpartition(":")
    if header.endswith("]") or not colon:
        name, port = header, ""
    if port and not (port.isascii() and port.isdigit() and len(port) <= 5):
        return None
    if name.startswith("[") != name.endswith("]") or (":" in name and not name.startswith("[")):
        return None
    name = name.strip("[]").lower().rstrip(".")
    return name if name and not set(name) & set(" /@\\?#,%\t") else None


def is_same_origin(origin: str, host: str) -> bool:
    """Say whether an `Origin` is that of the service itself, as its `Host` has it.

    The scheme is not compared: in front of the service there may be TLS.
    """
    scheme, found, place = origin.lower().partition("://")
    return bool(found) and scheme in PORTS and _full(place, scheme) == _full(host.lower(), scheme)


def _full(place: str, scheme: str) -> str:
    has_port = place.rpartition("]")[2].partition(":")[1]
    return place if has_port else f"{place}:{PORTS[scheme]}"
