"""Dynamic batching and the history by themselves: no model, no server."""

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agents.base.errors import NotFound, Overloaded, Unavailable
from agents.models.classifiers.base import Runs
from app.serving.runtime.batcher import Batcher
from app.serving.watch.history import History

PATIENCE_S = 10.0


class Upper:
    """Answers in capitals and notes each run; the first run waits until it is let go on."""

    def __init__(self) -> None:
        self.runs: list[tuple[str, list[str]]] = []
        self.entered, self.go_on = threading.Event(), threading.Event()

    def __call__(self, source: str, texts: list[str]) -> list[str]:
        self.runs.append((source, texts))
        self.entered.set()
        assert self.go_on.wait(PATIENCE_S)
        if "bad" in texts:
            raise NotFound("gone")
        return [f"{source}{text.upper()}" for text in texts]


async def ask_while_busy(
    batcher: Batcher[str, str], model: Upper, first: tuple[str, Sequence[str]], *others: tuple[str, Sequence[str]]
) -> list[Any]:
    """Ask `others` while `first` runs; return all answers and faults."""
    tasks = [asyncio.create_task(batcher.ask(*first))]
    await asyncio.to_thread(model.entered.wait, PATIENCE_S)
    # Tasks start in the order they were made: once the last has started, all others wait.
    started = [asyncio.Event() for _ in others]

    async def ask(begun: asyncio.Event, source: str, texts: Sequence[str]) -> list[str]:
        begun.set()
        return await batcher.ask(source, texts)

    tasks += [asyncio.create_task(ask(begun, *other)) for begun, other in zip(started, others, strict=True)]
    for begun in started:
        await begun.wait()
    model.go_on.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    await batcher.close()
    return answers


def test_a_request_that_comes_the_moment_a_run_ends_is_answered() -> None:
    async def ask() -> list[str]:
        batcher: Batcher[str, str] = Batcher(lambda source, texts: [source + text for text in texts])
        answers = [await batcher.ask("a", [text]) for text in ("x", "y", "z")]
        await batcher.close()
        return [answer for (answer,) in answers]

    assert asyncio.run(asyncio.wait_for(ask(), PATIENCE_S)) == ["ax", "ay", "az"]


def test_requests_that_come_while_the_model_is_busy_share_a_run_of_at_most_a_batch() -> None:
    model = Upper()
    answers = asyncio.run(
        ask_while_busy(Batcher(model, runs=lambda _: Runs(1, 4)), model, ("", ["a"]), *[("", [t, t]) for t in "bcd"])
    )

    assert answers == [["A"], ["B", "B"], ["C", "C"], ["D", "D"]]
    assert [len(texts) for _, texts in model.runs] == [1, 4, 2]


def test_a_request_larger_than_a_batch_gives_way_to_small_ones_and_keeps_its_order() -> None:
    model = Upper()
    large = [f"t{i}" for i in range(5)]
    answers = asyncio.run(
        ask_while_busy(
            Batcher(model, runs=lambda _: Runs(1, 2)), model, ("", ["a"]), ("", large), ("", ["x"]), ("", ["y"])
        )
    )

    assert answers == [["A"], [text.upper() for text in large], ["X"], ["Y"]]
    assert [texts for _, texts in model.runs] == [["a"], ["t0", "t1"], ["x", "y"], ["t2", "t3"], ["t4"]]


def test_a_large_request_is_run_shortest_text_first_and_answered_in_its_own_order() -> None:
    model = Upper()
    texts = ["cccc", "a", "bbb", "dd", "e"]
    (answers,) = asyncio.run(ask_while_busy(Batcher(model, runs=lambda _: Runs(1, 2)), model, ("", texts)))

    assert [run for _, run in model.runs] == [["a", "e"], ["dd", "bbb"], ["cccc"]]
    assert answers == ["CCCC", "A", "BBB", "DD", "E"]


def test_runs_at_a_time_end_in_any_order_and_the_answers_keep_theirs() -> None:
    both = threading.Barrier(2)

    def predict(_: str, texts: list[str]) -> list[str]:
        both.wait(PATIENCE_S)
        return [text.upper() for text in texts]

    async def ask() -> list[str]:
        batcher = Batcher(predict, runs=lambda _: Runs(2, 2))
        answers = await batcher.ask("", ["aaaa", "b", "ccc", "dd"])
        await batcher.close()
        return answers

    assert asyncio.run(ask()) == ["AAAA", "B", "CCC", "DD"]


