"""The session of a browser: a cookie that stands for the key for some hours, without holding it."""

import hashlib
import hmac
import time
from http.cookies import CookieError, SimpleCookie

COOKIE = "tuneline_session"
LASTS_S = 12 * 3600


def session_value(key: str, now: float | None = None) -> str:
    """Return what the cookie holds: when it ends, signed with the key."""
    ends_at = str(int((time.time() if now is None else now) + LASTS_S))
    return f"{ends_at}.{_signature(key, ends_at)}"


def is_session(key: str, value: str, now: float | None = None) -> bool:
    """Say whether a cookie was made with this key, and has not ended."""
    ends_at, _, signature = value.partition(".")
    if not hmac.compare_digest(signature.encode(), _signature(key, ends_at).encode()):
        return False
    return int(ends_at) > (time.time() if now is None else now)


def session_of(cookies: str) -> str | None:
    """Return the session in a `Cookie` header."""
    try:
        found = SimpleCookie(cookies).get(COOKIE)
    except CookieError:
        return None
    return found.value if found else None


def _signature(key: str, ends_at: str) -> str:
    return hmac.new(key.encode(), f"session until {ends_at}".encode(), hashlib.sha256).hexdigest()
