"""Wrong keys: counted by who sends them, written down now and then, and refused with 429 where they are many.

A right key is always taken: whoever shares an address with somebody who guesses is not locked out. Guessing is no
danger to keys of the length that is asked for; the count is there to be seen, and to keep such requests cheap.
"""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

log = structlog.get_logger()
#: So many wrong keys are answered with 401 in each window, further ones with 429.
TRIES_MOST = 10
WINDOW_S = 60.0
#: Who sent the most recent ones is remembered, of so many.
PEERS_MOST = 4096
#: So many lines a window are written at most, whoever sends.
LINES_MOST = 20
#: Networks of IPv6 that one customer has.
NETWORK_BITS = 64


@dataclass
class _Window:
    ends_at: float
    count: int = 0


class WrongKeys:
    """Counts wrong keys."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = 0
        self._clock = clock
        self._peers: OrderedDict[str, _Window] = OrderedDict()
        self._lines = _Window(clock() + WINDOW_S)

    def note(self, peer: str) -> int:
        """Take down a wrong key; return 0 where it is to be refused as usual, or for how many seconds to wait."""
        self.total += 1
        now, peer = self._clock(), network_of(peer)
        window = self._peers.pop(peer, None)
        if window is None or window.ends_at <= now:
            window = _Window(now + WINDOW_S)
        self._peers[peer] = window
        if len(self._peers) > PEERS_MOST:
            self._peers.popitem(last=False)
        window.count += 1
        if window.count in (1, TRIES_MOST + 1):
            self._write(peer, window.count, now)
        return 0 if window.count <= TRIES_MOST else max(1, round(window.ends_at - now))

    def _write(self, peer: str, count: int, now: float) -> None:
        if self._lines.ends_at <= now:
            self._lines = _Window(now + WINDOW_S)
        self._lines.count += 1
        if self._lines.count <= LINES_MOST:
            log.warning("wrong_key", peer=peer, in_this_minute=count, since_the_start=self.total)


def network_of(peer: str) -> str:
    """Return what stands for a peer: its address, or the network that an address of IPv6 is in."""
    with suppress(ValueError):
        address = ipaddress.ip_address(peer)
        if address.version == 6 and not address.ipv4_mapped:
            return str(ipaddress.ip_network((peer, NETWORK_BITS), strict=False))
    return peer
