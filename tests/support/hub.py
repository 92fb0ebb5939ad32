"""A small hub of HTTP on loopback: the routes that reading a repository of rows takes, and no others."""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class HubOfRows:
    """Repository -> path -> bytes. `gated`: those that ask for a permission; `token`: who has it."""

    repositories: Mapping[str, Mapping[str, bytes]]
    gated: frozenset[str] = frozenset()
    token: str = "hf_only-for-this-test"
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str, token: str | None, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body."""
        self.asked.append(path)
        parts = unquote(path).removeprefix("/api").strip("/").split("/")
        name = "/".join(parts[1:3])
        if parts[0] != "datasets" or name not in self.repositories:
            return 404, {"X-Error-Code": "RepoNotFound"}, b"{}"
        if name in self.gated and token != f"Bearer {self.token}":
            return 401, {"X-Error-Code": "GatedRepo"}, b"{}"
        files = self.repositories[name]
        route, rest = (parts[3] if len(parts) > 3 else "revision"), parts[4:]
        if rest and rest[0] not in ("main", COMMIT):
            return 404, {"X-Error-Code": "RevisionNotFound"}, b"{}"
        inside = "/".join(rest[1:])
        if route == "resolve":
            return self._file(files, inside)
        if route == "tree":
            return self._json([entry for entry in _entries(files) if entry["path"].startswith(inside)])
        if route == "paths-info":
            wanted = [unquote(pair.partition(b"=")[2].decode()) for pair in body.split(b"&")]
            wanted = json.loads(body)["paths"] if body.startswith(b"{") else wanted
            return self._json([entry for entry in _entries(files) if entry["path"] in wanted])
        siblings = [{"rfilename": file} for file in files]
        return self._json({"id": name, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []})

    def _file(self, files: Mapping[str, bytes], path: str) -> tuple[int, dict[str, str], bytes]:
        if path not in files:
            return 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}, b"{}"
        return 200, {"ETag": f'"{_digest(files[path])}"', "X-Repo-Commit": COMMIT}, files[path]

    @staticmethod
    def _json(value: Any) -> tuple[int, dict[str, str], bytes]:
        return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()


def _entries(files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    folders = {path.rpartition("/")[0] for path in files} - {""}
    found = [{"type": "directory", "path": folder, "oid": "0" * 40, "size": 0} for folder in sorted(folders)]
    return found + [
        {"type": "file", "path": path, "oid": _digest(content), "size": len(content)} for path, content in files.items()
    ]


def _digest(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


@contextmanager
def serving(hub: HubOfRows) -> Iterator[str]:
    """Serve a hub on a port of loopback; give its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(hub))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def handler_of(hub: HubOfRows) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, content = hub.answer(self.path.partition("?")[0], self.headers["Authorization"], body)
            begin, end = 0, len(content)
            if status == 200 and (asked := self.headers.get("Range")):
                first, _, last = asked.removeprefix("bytes=").partition("-")
                begin, end = int(first), min(len(content), int(last) + 1 if last else len(content))
                headers["Content-Range"] = f"bytes {begin}-{end - 1}/{len(content)}"
                status = 206
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(end - begin))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content[begin:end])

        do_GET = do_HEAD = do_POST = answer  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None: ...

    return Handler
