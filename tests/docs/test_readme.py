"""The README's tree says what the packages say of themselves."""

from pathlib import Path

import pytest

from tests.docs.readme_tree import README, first_sentence, tree, with_tree


def test_the_tree_is_current() -> None:
    text = README.read_text()
    assert tree() in text, "run: make readme"
    assert with_tree(text) == text


def test_a_package_without_a_docstring_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "__init__.py").write_text("")
    monkeypatch.setattr("tests.docs.readme_tree.REPOSITORY", tmp_path)

    with pytest.raises(ValueError, match=r"bare/__init__\.py has no docstring"):
        first_sentence(tmp_path / "bare")