def test_requests_of_two_sources_never_share_a_run_and_each_is_answered_by_its_own() -> None:
    model = Upper()
    waiting = [("1", ["b"]), ("2", ["c"]), ("2", ["d"])]
    answers = asyncio.run(ask_while_busy(Batcher(model), model, ("1", ["a"]), *waiting))

    assert answers == [["1A"], ["1B"], ["2C"], ["2D"]]
    assert model.runs == [("1", ["a"]), ("1", ["b"]), ("2", ["c", "d"])]


def test_a_full_queue_refuses_and_what_waits_is_answered() -> None:
    model = Upper()
    waiting = [("", ["b", "c"]), ("", ["d"]), ("", ["e"])]
    answers = asyncio.run(ask_while_busy(Batcher(model, waiting_most=3), model, ("", ["a"]), *waiting))

    assert answers[:3] == [["A"], ["B", "C"], ["D"]]
    assert isinstance(answers[3], Overloaded)


def test_a_fault_reaches_those_who_asked_and_the_next_batch_is_answered() -> None:
    model = Upper()
    waiting = [("", ["bad", "b"]), ("", ["c", "d"])]
    answers = asyncio.run(ask_while_busy(Batcher(model, runs=lambda _: Runs(1, 2)), model, ("", ["a"]), *waiting))

    assert isinstance(answers[1], NotFound)
    assert [answers[0], answers[2]] == [["A"], ["C", "D"]]


def test_closing_ends_the_run_under_way_and_refuses_what_waits_and_what_comes() -> None:
    async def close_while_busy() -> list[Any]:
        model = Upper()
        batcher = Batcher(model, runs=lambda _: Runs(1, 1))
        tasks = [asyncio.create_task(batcher.ask("", texts)) for texts in (["a"], ["b"])]
        await asyncio.to_thread(model.entered.wait, PATIENCE_S)
        closing = asyncio.create_task(batcher.close())
        refused = await asyncio.gather(tasks[1], return_exceptions=True)
        model.go_on.set()
        await closing
        return [await tasks[0], *refused, *await asyncio.gather(batcher.ask("", ["c"]), return_exceptions=True)]

    first, *refused = asyncio.run(close_while_busy())
    assert first == ["A"]
    assert [type(fault) for fault in refused] == [Unavailable, Unavailable]


def answer(label: str) -> dict[str, Any]:
    return {"label": label, "confidence": 0.5, "model": "spam", "version": 1}


def test_the_history_drops_and_counts_what_a_slow_database_leaves_no_room_for(tmp_path: Path) -> None:
    dropped: list[int] = []
    history = History(f"sqlite:///{tmp_path / 'h.db'}", dropped.append, waiting_most=10)
    with sqlite3.connect(tmp_path / "h.db", isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        for number in range(40):
            history.add([f"text {number}"], [answer("ham")])
        other.execute("ROLLBACK")
    other.close()
    history.close()

    kept = History(f"sqlite:///{tmp_path / 'h.db'}", dropped.append)
    rows, total = kept.page(0, 100)
    kept.close()
    # Ten wait in the queue, and the writer may have taken up to ten more before the lock stopped it.
    assert 10 <= total <= 20
    assert total + sum(dropped) == 40
    assert [row["text"] for row in rows] == [f"text {number}" for number in reversed(range(total))]


def test_history_pages_are_filtered_newest_first_and_in_utc(tmp_path: Path) -> None:
    history = History(f"sqlite:///{tmp_path / 'h.db'}", print)
    history.add(["a", "b", "c\0"], [answer("ham"), answer("spam"), answer("ham")])
    history.close()
    again = History(f"sqlite:///{tmp_path / 'h.db'}", print)
    rows, total = again.page(0, 1, model="spam", label="ham")
    others, none = again.page(0, 1, model="other")
    again.close()

    assert (total, none, others) == (2, 0, [])
    assert rows[0]["text"] == "c\ufffd"
    assert rows[0]["created_at"].utcoffset().total_seconds() == 0


@pytest.mark.parametrize("url", ["nonsense", "sqlite:////no/such/folder/h.db", "postgresql://u:secret@127.0.0.1:1/x"])
def test_a_history_that_can_not_be_opened_is_named_with_its_setting_and_no_password(url: str) -> None:
    with pytest.raises(Unavailable, match="TUNELINE_HISTORY_URL") as fault:
        History(url, print)

    assert "secret" not in str(fault.value)
