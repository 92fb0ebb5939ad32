"""What goes into the wheel: every module, the marks of typed packages, and the data files."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PACKAGES = ("agents", "app", "pipelines")
NEEDED = (*PACKAGES, "LICENSE", "README.md", "pyproject.toml", "requirements.txt", "tuneline_start.py")
BUILD = "from setuptools.build_meta import build_wheel; import sys; print(build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The files of a wheel that is built from links to the sources, so that nothing is left beside them."""
    folder = tmp_path_factory.mktemp("build")
    for name in NEEDED:
        (folder / name).symlink_to(REPOSITORY / name)
    line = [sys.executable, "-c", BUILD, str(folder)]
    built = subprocess.run(line, cwd=folder, env=dict(os.environ), capture_output=True, text=True, check=True)
    with zipfile.ZipFile(folder / built.stdout.splitlines()[-1]) as archive:
        return set(archive.namelist())


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_say_that_they_are_typed(wheel: set[str], package: str) -> None:
    assert f"{package}/py.typed" in wheel


def test_all_that_is_run_is_in_the_wheel(wheel: set[str]) -> None:
    wanted = [*(path for name in PACKAGES for path in REPOSITORY.glob(f"{name}/**/*.py"))]
    wanted += [
        *REPOSITORY.glob("pipelines/*.yaml"),
        *REPOSITORY.glob("pipelines/data/*"),
        *REPOSITORY.glob("agents/**/*.tsv"),
        Path("tuneline_start.py"),
    ]
    names = {str(path.relative_to(REPOSITORY) if path.is_absolute() else path) for path in wanted}

    assert names - wheel == set()
    assert not any(name.startswith("tests/") for name in wheel)
