"""The key that tests send, and the ways it gets into their requests."""

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.keys import token_path

#: The token of the services that tests start.
TOKEN = "token-of-the-tests-0123456789abcdef"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
ADDRESS = "http://127.0.0.1"


def write_token(state_dir: Path, token: str = TOKEN) -> Path:
    """Have the services of a state folder ask for the tests' token; return the folder."""
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = token_path(state_dir)
    path.touch(mode=0o600)
    path.write_text(f"{token}\n")
    return state_dir


@pytest.fixture(autouse=True)
def known_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each test client ask as our own do: by an address of loopback, with the service's key."""
    make = TestClient.__init__

    def known(self: TestClient, app: Any, base_url: str = ADDRESS, **options: Any) -> None:
        make(self, app, base_url, **options)
        if rules := getattr(app, "rules", None):
            self.headers.setdefault("Authorization", f"Bearer {rules.key}")

    monkeypatch.setattr(TestClient, "__init__", known)


class Known:
    """An application whose callers all have its key, unless they send one themselves."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and not any(name == b"authorization" for name, _ in scope["headers"]):
            scope["headers"] = [*scope["headers"], (b"authorization", f"Bearer {self._app.rules.key}".encode())]
        await self._app(scope, receive, send)
