"""The SDK: `Client` speaks the API's HTTP, in the API's own words."""

import json
import logging
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx
import httpx_sse

from agents.base.errors import InvalidRequest, TunelineError, Unavailable, first_line
from agents.base.identifiers import CURSOR, Cursor
from app.downloads import CHUNK_BYTES, OnBytes, archive_label, receive, resume_headers, unpack
from app.keys import is_loopback, read_token, token_path
from app.settings import Settings

#: A follower that lost its server comes back after so long; with its cursor it misses nothing.
RECONNECT_S = 0.5
#: The longest it waits before it tries again.
RECONNECT_MOST_S = 5.0
#: While it tries in vain, every so many tries are said.
NOTICE_EVERY = 12
#: What a record has at least, by its kinds.
RECORD: dict[str, Any] = {
    "id": str,
    "at": int | float,
    "level": str,
    "event": str,
    "node": str | None,
    "fields": dict,
}
OnNotice = Callable[[str], None]


def log_notice(notice: str) -> None:
    """Write what a follower has to say to Python's own log."""
    logging.getLogger("tuneline").warning(notice)


class ApiError(TunelineError):
    """The API refused; `answer` is its whole body."""

    def __init__(self, status_code: int, answer: Mapping[str, Any]) -> None:
        super().__init__(str(answer.get("message", answer)), details=answer.get("details", ()))
        self.status_code = status_code
        self.answer = answer


class KeyAuth(httpx.Auth):
    """Sends a key."""

    def __init__(self, key: str) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._key}"
        yield request


class TokenAuth(httpx.Auth):
    """Sends the token of this machine's services, as it lies in their state folder at the time."""

    def __init__(self, state_dir: Path) -> None:
        self.path = token_path(state_dir)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        # Without one the server says what it lacks, or nobody answers at all.
        if token := read_token(self.path.parent):
            request.headers["Authorization"] = f"Bearer {token}"
        yield request


