"""The table of attacks: every row is there, and every test that a row names exists."""

import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "security.md").read_text()
ATTACKS = 30
TESTS = re.compile(r"`(?P<file>(?:unit|servers|flow|faults|docs|fuzz)/[\w/]+\.py)`(?:: (?P<names>`\w+`(?:, `\w+`)*))?")


def named_tests() -> list[tuple[str, str | None]]:
    """(file below tests, name without `test_`), of all rows."""
    found: list[tuple[str, str | None]] = []
    for entry in TESTS.finditer(PAGE[PAGE.index("## Attacks") :]):
        names = re.findall(r"`(\w+)`", entry["names"] or "")
        found += [(entry["file"], name) for name in names] or [(entry["file"], None)]
    return found


def test_every_attack_has_a_row_with_a_test() -> None:
    rows = re.findall(r"^\| (\d+) \|.*`[\w/]+\.py`.* \|$", PAGE, re.MULTILINE)
    assert [int(row) for row in rows] == list(range(1, ATTACKS + 1))


@pytest.mark.parametrize(("file", "name"), named_tests())
def test_every_test_that_a_row_names_exists(file: str, name: str | None) -> None:
    text = Path(REPOSITORY / "tests" / file).read_text()
    assert name is None or f"def test_{name}(" in text
