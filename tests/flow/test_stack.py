"""The whole way as a user goes it: `tuneline up` in one terminal, the SDK in another, real models, real signals."""

import json
import os
import random
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.cli.jobs import read_spec
from app.client import ApiError, Client
from tests.conftest import REPOSITORY
from tests.support.terminal import PATIENCE_S, Terminal

pytestmark = pytest.mark.slow
TEAMS = {
    "billing": [
        "refund",
        "invoice",
        "card",
        "charge",
        "price",
        "money",
        "paid",
        "bank",
        "fee",
        "tax",
        "cost",
        "account",
        "payment",
        "credit",
        "receipt",
        "bill",
    ],
    "delivery": [
        "parcel",
        "courier",
        "late",
        "box",
        "door",
        "street",
        "van",
        "driver",
        "address",
        "post",
        "weight",
        "lost",
        "depot",
        "track",
        "letter",
        "road",
    ],
    "repairs": [
        "broken",
        "screen",
        "crash",
        "button",
        "noise",
        "battery",
        "smoke",
        "leak",
        "wheel",
        "cable",
        "motor",
        "crack",
        "error",
        "lamp",
        "hot",
        "pump",
    ],
}


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    found = Terminal(tmp_path_factory.mktemp("stack"))
    found.up()
    yield found
    if found.process and found.process.poll() is None:
        assert found.interrupt() == 0
    assert found.processes() == []


