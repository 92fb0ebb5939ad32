"""The settings page says what the settings are, and no other file reads the environment."""

import re
from pathlib import Path

import pytest

from app.settings import Settings
from tests.conftest import REPOSITORY
from tests.docs.settings_page import page

PAGE = REPOSITORY / "docs" / "settings.md"


def test_the_settings_page_is_current() -> None:
    assert PAGE.read_text() == page(), "run: make settings"


def test_every_setting_says_what_it_is() -> None:
    undescribed = [name for name, field in Settings.model_fields.items() if not field.description]
    assert undescribed == []


@pytest.mark.parametrize(
    "document", [*sorted(REPOSITORY.glob("docs/*.md")), REPOSITORY / "README.md"], ids=lambda path: path.name
)
def test_documents_name_only_settings_that_exist(document: Path) -> None:
    named = set(re.findall(r"\bTUNELINE_([A-Z0-9]+(?:_[A-Z0-9]+)*)(?!_?\*)\b(?!_)", document.read_text()))
    assert {name.lower() for name in named} - set(Settings.model_fields) == set()


def test_only_the_settings_read_tunelines_environment() -> None:
    readers = {
        path.relative_to(REPOSITORY).as_posix()
        for layer in ("agents", "pipelines", "app")
        for path in (REPOSITORY / layer).rglob("*.py")
        if re.search(r"(getenv|environ)\W+(get\W+)?[\"']TUNELINE_", path.read_text())
    }
    assert readers == set()


def test_values_in_the_form_that_the_page_gives_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNELINE_WORKERS", "default=2, training=0")
    monkeypatch.setenv("TUNELINE_DATA_ROOTS", "/srv/rows:/srv/models")
    settings = Settings()
    assert settings.workers == {"default": 2, "training": 0, "evaluation": 1, "serving": 1}
    assert settings.data_roots == (Path("/srv/rows"), Path("/srv/models"))


def test_a_setting_that_is_empty_is_not_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TUNELINE_FORCE_KEY=\nTUNELINE_HISTORY_URL=\n")
    for name in ("API_KEY", "REDIS_URL", "S3_ENDPOINT_URL", "WORKERS", "AGENTS", "DATA_ROOTS", "LEASE_TTL_S"):
        monkeypatch.setenv(f"TUNELINE_{name}", "")

    assert Settings(_env_file=tmp_path / ".env") == Settings(_env_file=None)
    assert Settings().api_key is None


def test_paths_may_begin_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TUNELINE_STATE_DIR", "~/state")
    monkeypatch.setenv("TUNELINE_DATA_ROOTS", "~/rows:/srv")

    assert Settings().state_dir == tmp_path / "state"
    assert Settings().data_roots == (tmp_path / "rows", Path("/srv"))
