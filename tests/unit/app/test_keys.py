"""Keys: the token of a machine is made once and kept from others; no key goes where it does not belong."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from typer.testing import CliRunner

from agents.base.errors import InvalidRequest, NotAllowed, TunelineError
from agents.generate.endpoint import ChatEndpoint
from agents.generate.settings import EndpointSettings
from agents.generate.types import LanguageModel
from app.cli.commands import app
from app.cli.common import client
from app.client import ApiError, Client
from app.keys import check_strength, door_key, is_loopback, local_token, new_token, read_token, token_path
from app.settings import Settings
from app.wiring import require_key_beyond_loopback
from tests.conftest import REPOSITORY
from tests.support.door import TOKEN, write_token

EVIL = "http://evil.example:8000"
KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, without settings in the environment."""
    for name in [name for name in os.environ if name.startswith("TUNELINE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings(**fields: object) -> Settings:
    return Settings(_env_file=None, **fields)  # type: ignore[arg-type]


def test_a_token_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    state_dir = tmp_path / "deep" / "state"
    found = local_token(state_dir)

    assert len(found) >= 32
    assert door_key(settings(state_dir=state_dir)) == found == read_token(state_dir)
    assert stat.S_IMODE(token_path(state_dir).stat().st_mode) == 0o600
    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700


def test_all_who_ask_for_the_first_token_at_once_get_the_same(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from app.keys import local_token; print(local_token(Path(sys.argv[1])))"
    )
    line = [sys.executable, "-c", code, str(tmp_path / "state")]
    with ThreadPoolExecutor(4) as pool:
        processes = [subprocess.Popen(line, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) for _ in range(3)]
        tokens = set(pool.map(lambda _: local_token(tmp_path / "state"), range(8)))
        tokens |= {process.communicate()[0].strip() for process in processes}

    assert len(tokens) == 1


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o666, 0o620])
def test_a_token_that_others_can_reach_is_refused_and_the_cure_cures(tmp_path: Path, mode: int) -> None:
    path = token_path(write_token(tmp_path))
    path.chmod(mode)
    with pytest.raises(NotAllowed, match="tuneline token --new"):
        local_token(tmp_path)
    new_token(tmp_path)

    assert local_token(tmp_path) != TOKEN


@pytest.mark.parametrize("content", ["", "\n", "short", "a b" * 20, "x" * 300, "\x00" * 40, "\N{SNOWMAN}" * 40])
def test_a_file_that_holds_no_token_is_refused(tmp_path: Path, content: str) -> None:
    token_path(write_token(tmp_path)).write_text(content)
    with pytest.raises(NotAllowed, match="holds no token"):
        local_token(tmp_path)


def test_neither_a_link_nor_a_pipe_nor_a_folder_is_taken_for_the_token(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text(TOKEN)
    (tmp_path / "elsewhere").chmod(0o600)
    path = token_path(tmp_path)
    for plant in (lambda: path.symlink_to(tmp_path / "elsewhere"), lambda: os.mkfifo(path, 0o600), path.mkdir):
        plant()
        with pytest.raises(NotAllowed):
            local_token(tmp_path)
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


@pytest.mark.parametrize(
    "key", ["a", " ", "\t", "short", " " * 40, "a" * 40, "ab" * 20, "secret", "0" * 16, "x  ", "passwordpassword"[:15]]
)
def test_a_key_that_can_be_guessed_is_not_taken_beyond_loopback(key: str) -> None:
    with pytest.raises(NotAllowed, match="openssl rand -hex 32"):
        require_key_beyond_loopback("0.0.0.0", settings(api_key=SecretStr(key)))
    require_key_beyond_loopback("0.0.0.0", settings(api_key=SecretStr(os.urandom(32).hex())))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "gpu-1", "::ffff:10.0.0.1", "128.0.0.1", "0x7f.1"])
def test_beyond_loopback_a_key_is_needed(host: str) -> None:
    with pytest.raises(NotAllowed):
        require_key_beyond_loopback(host, settings())


@pytest.mark.parametrize(
    "key", ["a b", "ключ-ключ-ключ-ключ", "tab\tkey", "line\nkey", "nul\0key", " before", "after "]
)
def test_a_key_that_no_header_can_carry_is_refused_at_the_start(key: str) -> None:
    with pytest.raises(InvalidRequest, match="openssl rand -hex 32"):
        door_key(settings(api_key=SecretStr(key)))


@given(st.binary(min_size=16, max_size=64))
def test_random_keys_are_strong(random: bytes) -> None:
    if len(set(random.hex())) >= 6:
        check_strength(random.hex())


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost.", "127.0.0.1", "127.8.9.1", "::1", "[::1]"])
def test_loopback_has_several_names(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["localhost.evil.example", "127.0.0.1.evil.example", "evil", "", "0.0.0.0", "10.0.0.1", "::2", "2130706433"]
)
def test_what_only_looks_like_loopback_is_not(host: str) -> None:
    assert not is_loopback(host)


# -- where keys go -----------------------------------------------------------------------------


def sent_by(made: Client) -> str | None:
    """Return the key that a client would send to its API."""
    seen: list[str | None] = []

    def note(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("authorization"))
        return httpx.Response(200, json={"jobs": []})

    made._api._transport = httpx.MockTransport(note)
    made.jobs()
    return seen[0]


