"""Models over HTTP: pages, files with digests, forced promotions, deletion, and the index made anew."""

import hashlib
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from typer.testing import CliRunner

from agents.base import bucket
from app.api.main import create_app
from app.cli.commands import app
from app.client import ApiError, Client
from app.settings import Settings
from app.wiring import Parts, build_parts
from tests.servers.conftest import RunJob

Http = TestClient
KEY = "only-for-those-who-may"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"force_key": SecretStr(KEY)})


@pytest.fixture
def api(parts: Parts) -> Iterator[Http]:
    with TestClient(create_app(parts), raise_server_exceptions=False) as client:
        yield client


def write_version(parts: Parts, model: str, version: int, verdict: str = "PROMOTE", **facts: Any) -> None:
    """Write a version with one file, as an export does, and put it into the index."""
    artifact = parts.objects.put_artifact(f"weights of {model} {version}".encode())
    manifest: dict[str, Any] = {
        "name": model,
        "version": version,
        "verdict": verdict,
        "reasons": ["f1 0.5 is below the minimum of 0.85."],
        "metrics": {"f1": 0.5},
        "formats": {"adapter": [{"path": "adapter.safetensors", "artifact": artifact.model_dump()}]},
        **facts,
    }
    parts.objects.put_manifest(f"models/{model}/versions/{version:06d}/manifest.json", manifest)
    for command in parts.registry.add_commands(model, version):
        parts.connection.execute_command(*command)


def test_models_and_versions_come_in_pages(api: Http, parts: Parts) -> None:
    for name in ("ham", "spam", "spam-two"):
        write_version(parts, name, 1)
    for version in (2, 3):
        write_version(parts, "spam", version)

    page = api.get("/models", params={"name": "spam", "limit": 1}).json()
    assert ([model["name"] for model in page["models"]], page["total"]) == (["spam"], 2)
    model = api.get("/models/spam", params={"offset": 1, "limit": 1}).json()
    assert ([version["version"] for version in model["versions"]], model["versions_total"]) == ([2], 3)


def put_text(parts: Parts, model: str, version: int, text: str) -> None:
    """Have a version's manifest be this text."""
    parts.objects.put(bucket.version_manifest(model, version), text.encode(), "application/json")


