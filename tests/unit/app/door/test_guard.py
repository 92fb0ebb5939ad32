"""The guard before both services: hosts, keys, pages of other sites, kinds and sizes of bodies, odd addresses."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from app.api.main import create_app
from app.door.session import COOKIE
from app.serving.main import create_serving
from app.settings import Settings
from app.wiring import Parts
from tests.support.door import TOKEN, write_token

SERVICES = ("api", "serving")
#: A route of each service that changes something, and one that shows something.
CHANGES = {"api": "/models/spam/promote", "serving": "/predict/spam"}
SHOWS = {"api": "/openapi.json", "serving": "/openapi.json"}
BODIES: dict[str, Any] = {"api": {"version": 1, "reason": "x"}, "serving": {"text": "hi"}}
EVIL = "http://evil.example"


def parts(folder: Path, **fields: Any) -> Parts:
    """Return parts that are connected to nothing."""
    nowhere = {"redis_url": "redis://127.0.0.1:1", "s3_endpoint_url": "http://127.0.0.1:1", "redis_timeout_s": 0.2}
    return Parts(Settings(_env_file=None, state_dir=write_token(folder), **{**nowhere, **fields}))


def services(folder: Path, **fields: Any) -> dict[str, FastAPI]:
    made = parts(folder, **fields)
    serving = create_serving(made)
    serving.state.serving.history.close()
    return {"api": create_app(made), "serving": serving}


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FastAPI]:
    return services(tmp_path_factory.mktemp("state"))


@pytest.fixture(params=SERVICES)
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def client(apps: dict[str, FastAPI], name: str) -> TestClient:
    return TestClient(apps[name], raise_server_exceptions=False)


def fault(answer: Any, status: int, *words: str) -> None:
    """See that an answer is a refusal in one sentence with its cure."""
    assert answer.status_code == status, answer.text
    found = answer.json()
    message = found["error"]["message"] if isinstance(found["error"], dict) else found["message"]
    assert all(word in message for word in words), message
    assert message.endswith("."), message


# -- hosts -------------------------------------------------------------------------------------

FOREIGN_HOSTS = [
    *(
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil.example.",
        "xlocalhost",
    ),
    *("127.0.0.1@evil.example", "evil.example/127.0.0.1", "evil.example#localhost", "0.0.0.0", "10.0.0.1", "127.0.0.2"),
    *("[::2]", "::1:80", "localhost:80:80", "localhost:http", "[::1", "", " ", "localhost evil.example", "2130706433"),
]


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
@pytest.mark.parametrize("path", ["shows", "/health", "/docs", "/nowhere"])
def test_a_foreign_host_is_answered_nothing(client: TestClient, name: str, host: str, path: str) -> None:
    fault(client.get(SHOWS[name] if path == "shows" else path, headers={"Host": host}), 421, "TUNELINE_ALLOWED_HOSTS")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "localhost.", "127.0.0.1:1", "[::1]", "[::1]:8000"])
def test_loopback_is_answered_by_all_its_names(client: TestClient, name: str, host: str) -> None:
    assert client.get(SHOWS[name], headers={"Host": host}).status_code == 200


def test_two_hosts_are_none(client: TestClient, name: str) -> None:
    answer = client.get(SHOWS[name], headers=[("Host", "localhost"), ("Host", "evil.example")])  # type: ignore[arg-type]
    fault(answer, 421)


def test_more_hosts_are_a_setting(tmp_path: Path, name: str) -> None:
    allowed = "api.example.com, *.lab.example,192.0.2.7"
    made = services(tmp_path, allowed_hosts=allowed, api_host="192.0.2.9", serving_host="192.0.2.9")
    found = {}
    for host in ("api.example.com:443", "a.b.lab.example", "192.0.2.7", "192.0.2.9:8000", "lab.example", "example.com"):
        found[host] = TestClient(made[name]).get(SHOWS[name], headers={"Host": host}).status_code

    assert list(found.values()) == [200, 200, 200, 200, 421, 421]


def test_where_it_listens_everywhere_addresses_are_taken_and_names_are_not(tmp_path: Path, name: str) -> None:
    made = TestClient(services(tmp_path, api_host="0.0.0.0", serving_host="0.0.0.0")[name])

    assert made.get(SHOWS[name], headers={"Host": "10.1.2.3:8000"}).status_code == 200
    assert made.get(SHOWS[name], headers={"Host": "[fd00::1]"}).status_code == 200
    fault(made.get(SHOWS[name], headers={"Host": "evil.example"}), 421)


@pytest.mark.parametrize("written", ["http://a.example", "a.example:80", "*", "a b", "*.*", "a.example/x"])
def test_a_host_that_is_none_is_told_at_the_start(written: str) -> None:
    with pytest.raises(ValueError, match="is not a host"):
        Settings(_env_file=None, allowed_hosts=written)  # type: ignore[arg-type]


# -- keys --------------------------------------------------------------------------------------

WRONG = ["", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}"]


@pytest.mark.parametrize("given", [*WRONG, f"Bearer {TOKEN.upper()}", "Bearer \u00b2", f"Bearer {TOKEN}, {TOKEN}"])
def test_without_the_key_nothing_is_done_and_nothing_told(client: TestClient, name: str, given: str) -> None:
    client.app.rules.wrong_keys._peers.clear()  # type: ignore[attr-defined]
    headers = {"Authorization": given.encode("latin-1")}
    for answer in (client.get(SHOWS[name], headers=headers), client.post(CHANGES[name], json={}, headers=headers)):
        fault(answer, 401, "tuneline token", "TUNELINE_API_KEY")
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("given", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER  {TOKEN} "])
def test_the_key_opens(client: TestClient, name: str, given: str) -> None:
    assert client.get(SHOWS[name], headers={"Authorization": given}).status_code == 200


def test_many_wrong_keys_are_put_off_and_the_right_one_is_not(client: TestClient, name: str) -> None:
    client.app.rules.wrong_keys._peers.clear()  # type: ignore[attr-defined]
    wrong = [client.get(SHOWS[name], headers={"Authorization": f"Bearer wrong-{number}"}) for number in range(12)]

    assert [answer.status_code for answer in wrong] == [401] * 10 + [429] * 2
    assert int(wrong[-1].headers["retry-after"]) > 0
    fault(wrong[-1], 429, "Too many wrong keys")
    assert client.get(SHOWS[name]).status_code == 200
    assert client.get(SHOWS[name], headers={"Authorization": ""}).status_code == 429


def test_health_is_open_and_gives_no_address_away(client: TestClient, name: str) -> None:
    strangers, known = client.get("/health", headers={"Authorization": "Bearer wrong"}), client.get("/health")

    assert strangers.status_code == known.status_code
    assert set(strangers.json()) == set(known.json())
    assert "127.0.0.1" not in strangers.text
    assert ("127.0.0.1:1" in known.text) is (name == "api")


# -- pages of other sites ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        *(
            {"Origin": origin}
            for origin in (EVIL, "null", "https://127.0.0.1.evil.example", "file://", "http://localhost:3000")
        ),
        *({"Origin": origin} for origin in ("http://127.0.0.1:9", "http://[::1]", "", "http://127.0.0.1@evil.example")),
        *({"Sec-Fetch-Site": site} for site in ("cross-site", "same-site", "odd")),
        {"Origin": EVIL, "Sec-Fetch-Site": "same-origin"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_page_of_another_site_changes_nothing(
    client: TestClient, name: str, method: str, headers: dict[str, str]
) -> None:
    answer = client.request(method, CHANGES[name], json=BODIES[name], headers=headers)
    fault(answer, 403, "TUNELINE_ALLOWED_ORIGINS")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://127.0.0.1:80", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://127.0.0.1", "Host": "127.0.0.1:443"},
        {"Origin": "http://localhost:8000", "Host": "localhost:8000"},
        {"Sec-Fetch-Site": "none"},
        {},
    ],
)
def test_its_own_pages_and_programs_may(client: TestClient, name: str, headers: dict[str, str]) -> None:
    assert client.post(CHANGES[name], json={}, headers=headers).status_code == 422


def test_origins_that_were_allowed_may_and_are_told_so_before(tmp_path: Path, name: str) -> None:
    page = "https://studio.example"
    client = TestClient(services(tmp_path, allowed_origins=f"{page}/x,{page}".split(",")[1])[name])
    asked = {"Origin": page, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    before = client.options(CHANGES[name], headers={**asked, "Authorization": ""})
    foreign = client.options(CHANGES[name], headers={**asked, "Origin": EVIL, "Authorization": ""})

    assert (before.status_code, before.headers["access-control-allow-origin"]) == (200, page)
    assert "authorization" in before.headers["access-control-allow-headers"].lower()
    assert foreign.status_code == 401
    answer = client.post(CHANGES[name], json={}, headers={"Origin": page})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (422, page)
    fault(client.post(CHANGES[name], json={}, headers={"Origin": EVIL}), 403)


# -- kinds and sizes of bodies -----------------------------------------------------------------

SIMPLE = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "",
    "text/plain; x=json",
]


@pytest.mark.parametrize(
    "kind", [*SIMPLE, "application/octet-stream", "text/json", "json", "application/jsonx", "\u00b2"]
)
def test_a_body_of_a_kind_that_any_page_can_send_is_refused(client: TestClient, name: str, kind: str) -> None:
    answer = client.post(
        CHANGES[name], content=json.dumps(BODIES[name]), headers={"Content-Type": kind.encode("latin-1")}
    )
    fault(answer, 415, "Content-Type: application/json")


def test_specs_come_as_yaml_too_and_datasets_as_forms_alone(apps: dict[str, FastAPI]) -> None:
    api = TestClient(apps["api"], raise_server_exceptions=False)
    for path in ("/jobs", "/api/v1/jobs"):
        assert api.post(path, content="[", headers={"Content-Type": "application/yaml"}).status_code == 422
        fault(api.post(path, content="[", headers={"Content-Type": "text/plain"}), 415, "application/yaml")
    for path in ("/datasets", "/api/v1/datasets"):
        fault(api.post(path, json={"file": "x"}), 415, "multipart/form-data")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_above_the_limit_is_refused_and_not_read_to_its_end(tmp_path: Path, name: str, chunked: bool) -> None:
    client = TestClient(services(tmp_path, json_limit_mb=1)[name], raise_server_exceptions=False)
    read = []

    def pieces() -> Iterator[bytes]:
        yield b'{"text": "'
        for number in range(4096):
            read.append(number)
            yield b"x" * 1024

    content = pieces() if chunked else b"".join(pieces())
    answer = client.post(CHANGES[name], content=content, headers={"Content-Type": "application/json"})

    fault(answer, 413, "1,048,576 bytes", "TUNELINE_JSON_LIMIT_MB")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "1e9", "\u00b2", "0x10", str(1 << 70)])
def test_a_length_that_is_none_is_too_large(client: TestClient, name: str, length: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Length": length.encode("latin-1")}
    fault(client.post(CHANGES[name], content=b"{}", headers=headers), 413)


@pytest.mark.parametrize("size", [200, 100_000])
def test_a_body_of_many_unknown_keys_is_one_fault(client: TestClient, name: str, size: int) -> None:
    answer = client.post(CHANGES[name], json={f"k{number}": number for number in range(size)})
    fault(answer, 422, "more than 100 keys")
    assert len(answer.content) < 1000


def test_a_reason_is_short(apps: dict[str, FastAPI]) -> None:
    api = TestClient(apps["api"])
    for method, path in (("POST", "/models/m/promote"), ("POST", "/models/m/rollback"), ("DELETE", "/models/m/1")):
        answer = api.request(method, path, json={"reason": "x" * 1001, **({"version": 1} if "promote" in path else {})})
        fault(answer, 422, "at most 1000 characters")
    fault(api.post("/models/m/promote", json={"version": "v" * 101, "reason": "x"}), 422, "at most 100 characters")


# -- odd addresses -----------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["9" * 9000, "a" * 60_000, "%C2%B2" * 2000, "%00" * 3000])
def test_nothing_is_at_a_long_address(client: TestClient, part: str) -> None:
    for path in (f"/models/spam/{part}", f"/predict/{part}", f"/jobs/{part}/logs", f"/{part}", f"/v1/models/{part}"):
        fault(client.get(path), 404, "8,192 bytes")


@pytest.mark.parametrize("part", ["9" * 5000, "a" * 6000, "%00", "x%00y", "%C2%B2", "%ED%A0%80", "..%2f..", "%0a"])
def test_no_model_of_serving_has_an_odd_name(apps: dict[str, FastAPI], part: str) -> None:
    serving = TestClient(apps["serving"], raise_server_exceptions=False)
    for answer in (serving.post(f"/predict/{part}", json={"text": "x"}), serving.get(f"/v1/models/{part}")):
        fault(answer, 404)
    assert serving.post("/convert", json={"text": "x", "model": part}).status_code in {404, 422}


@pytest.mark.parametrize(
    "query", ["model=%00", "model=" + "x" * 6000, "after=" + "9" * 5000, "a=b&" * 2000, "%00", "x%00=1"]
)
def test_an_odd_query_is_refused(client: TestClient, name: str, query: str) -> None:
    for path in (SHOWS[name], "/models", "/history", "/datasets/0123456789abcdef/preview"):
        fault(client.get(f"{path}?{query}"), 422, "4,096 bytes", "NUL")
    status = 400 if name == "serving" else 422
    assert client.get(f"/v1/models?{query}").status_code == status


# -- answers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/health", "/openapi.json", "/docs", "/nowhere", "/docs/assets/sign-in.js"])
@pytest.mark.parametrize("key", [f"Bearer {TOKEN}", "Bearer wrong"])
def test_every_answer_has_the_headers_that_keep_browsers_from_harm(client: TestClient, path: str, key: str) -> None:
    headers = client.get(path, headers={"Authorization": key}).headers

    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers
    assert headers["cache-control"] == ("public, max-age=86400" if "assets" in path else "no-store")


# -- sessions and pages ------------------------------------------------------------------------


def signed_in(app: FastAPI) -> TestClient:
    """Return a browser that has given the key once."""
    browser = TestClient(app, raise_server_exceptions=False)
    answer = browser.post("/session")
    assert answer.status_code == 204
    del browser.headers["Authorization"]
    return browser


def test_a_session_stands_for_the_key_and_does_not_hold_it(apps: dict[str, FastAPI], name: str) -> None:
    browser = TestClient(apps[name])
    cookie = browser.post("/session").headers["set-cookie"]

    assert all(word in cookie for word in (COOKIE, "HttpOnly", "SameSite=strict", "Path=/", "Max-Age=43200"))
    assert TOKEN not in cookie
    browser = signed_in(apps[name])
    assert browser.get(SHOWS[name]).status_code == 200
    assert browser.post(CHANGES[name], json={}).status_code == 422
    fault(browser.post("/session"), 403, "opened by the key")
    assert browser.delete("/session").status_code == 204
    assert browser.get(SHOWS[name]).status_code == 401


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "headers", [{"Origin": "http://localhost:3000"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": EVIL}]
)
def test_a_page_beside_ours_cannot_use_the_session(
    apps: dict[str, FastAPI], name: str, method: str, headers: dict[str, str]
) -> None:
    path = SHOWS[name] if method == "GET" else CHANGES[name]
    fault(signed_in(apps[name]).request(method, path, headers=headers), 403)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=';,"\\')))
@examples(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_other_cookie_is_a_session(apps: dict[str, FastAPI], value: str) -> None:
    for app in apps.values():
        headers = {"Authorization": "", "Cookie": f"{COOKIE}={value}"}
        assert TestClient(app).get("/openapi.json", headers=headers).status_code in {401, 429}


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_pages_load_from_the_service_alone_and_need_the_key(apps: dict[str, FastAPI], name: str, path: str) -> None:
    stranger = TestClient(apps[name]).get(path, headers={"Authorization": ""})
    shown = signed_in(apps[name]).get(path)

    assert (stranger.status_code, shown.status_code) == (401, 200)
    assert "sign-in.js" in stranger.text
    for page in (stranger.text, shown.text):
        assert "//" not in page.replace("<!doctype", "")
        sources = [part.split('"')[0] for part in page.split('src="')[1:] + page.split('href="')[1:]]
        for source in sources:
            found = TestClient(apps[name]).get(f"/{source}", headers={"Authorization": ""})
            assert (found.status_code, len(found.content) > 100) == (200, True), source
            assert "<script>" not in page


def test_the_pages_give_no_other_file(client: TestClient) -> None:
    for part in ("..%2fcore.py", "core.py", "%2e%2e", "__init__.py", "..%2f..%2f..%2fetc%2fpasswd"):
        assert client.get(f"/docs/assets/{part}").status_code == 404
