"""The on-ramp against the checkout: targets of make, tiers of tests, tools of the hooks."""

import re
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY

PAGES = [*sorted(REPOSITORY.glob("docs/*.md")), *sorted(REPOSITORY.glob("*.md"))]


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))


def targets_named(text: str) -> set[str]:
    """Every `make ...` in backticks or behind a prompt; values given to it, such as `SEED=1`, are left out."""
    lines = re.findall(r"`make ([a-z][^`]*)`|^\$ make ([a-z][^#\n]*)", text, re.MULTILINE)
    words = [word for line in lines for word in "".join(line).split()]
    return {word for word in words if "=" not in word}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_make_knows_what_a_page_asks_it_for(path: Path) -> None:
    assert targets_named(path.read_text()) <= targets()


def test_targets_are_found_in_sentences_and_blocks() -> None:
    assert targets_named("Run `make soak SEED=1`.\n\n$ make lint types   # both\n") == {"soak", "lint", "types"}


def test_every_tier_is_told_of_and_no_other() -> None:
    told = set(re.findall(r"^\| `tests/(\w+)` \|", (REPOSITORY / "CONTRIBUTING.md").read_text(), re.MULTILINE))
    found = {path.relative_to(REPOSITORY / "tests").parts[0] for path in (REPOSITORY / "tests").rglob("test_*.py")}
    assert told == found


def test_hooks_call_tools_that_are_installed_here() -> None:
    (local,) = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())["repos"]
    tools = {hook["entry"].split()[0] for hook in local["hooks"]}
    assert local["repo"] == "local"
    assert tools >= {".venv/bin/ruff", ".venv/bin/lint-imports", ".venv/bin/mypy"}
    assert {tool for tool in tools if not (Path(sys.executable).parent / Path(tool).name).exists()} == set()