def test_the_token_goes_to_loopback_alone(tmp_path: Path) -> None:
    write_token(tmp_path)
    for url in ("http://127.0.0.1:8000", "http://localhost:1", "http://[::1]:8000", "http://127.1.2.3"):
        assert sent_by(Client(url, state_dir=tmp_path)) == f"Bearer {TOKEN}"
    for url in (EVIL, "http://127.0.0.1.evil.example", "http://10.0.0.1", "https://localhost.evil.example"):
        assert sent_by(Client(url, state_dir=tmp_path)) is None


def test_the_token_is_the_one_that_lies_there_at_the_time(tmp_path: Path) -> None:
    made = Client(state_dir=tmp_path)
    first = sent_by(made)
    write_token(tmp_path)

    assert (first, sent_by(made)) == (None, f"Bearer {TOKEN}")
    assert sent_by(made) != f"Bearer {new_token(tmp_path)}" == sent_by(made)


def test_no_proxy_sees_what_is_for_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://proxy.example:3128")
    assert Client(state_dir=tmp_path)._api._mounts == {}
    assert Client("https://prod.example", api_key=KEY)._api._mounts != {}


def test_a_refusal_says_where_the_token_was_looked_for(tmp_path: Path) -> None:
    made = Client(state_dir=tmp_path)
    made._api._transport = httpx.MockTransport(lambda _: httpx.Response(401, json={"error": "X", "message": "No key."}))
    with pytest.raises(ApiError, match=rf"No key\. There is no token in {tmp_path}/token; TUNELINE_STATE_DIR"):
        made.jobs()


@pytest.mark.parametrize(
    ("environment", "dot_env"),
    [
        ({"TUNELINE_API_KEY": KEY}, {"TUNELINE_API_URL": EVIL}),
        ({"TUNELINE_API_KEY": KEY}, {"TUNELINE_SERVING_URL": EVIL}),
        ({"TUNELINE_API_KEY": KEY}, {"tuneline_api_url": EVIL}),
        ({"TUNELINE_FORCE_KEY": KEY}, {"TUNELINE_API_URL": EVIL, "TUNELINE_API_KEY": "theirs"}),
        ({"TUNELINE_API_KEY": KEY}, {"TUNELINE_API_URL": EVIL, "TUNELINE_API_KEY": "theirs"}),
        ({"TUNELINE_API_KEY": KEY}, {"TUNELINE_API_URL": "http://127.0.0.1:6666"}),
        ({"TUNELINE_STATE_DIR": "/var/lib/tuneline"}, {"TUNELINE_API_URL": "http://127.0.0.1:6666"}),
        ({}, {"TUNELINE_API_URL": "http://127.0.0.1:6666", "TUNELINE_STATE_DIR": "/home/you/.tuneline"}),
        ({}, {"TUNELINE_API_URL": "http://127.0.0.1:6666", "TUNELINE_STATE_DIR": "../.tuneline"}),
    ],
)
def test_an_env_file_of_the_folder_gets_no_key_that_is_not_its_own(
    here: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], dot_env: dict[str, str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (here / ".env").write_text("".join(f"{name}={value}\n" for name, value in dot_env.items()))
    with pytest.raises(NotAllowed, match=r"comes from the \.env of this folder.* in the environment"):
        client()


@pytest.mark.parametrize(
    ("environment", "dot_env", "key"),
    [
        ({"TUNELINE_API_KEY": KEY, "TUNELINE_API_URL": "https://prod.example"}, {"TUNELINE_API_URL": EVIL}, KEY),
        ({}, {"TUNELINE_API_KEY": KEY, "TUNELINE_API_URL": "https://prod.example"}, KEY),
        ({"TUNELINE_API_KEY": KEY}, {"TUNELINE_SERVING_FORMAT": "onnx"}, KEY),
        ({}, {"TUNELINE_API_URL": "http://127.0.0.1:8100"}, TOKEN),
        ({}, {}, TOKEN),
    ],
)
def test_keys_reach_the_addresses_that_were_set_beside_them(
    here: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], dot_env: dict[str, str], key: str
) -> None:
    write_token(here / ".tuneline")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (here / ".env").write_text("".join(f"{name}={value}\n" for name, value in dot_env.items()))

    assert sent_by(client()) == f"Bearer {key}"


def test_the_key_of_a_language_model_is_tied_to_its_address_too(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / ".env").write_text(f"GEN_BASE_URL={EVIL}\n")
    monkeypatch.setenv("OPENROUTER_API_KEY", KEY)
    model = LanguageModel.model_validate({"model": "m", "instruction": "Write.", "maximum_cost_usd": 1})
    with pytest.raises(NotAllowed, match=r"GEN_BASE_URL comes from the \.env"):
        ChatEndpoint(EndpointSettings(), model, httpx.Client(), lambda _: None)
    monkeypatch.setenv("GEN_BASE_URL", "https://models.example/v1")
    ChatEndpoint(EndpointSettings(), model, httpx.Client(), lambda _: None)


# -- tuneline token ----------------------------------------------------------------------------


def test_the_command_prints_the_key_that_services_ask_for(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = CliRunner().invoke
    missing = run(app, ["token"]).exception
    made = run(app, ["token", "--new"]).stdout.strip()

    assert isinstance(missing, TunelineError)
    assert "tuneline up" in str(missing)
    assert run(app, ["token"]).stdout.strip() == made == door_key(Settings())
    monkeypatch.setenv("TUNELINE_API_KEY", KEY)
    assert run(app, ["token"]).stdout.strip() == KEY
    assert isinstance(run(app, ["token", "--new"]).exception, TunelineError)
