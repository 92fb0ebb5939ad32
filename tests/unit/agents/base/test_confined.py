"""Calls in a process of their own: what they give, and that no end of theirs is an end of ours."""

import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.base import confined as module
from agents.base.confined import Limits, confined
from agents.base.errors import InvalidData, InvalidModel, NotFound, Overloaded, TunelineError
from tests.support import confined_calls as calls

SMALL = Limits(
    memory_mib=64, cpu_s=1, wall_s=20.0, open_files=16, answer_mib=1, memory_cure="Split it.", answer_cure="Less."
)
PICKLED = pickle.dumps(print, 0).decode()
SHORT = Limits(wall_s=0.3, time_cure="Shorten it.")


def ask(function: Callable[..., Any], limits: Limits = SMALL, **arguments: Any) -> Any:
    return confined(function, arguments, limits, subject="The test")


@settings(max_examples=20)
@given(
    st.dictionaries(
        st.sampled_from(["a", "b"]),
        st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists),
    )
)
def test_values_come_back_as_they_went(values: dict[str, Any]) -> None:
    assert ask(calls.echo, **values) == values


def test_bytes_come_back_as_bytes() -> None:
    assert ask(calls.as_bytes, text="é\0") == "é\0".encode()


def test_an_error_of_ours_comes_back_whole() -> None:
    with pytest.raises(NotFound) as found:
        ask(calls.refuse)
    assert (found.value.message, found.value.cure) == ("There is no row.", "Add one.")
    assert found.value.details == [{"path": "rows", "message": "none"}]


@pytest.mark.parametrize(
    ("function", "arguments", "said"),
    [
        (calls.one_large_block, {"mib": 2048}, "needs more than 64 MiB of memory. Split it."),
        (calls.many_small_blocks, {}, "needs more than 64 MiB of memory. Split it."),
        (calls.block_of_a_library, {"mib": 2048}, "SIGSEGV"),
        (calls.read_nowhere, {}, "SIGSEGV"),
        (calls.abort, {}, "SIGABRT"),
        (calls.leave, {"code": 7}, "exit code 1"),
        (calls.work_for_ever, {}, "takes more than 1 s of processor time"),
        (calls.match_for_ever, {}, "takes more than 1 s of processor time"),
        (calls.large, {"characters": 2 << 20}, "gives an answer of more than 1 MiB. Less."),
        (calls.fail, {"text": "x"}, "KeyError in confined_calls.py"),
        (calls.hold_files, {"count": 100}, "Too many open files"),
    ],
)
def test_every_limit_and_every_end_is_a_sentence(
    function: Callable[..., Any], arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidData, match=r"^The test ") as found:
        ask(function, **arguments)
    assert said in str(found.value)
    assert ask(calls.echo, a=1) == {"a": 1}


def test_the_class_of_the_sentence_is_the_callers() -> None:
    with pytest.raises(InvalidModel, match=r"^The tokenizer ended .*SIGABRT"):
        confined(calls.abort, {}, SMALL, subject="The tokenizer", fault=InvalidModel)


def test_one_that_waits_for_ever_is_ended(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "rows.csv")
    with pytest.raises(InvalidData, match=r"The test takes longer than 0.3 s. Shorten it."):
        ask(calls.read, SHORT, path=str(tmp_path / "rows.csv"))


def test_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="File too large"):
        ask(calls.write, path=str(tmp_path / "written"))
    assert (tmp_path / "written").read_text() == ""


def test_no_secret_and_no_open_file_goes_along(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TUNELINE_API_KEY", "a-secret-of-the-test")
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        assert "a-secret-of-the-test" not in str(ask(calls.environment))
        assert not any("open" in name for name in ask(calls.open_files))


@pytest.mark.parametrize(
    ("kind", "size", "text", "said"),
    [
        ("V", 1 << 60, "", "more than 1 MiB"),
        ("V", 5, "[1,2]"[:3], "exit code 0"),
        ("V", 3, "[1,", "can't be read"),
        ("V", 200_000, "[" * 200_000, "can't be read"),
        ("V", 5000, "1" * 5000, "can't be read"),
        ("F", 2, "{}", "can't be read"),
        ("F", 2, "[]", "can't be read"),
        ("X", len(PICKLED), PICKLED, "can't be read"),
    ],
)
def test_a_forged_answer_runs_nothing(kind: str, size: int, text: str, said: str) -> None:
    with pytest.raises(InvalidData, match=said):
        ask(calls.say, kind=kind, size=size, text=text)


@pytest.mark.parametrize("error", ["TunelineError.mro", "re", "Mapping", "StopRequested", "first_line", "__doc__"])
def test_only_our_errors_are_raised_by_name(error: str) -> None:
    told = json.dumps({"error": error, "message": "m", "cure": "", "details": []})
    with pytest.raises(InvalidData, match="The test fails: m"):
        ask(calls.say, kind="F", size=len(told), text=told)


def test_what_a_call_started_goes_with_it() -> None:
    left = ask(calls.leave_a_program)
    with suppress(psutil.NoSuchProcess):
        psutil.Process(left).wait(timeout=20)
    assert not psutil.pid_exists(left)


def test_calls_run_beside_each_other_from_threads() -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: ask(calls.echo, a=number)["a"], range(12)))
    assert found == list(range(12))


def test_a_killed_helper_is_replaced() -> None:
    _, helper = ask(calls.process_ids)
    os.kill(helper, signal.SIGKILL)
    psutil.Process(helper).wait(timeout=20)
    assert ask(calls.process_ids)[1] != helper


def test_too_many_waiting_calls_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RUNNING_MOST", 1)
    monkeypatch.setattr(module, "WAITING_MOST", 0)
    slots = module._Slots()
    with slots.one(), pytest.raises(Overloaded, match="1 files are being looked at"), slots.one():
        pass
    with slots.one():
        pass


def test_calls_die_with_their_caller(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "told")
    code = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "from agents.base.confined import Limits, confined\n"
        "from tests.support.confined_calls import print_and_wait\n"
        f"confined(print_and_wait, {{'path': {str(tmp_path / 'told')!r}}}, Limits(), subject='x')\n"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as caller:
        process = psutil.Process(json.loads((tmp_path / "told").read_text()))
        caller.kill()
        process.wait(timeout=20)
    assert not process.is_running()


def test_every_error_of_ours_can_be_told() -> None:
    assert {kind.__module__ for kind in TunelineError.__subclasses__()} >= {"agents.base.errors"}
