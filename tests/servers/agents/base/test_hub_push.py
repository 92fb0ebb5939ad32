"""Pushing a version to a hub: the hub's own client against a small hub of HTTP on loopback."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
from typer.testing import CliRunner

from agents.base.errors import InvalidRequest, NotAllowed, TunelineError, Unavailable
from agents.base.hub import publish
from app.api.main import create_app
from app.cli.models import app as command_line
from app.processes.embedded import free_port
from app.wiring import Parts
from tests.support.served import promote, write_version
from tests.support.written import listening as served_by_http

TOKEN = "hf_only-for-this-test"


@dataclass
class Hub:
    """What a hub was told; `status`: how it answers to the making of a repository."""

    status: int = 200
    url: str = ""
    made: list[dict[str, Any]] = field(default_factory=list)
    commits: list[tuple[str, str, dict[str, bytes]]] = field(default_factory=list)

    def answer(self, path: str, token: str | None, body: bytes) -> tuple[int, dict[str, Any]]:
        if token != f"Bearer {TOKEN}" or self.status != 200:
            return (401 if self.status == 200 else self.status), {"error": "no"}
        if path == "/api/repos/create":
            self.made.append(json.loads(body))
            return 200, {"url": f"{self.url}/org/spam", "name": "org/spam"}
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if "/preupload/" in path:
            files = [{"path": file["path"], "uploadMode": "regular"} for file in json.loads(body)["files"]]
            return 200, {"files": [{**file, "shouldIgnore": False} for file in files]}
        lines = [json.loads(line) for line in body.splitlines()]
        files = {
            line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in lines if line["key"] == "file"
        }
        self.commits.append((path.rpartition("/")[2], lines[0]["value"]["summary"], files))
        return 200, {"commitUrl": f"{self.url}/org/spam/commit/abc", "commitOid": "abc", "success": True}


@contextmanager
def listening(hub: Hub) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            path = self.path.partition("?")[0]
            status, found = hub.answer(path, self.headers["Authorization"], self._body())
            content = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _body(self) -> bytes:
            if "chunked" not in (self.headers["Transfer-Encoding"] or ""):
                return self.rfile.read(int(self.headers["Content-Length"] or 0))
            found = b""
            while size := int(self.rfile.readline(), 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return found

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        yield hub.url
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = tmp_path / "files"
    files.mkdir()
    (files / "README.md").write_text("---\nlicense: apache-2.0\n---\n# spam v1\n")
    (files / "model.safetensors").write_bytes(b"weights")
    return files


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)


def use(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Name the hub, as HF_ENDPOINT does before its client is imported."""
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", url)


def test_a_folder_becomes_one_commit_of_a_private_repository(
    monkeypatch: pytest.MonkeyPatch, token: None, folder: Path
) -> None:
    hub = Hub()
    with listening(hub) as url:
        use(monkeypatch, url)
        commit = publish(folder, "org/spam", None, message="spam v1, merged", public=False)

    assert commit == f"{hub.url}/org/spam/commit/abc"
    assert [(made["organization"], made["name"], made["visibility"]) for made in hub.made] == [
        ("org", "spam", "private")
    ]
    ((branch, message, files),) = hub.commits
    assert (branch, message) == ("main", "spam v1, merged")
    assert files == {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize(
    ("repository", "status", "error"),
    [
        ("org/spam", 403, NotAllowed),
        ("org/spam", 400, InvalidRequest),
        ("org/..spam", 200, InvalidRequest),
    ],
)
def test_a_refusal_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
    token: None,
    folder: Path,
    repository: str,
    status: int,
    error: type[TunelineError],
) -> None:
    with listening(Hub(status)) as url:
        use(monkeypatch, url)
        with pytest.raises(error) as raised:
            publish(folder, repository, None, message="m", public=True)

    assert f"hf://{repository}" in str(raised.value)


def test_without_a_hub_or_a_token_nothing_is_pushed(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    use(monkeypatch, f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(Unavailable):
        publish(folder, "org/spam", None, message="m", public=True)
    monkeypatch.setenv("HF_TOKEN", "another")
    hub = Hub()
    with listening(hub) as url:
        use(monkeypatch, url)
        with pytest.raises(NotAllowed, match="HF_TOKEN"):
            publish(folder, "org/spam", None, message="m", public=True)

    assert hub.commits == []


def test_the_command_pushes_files_card_and_manifest_of_a_version(
    monkeypatch: pytest.MonkeyPatch, token: None, parts: Parts
) -> None:
    files = {"model.safetensors": parts.objects.put_artifact(b"weights")}
    card = parts.objects.put_artifact(b"# spam v1\n", "text/markdown").model_dump()
    write_version(parts, 1, files)
    key = "models/spam/versions/000001/manifest.json"
    parts.objects.put_manifest(key, {**parts.objects.get_manifest(key), "card": card})
    promote(parts, 1)
    hub = Hub()
    with listening(hub) as url, served_by_http(create_app(parts)) as api_url:
        use(monkeypatch, url)
        monkeypatch.setenv("TUNELINE_API_URL", api_url)
        pushed = CliRunner().invoke(command_line, ["push", "spam", "hf://org/spam@next"])
        wrong = CliRunner().invoke(command_line, ["push", "spam", "org/spam"])

    assert (pushed.exit_code, wrong.exit_code) == (0, 1), pushed.output
    assert isinstance(wrong.exception, InvalidRequest)
    ((branch, message, sent),) = hub.commits
    assert (branch, message) == ("next", "spam v1, merged")
    assert (sent["README.md"], sent["model.safetensors"]) == (b"# spam v1\n", b"weights")
    assert json.loads(sent["manifest.json"])["version"] == 1
