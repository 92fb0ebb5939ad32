"""The lines of a model card, run as its reader would run them."""

import re
from pathlib import Path

import pytest

PYTHON = re.compile(r"```python\n(.*?)\n```", re.DOTALL)


def run_example(card: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """Run the lines of a card in a folder with the download; return what they print."""
    monkeypatch.chdir(folder)
    (lines,) = PYTHON.findall(card)
    capsys.readouterr()
    exec(compile(lines, "card", "exec"), {})
    return capsys.readouterr().out