def quick_spam(terminal: Terminal, formats: list[str] | None = None, **training: Any) -> dict[str, Any]:
    """Return the shipped spec on a fifth of its sample, trained for less long and judged less strictly.

    `formats`: to export in place of the shipped ones.
    """
    spec: dict[str, Any] = read_spec("spam")
    rows = terminal.folder / "rows.jsonl"
    sample = (REPOSITORY / "pipelines" / "data" / "spam.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    rows.write_text("".join(sample[::5]), encoding="utf-8")
    spec["params"] |= {"data": str(rows), "epochs": training.pop("epochs", 1), "model_name": "spam", "minimum": 0.0}
    spec["nodes"]["training"]["config"] |= {"batch_size": 8, "save_steps": 5, **training}
    spec["nodes"]["export"]["config"]["formats"] = formats or spec["nodes"]["export"]["config"]["formats"]
    return spec


def followed(client: Client, job_id: str, until: str) -> dict[str, Any]:
    """Return the first record of an event."""
    return next(record for record in client.follow(job_id) if record["event"] == until)


def test_a_spec_becomes_a_served_model_also_when_its_worker_is_killed(terminal: Terminal) -> None:
    job = terminal.client.submit(quick_spam(terminal))
    followed(terminal.client, job["id"], "checkpoint_saved")
    worker = terminal.client.job(job["id"])["nodes"]["training"]["worker"]
    os.kill(int(worker.rpartition("-")[2]), signal.SIGKILL)
    records = list(terminal.client.follow(job["id"]))
    ended = terminal.client.job(job["id"])

    assert ended["status"] == "completed"
    assert ended["nodes"]["training"]["attempt"] == 2
    assert "worker_lost" in [record["event"] for record in records]
    assert "resumed" in [record["event"] for record in records]
    assert terminal.client.model("spam")["aliases"] == {"champion": 1}
    wait_until_served(terminal, 1)
    answers = terminal.client.predict_many("spam", ["You WON a prize! Call 80099 now to claim", "see you at six, love"])
    assert [answer["version"] for answer in answers] == [1, 1]


def test_rows_of_ones_own_with_odd_columns_become_a_served_model(terminal: Terminal) -> None:
    rows = write_odd_rows(terminal.folder / "Support tickets.csv")
    asked = ("run", "spam", "-p", f"data={rows}", "-p", "epochs=3", "--minimum", "0.5")
    refused = terminal.run(*asked)
    cures = re.findall(r"`-p '?(\w+)=", refused.stdout)
    (job,) = set(re.findall(r"tuneline retry (job_\w+)", refused.stdout))
    assert (refused.returncode, "text_column" in cures) == (1, True), refused.stdout

    # What is typed is what the message says, as often as it says something.
    columns = {"text_column": "what they wrote", "label_column": "team"}
    again = terminal.run("retry", job, *(part for name, value in columns.items() for part in ("-p", f"{name}={value}")))
    assert again.returncode == 0, again.stdout + again.stderr
    assert "The model will be called support-tickets, after the data" in again.stdout
    assert "PROMOTE" in again.stdout
    (asked_next,) = re.findall(r"tuneline predict support-tickets", again.stdout)
    wait_until_served(terminal, 1, "support-tickets")
    answers = terminal.run(*asked_next.split()[1:], "where is my refund", "--json")
    assert json.loads(answers.stdout)[0]["label"] in TEAMS
    flags = terminal.run(
        *asked, "--text-column", columns["text_column"], "--label-column", "team", "--detach", "--json"
    )
    job = json.loads(flags.stdout)["id"]
    list(terminal.client.follow(job))
    nodes = terminal.client.job(job)["nodes"]
    assert [nodes[name]["status"] for name in ("dataset", "training")] == ["cached", "cached"]
    assert terminal.client.model("spam")["aliases"] == {"champion": 1}


def test_nobody_else_can_read_what_the_stack_keeps(terminal: Terminal) -> None:
    state = Path(terminal.environment["TUNELINE_STATE_DIR"])
    kept = [state, *(path for path in state.rglob("*") if not path.is_symlink())]

    assert {"history.db", "stack.json", "s3", "valkey", "cache"} <= {path.name for path in kept}
    assert [path for path in kept if path.exists() and path.stat().st_mode & 0o077] == []


def test_the_command_line_tells_the_same_story(terminal: Terminal, tmp_path: Path) -> None:
    listed = terminal.run("models", "--json")
    assert json.loads(listed.stdout)[0]["aliases"] == {"champion": 1}
    fetched = terminal.run("models", "download", "spam", "--format", "adapter", "--to", str(tmp_path / "out"))
    assert fetched.returncode == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (tmp_path / "out" / "adapter_model.safetensors").stat().st_size > 1000
    assert manifest["version"] == 1
    answer = terminal.run("predict", "spam", "free prize, call now", "--json")
    assert set(json.loads(answer.stdout)[0]) >= {"label", "confidence", "version"}
    jobs = terminal.run("jobs", "--json")
    log = terminal.run("logs", json.loads(jobs.stdout)[0]["id"])
    assert "job_completed" in log.stdout


def test_an_asynchronous_batch_is_worked_off_by_the_stack(terminal: Terminal) -> None:
    texts = ["You WON a prize! Call 80099 now to claim", "see you at six, love"] * 150
    accepted = terminal.client.predict_later("spam", texts)
    list(terminal.client.follow(accepted["id"]))
    batch = terminal.client.batch(accepted["id"])

    assert (accepted["status"], batch["status"], batch["progress"]["done"]) == ("queued", "completed", 300)
    at_once = terminal.client.predict_many("spam", texts[:2])
    assert [answer["label"] for answer in batch["predictions"][:2]] == [answer["label"] for answer in at_once]


def test_a_file_of_texts_is_sent_and_its_answers_are_fetched(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "texts.txt"
    file.write_text("You WON a prize! Call 80099 now to claim\n\nsee you at six, love\n")
    sent = terminal.run("batches", "send", "spam", str(file), "--json")
    lines = [json.loads(line) for line in sent.stdout.splitlines()]
    batch = json.loads(terminal.run("batches", "--json", "--limit", "1").stdout)[0]

    assert [line["text"] for line in lines] == file.read_text().split("\n")[0:3:2]
    assert {line["version"] for line in lines} == {1}
    fetched = terminal.run("batches", "fetch", batch["id"], "--to", str(tmp_path / "answers.jsonl"))
    assert fetched.returncode == 0, fetched.stderr
    answers = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert answers == [{key: value for key, value in line.items() if key != "text"} for line in lines]


def test_faults_reach_a_user_without_a_traceback(terminal: Terminal, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: x\nnodes:\n  a: {agent: datset, config: {}}\n  b: {agent: dataset, needs: [c], conf: 1}\n")
    texts = tmp_path / "texts.txt"
    texts.write_text("hello\n" * 10_001)
    for arguments in (
        *(("run", str(bad)), ("run", "nowhere.yaml"), ("jobs", "job_x"), ("predict", "nobody", "x")),
        *(("batches", "send", "spam", "nowhere.txt"), ("batches", "send", "nobody", str(bad))),
        *(("batches", "send", "spam", str(texts)), ("batches", "fetch", "job_x")),
        *(("datasets", "upload", "nowhere.csv"), ("datasets", "preview", "nowhere.csv"), ("predict", "spam", " ")),
        ("artifacts", "job_x", "a/b", "--to", "nowhere/a"),
    ):
        found = terminal.run(*arguments)
        assert found.returncode == 1, arguments
        assert "error: " in found.stderr
        assert "Traceback" not in found.stderr + found.stdout
    assert "nodes.a.agent: no agent 'datset'; did you mean 'dataset'?" in terminal.run("run", str(bad)).stderr


def test_the_same_spec_again_hits_the_cache_up_to_the_gate(terminal: Terminal) -> None:
    job = terminal.client.submit(quick_spam(terminal, ["adapter"]))
    list(terminal.client.follow(job["id"]))
    nodes = terminal.client.job(job["id"])["nodes"]

    assert [nodes[name]["status"] for name in ("dataset", "validation", "preprocessing", "training")] == ["cached"] * 4
    assert nodes["evaluation"]["output"]["verdict"] == "HOLD"
    assert terminal.client.model("spam")["aliases"] == {"champion": 1}


def test_ctrl_c_in_the_middle_loses_nothing_and_the_next_start_goes_on(terminal: Terminal) -> None:
    job = terminal.client.submit(quick_spam(terminal, ["adapter"], seed=7, epochs=2))
    followed(terminal.client, job["id"], "checkpoint_saved")

    assert terminal.interrupt() == 0
    assert terminal.processes() == []
    terminal.up()
    list(terminal.client.follow(job["id"]))

    ended = terminal.client.job(job["id"])
    assert ended["status"] == "completed"
    assert ended["nodes"]["training"]["attempt"] == 2
    with pytest.raises(ApiError):
        terminal.client.cancel(job["id"])


def test_a_second_stack_in_the_same_folder_is_refused(terminal: Terminal) -> None:
    found = terminal.run("up")

    assert found.returncode == 1
    assert "already keeps its state" in found.stderr


def write_odd_rows(path: Path) -> Path:
    """Write rows of three teams whose text and label nobody could tell: two columns could be either."""
    draw = random.Random(3)
    lines = ["what they wrote,how we answered,team,country"]
    for number in range(180):
        team = list(TEAMS)[number % 3]
        texts = [" ".join(draw.sample(TEAMS[team], 9)) for _ in range(2)]
        lines.append(",".join((*texts, team, draw.choice(["Peru", "Chad", "Laos"]))))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def wait_until_served(terminal: Terminal, version: int, model: str = "spam") -> None:
    """Return once serving answers with a version."""
    pause, tries = threading.Event(), int(PATIENCE_S / 0.2)
    for _ in range(tries):
        if terminal.client.serving_health()["models"].get(model) == version:
            return
        pause.wait(0.2)
    raise AssertionError(f"serving never had version {version}")
