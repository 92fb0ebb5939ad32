"""The pages against the code: every route, command, error and key of a config is named, with its default."""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from pydantic import BaseModel
from typer.main import get_command

from agents import AGENTS, load_agent
from agents.base.errors import TunelineError
from agents.base.records import Config
from agents.comparison.types import ComparisonConfig
from agents.dataset.types import DatasetConfig
from agents.evaluation.types import EvaluationConfig
from agents.export.types import ExportConfig
from agents.generate.types import GenerateConfig, Grammar, LanguageModel
from agents.preprocessing.types import PreprocessingConfig
from agents.training.types import TrainingConfig
from agents.validation.types import ValidationConfig
from app.api.main import create_app
from app.cli.commands import app as command_line
from app.cli.lazy import LazyCommand
from app.serving.main import create_serving
from app.settings import Settings
from app.wiring import Parts, extra_agents
from pipelines import shipped_specs
from pipelines.judge import judge
from pipelines.spec import Node, Spec, seconds
from tests.conftest import REPOSITORY

#: Page, which of its tables of keys, and what these are of.
TABLES: list[tuple[str, int, type[BaseModel]]] = [
    ("data", 0, DatasetConfig),
    ("data", 1, PreprocessingConfig),
    ("training", 0, TrainingConfig),
    ("evaluation", 0, EvaluationConfig),
    ("evaluation", 1, ComparisonConfig),
    ("registry", 0, ExportConfig),
    ("specs", 0, Spec),
    ("specs", 1, Node),
]
PAGES = [*sorted(REPOSITORY.glob("docs/*.md")), *sorted(REPOSITORY.glob("*.md"))]
#: Keys that stand in sentences.
PROSE: list[type[BaseModel]] = [ValidationConfig, GenerateConfig, LanguageModel, Grammar]


def page(name: str) -> str:
    return (REPOSITORY / "docs" / f"{name}.md").read_text()


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_files_and_links_that_a_page_names_are_there(path: Path) -> None:
    text = path.read_text()
    named = set(re.findall(r"`((?:agents|app|benchmarks|clients|deploy|docs|pipelines|tests)/[\w./-]*\w)`", text))
    linked = {target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)}

    assert {name for name in named if not (REPOSITORY / name).exists()} == set()
    assert {name for name in linked - {""} if not (path.parent / name).exists()} == set()


# -- routes, commands, errors ------------------------------------------------------------------


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    """Parts that are connected to nothing."""
    nowhere = {"redis_url": "redis://127.0.0.1:1", "s3_endpoint_url": "http://127.0.0.1:1"}
    return Parts(Settings(_env_file=None, state_dir=tmp_path, **nowhere))


def routes(paths: Mapping[str, Mapping[str, Any]]) -> set[str]:
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


def routes_named(text: str) -> set[str]:
    """Every route that a page names in backticks, as OpenAPI writes it."""
    return set(re.findall(r"`((?:GET|POST|PUT|DELETE) /[^`?\s]*)", text))


def test_the_routes_of_the_api_are_those_of_its_page(parts: Parts) -> None:
    named = {route for route in routes_named(page("api")) if not route.endswith("/docs")}
    assert named == routes(create_app(parts).openapi()["paths"])


def test_every_route_of_serving_is_named(parts: Parts) -> None:
    app = create_serving(parts)
    app.state.serving.history.close()
    found = {route.replace("{batch_id}", "{id}") for route in routes(app.openapi()["paths"])}
    assert found <= routes_named(page("serving"))


def commands(group: click.Command | LazyCommand, name: str) -> Iterator[str]:
    group = group.loaded() if isinstance(group, LazyCommand) else group
    if not isinstance(group, click.Group) or group.invoke_without_command:
        yield name
    for below, command in getattr(group, "commands", {}).items():
        yield from commands(command, f"{name} {below}")


def test_every_command_is_named() -> None:
    text = page("api")
    missing = [name for name in commands(get_command(command_line), "tuneline") if not re.search(rf"`{name}[ `]", text)]
    assert missing == []


def commands_shown() -> list[list[str]]:
    """Every `$ tuneline ...` that a page shows."""
    shown = [line for path in PAGES for block in blocks(path.read_text(), "console") for line in block.splitlines()]
    lines = [part.strip() for line in shown for part in line.removeprefix("$ ").split("&&")]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("tuneline ")]


@pytest.mark.parametrize("arguments", commands_shown(), ids=" ".join)
def test_a_command_that_a_page_shows_is_taken(arguments: list[str]) -> None:
    command = get_command(command_line)
    while isinstance(command, click.Group) and arguments and arguments[0] in command.commands:
        command, arguments = command.commands[arguments[0]], arguments[1:]

    assert command.name != "tuneline"
    # Parses, and refuses what it doesn't know, without running anything.
    command.make_context(str(command.name), arguments)