class Client:
    """Talks to one API and one serving process.

    Without `api_key`, services on this machine get the token of `state_dir` (None: TUNELINE_STATE_DIR), and other
    machines get none. All methods raise `ApiError` for a refusal and `Unavailable` where nobody answers.
    """

    def __init__(
        self,
        api_url: str = "http://127.0.0.1:8000",
        serving_url: str = "http://127.0.0.1:8001",
        api_key: str | None = None,
        force_key: str | None = None,
        timeout_s: float = 30.0,
        state_dir: Path | None = None,
    ) -> None:
        self._force = {"X-Tuneline-Force-Key": force_key} if force_key else {}
        self._api = _http(api_url, "TUNELINE_API_URL", api_key, state_dir, timeout_s)
        self._serving = _http(serving_url, "TUNELINE_SERVING_URL", api_key, state_dir, timeout_s)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._api.close()
        self._serving.close()

    # -- jobs ----------------------------------------------------------------------------------

    def submit(
        self, spec: Mapping[str, Any] | str, params: Mapping[str, Any] | None = None, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Start a job from a spec (a mapping, or YAML text); return it."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        body = {"spec": spec, "params": dict(params or {})}
        return self._json(self._api, "POST", "/jobs", json=body, headers=headers)

    def job(self, job_id: str) -> dict[str, Any]:
        """Return a job with all its nodes, of which an answer has a page."""
        found = self._json(self._api, "GET", f"/jobs/{_segment(job_id)}")
        while len(found["nodes"]) < found["nodes_total"]:
            page = {"nodes_offset": len(found["nodes"])}
            more = self._json(self._api, "GET", f"/jobs/{_segment(job_id)}", params=page)["nodes"]
            if not more:
                break
            found["nodes"] |= more
        return found

    def jobs(self, limit: int = 20, **filters: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._json(self._api, "GET", "/jobs", params={"limit": limit, **filters})["jobs"]
        return found

    def cancel(self, job_id: str) -> dict[str, Any]:
        return self._json(self._api, "DELETE", f"/jobs/{_segment(job_id)}")

    def pause(self, job_id: str) -> dict[str, Any]:
        return self._json(self._api, "POST", f"/jobs/{_segment(job_id)}/pause")

    def resume(self, job_id: str) -> dict[str, Any]:
        return self._json(self._api, "POST", f"/jobs/{_segment(job_id)}/resume")

    def retry(
        self, job_id: str, params: Mapping[str, Any] | None = None, spec: Mapping[str, Any] | str | None = None
    ) -> dict[str, Any]:
        """Run an ended job again as a new one; `params` and `spec`: what is to be different."""
        changes = {name: value for name, value in (("params", params), ("spec", spec)) if value is not None}
        body = {"json": changes} if changes else {}
        return self._json(self._api, "POST", f"/jobs/{_segment(job_id)}/retry", **body)

    def logs(self, job_id: str, after: str = "0-0", **filters: str) -> Iterator[dict[str, Any]]:
        """Yield the records there are after a cursor, oldest first.

        Raises:
            InvalidRequest: `after` is not the id of a record.
        """
        after = str(Cursor.parse(after))
        while True:
            page = self._json(self._api, "GET", f"/jobs/{_segment(job_id)}/logs", params={"after": after, **filters})
            yield from page["records"]
            if page["next"] == after:
                return
            after = page["next"]

    def follow(
        self, job_id: str, after: str = "0-0", on_notice: OnNotice = log_notice, **filters: str
    ) -> Iterator[dict[str, Any]]:
        """Yield records as they come, until the job has ended; a lost connection is taken up again.

        `on_notice` is told, in a sentence, of a connection that was lost or is there again, of records that were
        deleted before they were read, and of one that can't be read.

        Raises:
            InvalidRequest: `after` is not the id of a record.
        """
        after, tries = str(Cursor.parse(after)), 0
        while True:
            why = "it was closed"
            try:
                for event in self._events(job_id, after, filters):
                    if tries:
                        on_notice(f"Connected to {self._api.base_url} again.")
                    tries = 0
                    if event.event == "end":
                        return
                    if event.event == "gap":
                        on_notice(f"Records after {after} were deleted before they were read.")
                    if event.event == "log":
                        after = event.id if CURSOR.fullmatch(event.id) else after
                        if (record := read_record(event.data)) is not None:
                            yield record
                        else:
                            on_notice(f"The record {after} can't be read and is left out.")
            except (httpx.TransportError, httpx_sse.SSEError) as fault:
                why = first_line(fault)
            if tries % NOTICE_EVERY == 0:
                again = f"; {tries} tries so far" if tries else ""
                on_notice(
                    f"The connection to {self._api.base_url} broke ({why}){again}. Going on after record {after}."
                )
            tries += 1
            time.sleep(min(RECONNECT_MOST_S, RECONNECT_S * tries))

    def _events(self, job_id: str, after: str, filters: Mapping[str, str]) -> Iterator[httpx_sse.ServerSentEvent]:
        headers = {"Last-Event-ID": after}
        url = f"/jobs/{_segment(job_id)}/logs/stream"
        with httpx_sse.connect_sse(self._api, "GET", url, params=dict(filters), headers=headers) as source:
            if source.response.status_code in {502, 503, 504}:
                raise httpx.RemoteProtocolError(f"it answered {source.response.status_code}")
            if source.response.is_error:
                source.response.read()
                raise _refusal(source.response)
            yield from source.iter_sse()

    def artifacts(self, job_id: str) -> list[dict[str, Any]]:
        """Return a job's artifacts: node, name, digest, size, media type."""
        found: list[dict[str, Any]] = []
        while True:
            query = {"offset": len(found)}
            page = self._json(self._api, "GET", f"/jobs/{_segment(job_id)}/artifacts", params=query)
            found += page["artifacts"]
            if len(found) >= page.get("total", 0) or not page["artifacts"]:
                return found

    def artifact(self, job_id: str, node: str, name: str, path: Path) -> Path:
        """Fetch an artifact into a file; return it."""
        url = f"/jobs/{_segment(job_id)}/artifacts/{_segment(node)}/{quote(name)}"
        try:
            with self._api.stream("GET", url) as response:
                if response.is_error:
                    response.read()
                    raise _refusal(response)
                path.parent.mkdir(parents=True, exist_ok=True)
                part = path.with_name(f".{path.name}.part")
                with part.open("wb") as file:
                    for chunk in response.iter_bytes(CHUNK_BYTES):
                        file.write(chunk)
        except httpx.ConnectError as fault:
            raise self._nobody(self._api) from fault
        except httpx.TransportError as fault:
            raise Unavailable(f"The download broke off: {fault}.", cure="Run it again.") from fault
        return part.replace(path)

    # -- data and models -----------------------------------------------------------------------

    def upload(self, path: Path) -> dict[str, Any]:
        """Store a file of rows; its `uri` goes into a spec."""
        with path.open("rb") as file:
            return self._json(self._api, "POST", "/datasets", files={"file": (path.name, file)})

    def datasets(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._json(self._api, "GET", "/datasets")["datasets"]
        return found

    def preview_dataset(self, dataset_id: str, **options: Any) -> dict[str, Any]:
        """Return the first rows as read and, with `model`, as tokens; `options` are those of the route."""
        given = {name: value for name, value in options.items() if value is not None}
        return self._json(self._api, "GET", f"/datasets/{_segment(dataset_id)}/preview", params=given)

    def preview_source(self, source: str, **options: Any) -> dict[str, Any]:
        """Return the first rows of what a spec could name, such as a folder of the API's host, as `preview_dataset`."""
        given = {name: value for name, value in options.items() if value is not None}
        return self._json(self._api, "GET", "/datasets/preview", params={"source": source, **given})

    def models(self) -> list[dict[str, Any]]:
        """Return all models, each with its newest versions."""
        found: list[dict[str, Any]] = []
        while True:
            page = self._json(self._api, "GET", "/models", params={"offset": len(found)})
            if "total" not in page:
                # Serving has a route of this name, too.
                raise self._stranger(self._api)
            found += page["models"]
            if len(found) >= page["total"] or not page["models"]:
                return found

    def model(self, name: str) -> dict[str, Any]:
        """Return a model with all its versions."""
        found = self._json(self._api, "GET", f"/models/{_segment(name)}")
        while len(found["versions"]) < found["versions_total"]:
            page = self._json(self._api, "GET", f"/models/{_segment(name)}", params={"offset": len(found["versions"])})
            if not page["versions"]:
                break
            found["versions"] += page["versions"]
        return found

    def version(self, name: str, version: str = "champion") -> dict[str, Any]:
        return self._json(self._api, "GET", f"/models/{_segment(name)}/{_segment(version)}")

    def card(self, name: str, version: str = "champion") -> str:
        return self._checked(self._api, "GET", f"/models/{_segment(name)}/{_segment(version)}/card").text

    def promote(self, name: str, version: str, reason: str, *, force: bool = False) -> dict[str, Any]:
        body = {"version": version, "reason": reason, "force": force}
        return self._json(self._api, "POST", f"/models/{_segment(name)}/promote", json=body, headers=self._force)

    def rollback(self, name: str, reason: str) -> dict[str, Any]:
        return self._json(self._api, "POST", f"/models/{_segment(name)}/rollback", json={"reason": reason})

    def delete_version(self, name: str, version: int, reason: str) -> None:
        self._checked(self._api, "DELETE", f"/models/{_segment(name)}/{_segment(version)}", json={"reason": reason})

    def download(
        self, name: str, version: str, format_: str, folder: Path, on_bytes: OnBytes | None = None
    ) -> list[Path]:
        """Fetch a format's files into `folder`; return them. A download that broke off is continued.

        `on_bytes` is called with (received, total) meanwhile.
        """
        label = archive_label(name, version, format_)
        headers, url = resume_headers(folder, label), f"/models/{_segment(name)}/{_segment(version)}/download"
        try:
            with self._api.stream("GET", url, params={"format": format_}, headers=headers) as response:
                if response.is_error:
                    response.read()
                    raise _refusal(response)
                part = receive(response, folder, label, on_bytes)
        except httpx.ConnectError as fault:
            raise self._nobody(self._api) from fault
        except httpx.TransportError as fault:
            raise Unavailable(f"The download broke off: {fault}.", cure="Run it again to continue.") from fault
        return unpack(part, folder, format_)

    # -- serving -------------------------------------------------------------------------------

    def predict(self, model: str, text: str) -> dict[str, Any]:
        return self._json(self._serving, "POST", f"/predict/{_segment(model)}", json={"text": text})

    def predict_many(self, model: str, texts: list[str]) -> list[dict[str, Any]]:
        answer = self._json(self._serving, "POST", f"/predict/{_segment(model)}/batch", json={"texts": texts})
        found: list[dict[str, Any]] = answer["predictions"]
        return found

    def predict_later(self, model: str, texts: list[str]) -> dict[str, Any]:
        """Queue texts for the present champion; `batch` shows by the id how far they are."""
        return self._json(self._serving, "POST", f"/predict/{_segment(model)}/batch/async", json={"texts": texts})

    def batch(self, batch_id: str, limit: int | None = None) -> dict[str, Any]:
        """Return an asynchronous batch; its predictions, or the first `limit`, are there once it is `completed`."""
        page = {"limit": limit} if limit else {}
        return self._json(self._serving, "GET", f"/predict/batch/{_segment(batch_id)}", params=page)

    def serving_health(self) -> dict[str, Any]:
        return self._json(self._serving, "GET", "/health")

    # -- HTTP ----------------------------------------------------------------------------------

    def _json(self, http: httpx.Client, method: str, url: str, **fields: Any) -> dict[str, Any]:
        response = self._checked(http, method, url, **fields)
        try:
            answer: dict[str, Any] = response.json()
        except ValueError as fault:
            raise self._stranger(http) from fault
        return answer

    def _checked(self, http: httpx.Client, method: str, url: str, **fields: Any) -> httpx.Response:
        try:
            response = http.request(method, url, **fields)
        except httpx.TimeoutException as fault:
            cure = "It may still be working: check before you send the request again."
            raise Unavailable(f"No answer came from {http.base_url} in time.", cure=cure) from fault
        except httpx.TransportError as fault:
            raise self._nobody(http) from fault
        if response.is_error:
            raise _refusal(response, self._looked_at(http))
        if response.is_redirect:
            raise self._stranger(http)
        return response

    def _nobody(self, http: httpx.Client) -> Unavailable:
        cure = f"Start it with `tuneline up`, or check {self._setting(http)}."
        return Unavailable(f"Nobody answers at {http.base_url}.", cure=cure)

    def _stranger(self, http: httpx.Client) -> Unavailable:
        return Unavailable(f"Something else answers at {http.base_url}.", cure=f"Check {self._setting(http)}.")

    def _looked_at(self, http: httpx.Client) -> str:
        if not isinstance(http.auth, TokenAuth):
            return ""
        there = "The token was read from" if http.auth.path.exists() else "There is no token in"
        return f"{there} {http.auth.path}; TUNELINE_STATE_DIR names the folder of the services."

    def _setting(self, http: httpx.Client) -> str:
        return "TUNELINE_SERVING_URL" if http is self._serving else "TUNELINE_API_URL"


def read_record(data: str) -> dict[str, Any] | None:
    """Return a record of a log as the stream sent it; None where it is not one."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and all(isinstance(found.get(k), t) for k, t in RECORD.items()) else None


def _http(url: str, setting: str, api_key: str | None, state_dir: Path | None, timeout_s: float) -> httpx.Client:
    address = _address(url, setting)
    local = is_loopback(httpx.URL(address).host)
    auth: httpx.Auth | None = KeyAuth(api_key) if api_key else None
    if auth is None and local:
        auth = TokenAuth(state_dir or Settings().state_dir)
    # What is for this machine goes through no proxy, which would see the key.
    return httpx.Client(base_url=address, auth=auth, timeout=timeout_s, trust_env=not local)


def _address(url: str, setting: str) -> str:
    try:
        found = httpx.URL(url)
    except httpx.InvalidURL:
        found = httpx.URL()
    if found.scheme not in {"http", "https"} or not found.host:
        raise InvalidRequest(f"'{url}' is not an address.", cure=f"Write {setting} like http://127.0.0.1:8000.")
    return url


def _segment(part: str | int) -> str:
    """Return one part of a path, whatever characters it has.

    Raises:
        InvalidRequest: it is empty or dots, which would make it another path.
    """
    if part in {"", ".", ".."}:
        raise InvalidRequest(f"'{part}' is not a name or an id.")
    return quote(str(part), safe="")


def _refusal(response: httpx.Response, looked_at: str = "") -> ApiError:
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        answer = {"error": "HTTP_ERROR", "message": f"{response.request.url} answered {response.status_code}."}
    if response.status_code == httpx.codes.UNAUTHORIZED and looked_at:
        answer = {**answer, "message": f"{answer.get('message', '')} {looked_at}".strip()}
    return ApiError(response.status_code, answer)


__all__ = ["ApiError", "Client"]
