"""How large a body may be, and of which kind: it is refused by its headers, or at the first byte above."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

MIB = 1 << 20
#: What a form has beside its file.
FORM_BYTES = 64 << 10
JSON = ("application/json",)
YAML = ("application/yaml", "application/x-yaml", "text/yaml")
FORM = ("multipart/form-data",)
#: A length of more digits is not looked at further.
DIGITS_MOST = 18


@dataclass(frozen=True)
class BodyRule:
    """What a route takes: media types, bytes, and the setting that raises the latter."""

    kinds: tuple[str, ...]
    bytes_most: int
    setting: str

    def takes(self, content_type: str) -> bool:
        """Say whether a body of this type is taken."""
        kind = content_type.partition(";")[0].strip().lower()
        return kind in self.kinds or (self.kinds[0] == JSON[0] and kind.endswith("+json"))

    @property
    def wanted(self) -> str:
        return " or ".join(self.kinds[:2])


@dataclass(frozen=True)
class BodyRules:
    """The rule of each route; most take JSON."""

    usual: BodyRule
    special: Mapping[str, BodyRule] = field(default_factory=dict)
    """Path below the prefix of the routes -> its rule."""
    prefix: str = ""

    def of(self, path: str) -> BodyRule:
        """Return the rule of a path."""
        if not self.special:
            return self.usual
        return self.special.get(path.removeprefix(self.prefix).rstrip("/"), self.usual)


class BodyTooLarge(HTTPException):
    """Raised where a body is read past its limit; what is answered to it is not sent."""

    def __init__(self) -> None:
        super().__init__(413)


class Metered:
    """One request whose length is not known before: past the limit the answer is the refusal, whatever is sent."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, bytes_most: int, refusal: Response) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._left = bytes_most
        self._refusal = refusal
        self._started = False

    async def receive(self) -> Message:
        """Return the next piece.

        Raises:
            BodyTooLarge: there are more bytes than the limit.
        """
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise BodyTooLarge
        return message

    async def send(self, message: Message) -> None:
        """Pass an answer on, or once the limit was passed the refusal in its place."""
        if self._left >= 0 or self._started:
            self._started = True
            await self._send(message)
        elif message["type"] == "http.response.start":
            await self._refusal(self._scope, self._receive, self._send)


def length_of(headers: Mapping[bytes, bytes]) -> int | None:
    """Return how many bytes a body has; 0: there is none, None: it does not say."""
    if b"transfer-encoding" in headers:
        return None
    length = headers.get(b"content-length", b"0").strip()
    return int(length) if length.isdigit() and len(length) <= DIGITS_MOST else 10**DIGITS_MOST


Relay = Callable[[Message], Awaitable[None]]