def errors(kind: type[TunelineError]) -> Iterator[type[TunelineError]]:
    for below in kind.__subclasses__():
        yield from (below, *errors(below))


def test_every_error_is_named_with_its_status_and_whether_it_is_tried_again() -> None:
    rows = dict(re.findall(r"^\| (`[A-Z_`, ]+) \| ([\d, ]+) \|", page("api"), re.MULTILINE))
    statuses = {code: status for codes, status in rows.items() for code in re.findall(r"[A-Z_]+", codes)}
    tried_again = re.search(r"A node is tried again after (.*?), as often", page("api"))
    found = {kind for kind in errors(TunelineError) if kind.__module__ == "agents.base.errors"}

    assert {kind.code() for kind in found} <= set(statuses)
    assert all(str(kind.status) in statuses[kind.code()] for kind in found)
    assert tried_again is not None
    assert set(re.findall(r"[A-Z_]+", tried_again[1])) == {kind.code() for kind in found if kind.retryable}


# -- specs and configs -------------------------------------------------------------------------


def table_rows(name: str, number: int) -> dict[str, str]:
    """Return key -> default as written in one of a page's tables."""
    head = r"^\| (?:hyperparameter|key|key of a node) \| default \|.*\n\| ---.*\n((?:\|.*\n)+)"
    rows = re.findall(head, page(name), re.MULTILINE)[number].splitlines()
    cells = [[cell.strip() for cell in row.split("|")[1:3]] for row in rows]
    return {key: default for names, default in cells for key in re.findall(r"`([\w.]+)`", names)}


def defaults(model: type[BaseModel], flat: bool) -> dict[str, Any]:
    """Return key -> default; of nested configs each, where `flat`. A key without a default has `...`."""
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        default = ... if field.is_required() else field.get_default(call_default_factory=True)
        if isinstance(default, Config) and flat:
            found |= {f"{name}.{key}": value for key, value in default.model_dump().items()}
        else:
            found[name] = default.model_dump() if isinstance(default, Config) else default
    return found


@pytest.mark.parametrize(("name", "number", "model"), TABLES, ids=lambda value: getattr(value, "__name__", str(value)))
def test_a_table_has_every_key_with_its_default(name: str, number: int, model: type[BaseModel]) -> None:
    rows = table_rows(name, number)
    known = defaults(model, flat=any("." in key for key in rows))

    assert set(rows) == set(known)
    assert {key: rows[key] for key, value in known.items() if not says(rows[key], value)} == {}


def says(cell: str, default: Any) -> bool:
    """Whether a cell of a table is a default; one in words is that of a key that is unset or made up."""
    if cell in ("", "unset", "found out"):
        return default in (..., None, "") or (cell == "" and default == {})
    if plain := re.fullmatch(r"`([^`]+)`|([\w.,]+)", cell):
        written = yaml.safe_load(plain[1] or plain[2].replace(",", ""))
        return bool(written == default or seconds(written) == default) if default is not None else False
    return default is None or f"`{default}`" in cell


@pytest.mark.parametrize("model", PROSE)
def test_a_key_in_a_sentence_has_its_default_behind_it(model: type[BaseModel]) -> None:
    text = page("data")
    for key, default in defaults(model, flat=False).items():
        assert re.search(rf"(?:`|\b){key}(?:`|:)", text), key
        numbers = re.findall(rf"`{key}` \(([\d,.]+)( %)?", text) if isinstance(default, int | float) else []
        for number, percent in numbers:
            assert float(number.replace(",", "")) / (100 if percent else 1) == default, key


@pytest.mark.parametrize("agent", AGENTS)
def test_every_agent_is_named_with_its_queue_and_what_stands_before_it(agent: str) -> None:
    entry = AGENTS[agent]
    before = ", ".join(f"`{other}`" for other in load_agent(entry.path).consumes)
    assert f"| `{agent}` | `{entry.queue}` | {before}".rstrip() in page("specs")


@pytest.mark.parametrize("name", shipped_specs())
def test_every_shipped_spec_is_told_of_in_the_readme(name: str) -> None:
    assert f"`{name}`" in (REPOSITORY / "README.md").read_text()


def test_the_spec_in_the_readme_is_sound() -> None:
    (written,) = blocks((REPOSITORY / "README.md").read_text(), "yaml")
    assert judge(yaml.safe_load(written), {}, AGENTS).name == "spam"


def test_the_agent_in_the_page_of_specs_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source,) = blocks(page("specs"), "python")
    (tmp_path / "counting.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    (written,) = re.findall(r"`TUNELINE_AGENTS=(\S+)`", page("specs"))
    monkeypatch.setenv("TUNELINE_AGENTS", written)
    spec = {"name": "own", "nodes": {"count": {"agent": "count", "config": {"text": "one two"}}}}

    plan = judge(spec, {}, extra_agents(Settings(_env_file=None).agents))
    assert (plan.nodes["count"].queue, plan.nodes["count"].config) == ("default", {"text": "one two"})