DAMAGE: dict[str, tuple[str, str, dict[str, Any]]] = {
    "not_json": ('{"name": "spam", "ver', "is not JSON", {}),
    "not_an_object": ("[1, 2]", "not a JSON object", {}),
    "a_newer_schema": (
        '{"schema": 99, "version": 2, "verdict": "PROMOTE", "metrics": {"f1": 0.9}, "formats": {"x": 1}}',
        "reads up to",
        {"verdict": "PROMOTE", "metrics": {"f1": 0.9}, "formats": ["x"]},
    ),
    "no_number": (
        '{"schema": "two", "verdict": "HOLD"}',
        "schema is not a number",
        {"verdict": "HOLD"},
    ),
    "a_missing_field": ('{"schema": 1, "name": "spam", "version": 2}', "verdict: Field required", {}),
    "wrong_types": (
        '{"schema": 1, "name": "spam", "version": 2, "verdict": 5, "metrics": 7, "formats": [], "data": "rows"}',
        "can't be read",
        {},
    ),
    "no_verdict": (
        '{"name": "spam", "version": 2, "verdict": "MAYBE"}',
        "verdict: Input should be",
        {},
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_manifest_is_told_and_fails_nothing_else(
    api: Http, parts: Parts, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, reason, known = DAMAGE[kind]
    for model, version in (("ham", 1), ("spam", 1), ("spam", 2)):
        write_version(parts, model, version)
    put_text(parts, "spam", 2, text)
    listed = api.get("/models").json()
    shown = api.get("/models/spam").json()["versions"]

    assert [model["name"] for model in listed["models"]] == ["ham", "spam"]
    assert listed["models"][1]["versions"] == shown
    assert ["fault" in version for version in shown] == [True, False]
    assert (shown[0]["version"], shown[0]["fault"]["error"]) == (2, "CORRUPT_ARTIFACT")
    assert reason in shown[0]["fault"]["message"]
    empty: dict[str, Any] = {"created_at": None, "verdict": None, "metrics": {}, "formats": [], "aliases": []}
    assert {name: shown[0][name] for name in empty} == {**empty, **known}
    assert shown[1]["verdict"] == "PROMOTE"
    sdk = Client()
    sdk._api = api
    monkeypatch.setattr("app.cli.models.client", lambda: nullcontext(sdk))
    screen = CliRunner().invoke(app, ["models", "show", "spam"]).stdout
    assert "damaged" in screen
    assert reason in screen
    assert CliRunner().invoke(app, ["models"]).exit_code == 0


def test_a_manifest_that_is_gone_fails_no_list(api: Http, parts: Parts) -> None:
    write_version(parts, "spam", 1)
    write_version(parts, "spam", 2)
    parts.objects.delete([bucket.version_manifest("spam", 2)])
    shown = api.get("/models/spam").json()["versions"]

    assert [version.get("fault", {}).get("error") for version in shown] == ["NOT_FOUND", None]


def test_the_sdk_goes_through_all_pages(api: Http, parts: Parts) -> None:
    for version in range(1, 53):
        write_version(parts, "spam", version)
    for number in range(51):
        write_version(parts, f"model-{number}", 1)
    sdk = Client()
    sdk._api = api

    assert [version["version"] for version in sdk.model("spam")["versions"]] == list(range(52, 0, -1))
    assert len(sdk.models()) == 52


def test_files_are_listed_with_digests_and_urls_that_work(api: Http, parts: Parts) -> None:
    write_version(parts, "spam", 1)
    (file,) = api.get("/models/spam/1/files?format=adapter").json()["files"]
    content = httpx.get(file["url"]).content

    assert content == b"weights of spam 1"
    assert hashlib.sha256(content).hexdigest() == file["sha256"]


def test_a_promotion_against_the_verdict_needs_force_a_reason_and_its_own_key(api: Http, parts: Parts) -> None:
    write_version(parts, "spam", 1, verdict="REJECT")
    body = {"version": 1, "reason": "the test set was wrong"}
    refused = api.post("/models/spam/promote", json=body)
    assert (refused.status_code, "below the minimum" in refused.json()["message"]) == (409, True)
    forced = {**body, "force": True}
    assert api.post("/models/spam/promote", json=forced).status_code == 403
    assert api.post("/models/spam/promote", json=forced, headers={"X-Tuneline-Force-Key": "x"}).status_code == 403
    assert api.post("/models/spam/promote", json={**forced, "reason": ""}).status_code == 422
    assert parts.registry.aliases("spam") == {}
    done = api.post("/models/spam/promote", json=forced, headers={"X-Tuneline-Force-Key": KEY})

    assert done.json()["aliases"] == {"champion": 1}
    (move,) = api.get("/models/spam").json()["history"]
    assert (move["forced"], move["why"]) == (True, "the test set was wrong")


def test_a_verdict_beside_another_champion_promotes_nobody(api: Http, parts: Parts) -> None:
    for version, judged_against in ((1, None), (2, 1), (3, 1), (4, None)):
        write_version(parts, "spam", version, judged_against=judged_against)

    def promoted(version: int) -> httpx.Response:
        answer: httpx.Response = api.post("/models/spam/promote", json={"version": version, "reason": "better"})
        return answer

    assert [promoted(version).status_code for version in (1, 2)] == [200, 200]
    assert "judged beside champion v1, and now v2 is champion" in promoted(3).json()["message"]
    assert "judged while there was no champion, and now v2 is champion" in promoted(4).json()["message"]
    assert parts.registry.aliases("spam") == {"champion": 2, "previous": 1}
    # One that was champion before may come back, and force still forces.
    assert promoted(1).status_code == 200
    forced = {"version": 3, "reason": "checked by hand", "force": True}
    done = api.post("/models/spam/promote", json=forced, headers={"X-Tuneline-Force-Key": KEY})
    assert done.json()["aliases"] == {"champion": 3, "previous": 1}


def test_a_card_and_its_pictures_are_shown_and_come_with_a_download(api: Http, parts: Parts, tmp_path: Path) -> None:
    picture = parts.objects.put_artifact(b"<svg/>", "image/svg+xml").model_dump()
    card = parts.objects.put_artifact(b"![ROC](pictures/roc.svg)", "text/markdown").model_dump()
    write_version(parts, "spam", 1, card=card, pictures={"roc.svg": picture})
    shown = api.get("/models/spam/1/pictures/roc.svg")
    missing = api.get("/models/spam/1/pictures/loss.svg")
    sdk = Client()
    sdk._api = api

    assert (shown.content, shown.headers["content-type"]) == (b"<svg/>", "image/svg+xml")
    assert "sandbox" in shown.headers["content-security-policy"]
    assert (missing.status_code, "It has: roc.svg." in missing.json()["message"]) == (404, True)
    files = sdk.download("spam", "1", "adapter", tmp_path / "out")
    names = [file.relative_to(tmp_path / "out").as_posix() for file in files]
    assert names == ["adapter.safetensors", "README.md", "pictures/roc.svg", "manifest.json"]
    assert files[2].read_bytes() == b"<svg/>"


def test_artifacts_of_a_job_are_listed_and_fetched(api: Http, parts: Parts, run_job: RunJob, tmp_path: Path) -> None:
    job = run_job({"first": {"agent": "echo", "config": {"say": "hello there"}}})
    sdk = Client()
    sdk._api = api
    (listed,) = sdk.artifacts(job.id)

    assert (listed["node"], listed["name"], listed["size_bytes"]) == ("first", "artifact", 11)
    assert sdk.artifact(job.id, "first", "artifact", tmp_path / "out").read_bytes() == b"hello there"
    answer = api.get(f"/jobs/{job.id}/artifacts/first/artifact")
    assert answer.headers["x-content-type-options"] == "nosniff"
    for node, name, words in (
        ("first", "other", "It has: artifact."),
        ("second", "artifact", "artifacts: first."),
    ):
        with pytest.raises(ApiError, match=words):
            sdk.artifact(job.id, node, name, tmp_path / "none")
    parts.objects.delete([parts.objects.artifact_key(listed["sha256"])])
    assert api.get(f"/jobs/{job.id}/artifacts/first/artifact").status_code == 404


def test_without_a_key_for_it_no_promotion_can_be_forced(parts: Parts) -> None:
    write_version(parts, "spam", 1, verdict="REJECT")
    plain = build_parts(parts.settings.model_copy(update={"force_key": None}))
    with TestClient(create_app(plain)) as api:
        answer = api.post("/models/spam/promote", json={"version": 1, "reason": "please", "force": True})

    assert answer.status_code == 403
    assert "TUNELINE_FORCE_KEY" in answer.json()["message"]


def test_a_version_that_an_alias_points_at_is_not_deleted(api: Http, parts: Parts) -> None:
    write_version(parts, "spam", 1)
    write_version(parts, "spam", 2)
    api.post("/models/spam/promote", json={"version": 1, "reason": "first"})
    api.post("/models/spam/promote", json={"version": 2, "reason": "second"})

    for version, alias in ((2, "champion"), (1, "previous")):
        answer = api.request("DELETE", f"/models/spam/{version}")
        assert (answer.status_code, alias in answer.json()["message"]) == (409, True)
    assert parts.registry.versions("spam") == [2, 1]


def test_a_deleted_version_is_gone_also_after_the_index_was_made_anew(api: Http, parts: Parts) -> None:
    for version in (1, 2):
        write_version(parts, "spam", version)
    api.post("/models/spam/promote", json={"version": 1, "reason": "first"})
    assert api.request("DELETE", "/models/spam/2", json={"reason": "a mistake"}).status_code == 204
    assert api.get("/models/spam/2").status_code == 404
    assert api.request("DELETE", "/models/spam/2").status_code == 404
    before = api.get("/models/spam").json()
    parts.connection.flushall()
    parts.registry.rebuild()

    assert parts.registry.versions("spam") == [1]
    assert api.get("/models/spam").json() == before
    assert before["history"][0]["why"] == "a mistake"


def test_a_cached_export_whose_version_was_deleted_runs_again(parts: Parts, run_job: RunJob) -> None:
    nodes = {"export": {"agent": "version", "config": {"say": "one"}}, "other": {"agent": "echo", "needs": ["export"]}}
    run_job(nodes, name="echo")
    parts.connection.delete("tuneline:model:echo:aliases")
    parts.registry.delete("echo", 1, at=1.0, reason="gone")
    job = run_job(nodes, name="echo")

    assert job.nodes["export"].status == "completed"
    assert parts.registry.champion("echo") is not None
