"""Each room can be the first that a process imports: workers, the judge and serving begin with different ones."""

import subprocess
import sys

from tests.conftest import REPOSITORY

#: Forks for each module a process that has nothing of ours yet; the libraries are loaded once.
ALONE = """
import os, pathlib
import numpy, pydantic, torch, transformers

files = [*pathlib.Path("agents").rglob("__init__.py"), *pathlib.Path("agents").rglob("types.py")]
rooms = sorted(".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in files)
print(len(rooms))
for name in rooms:
    if os.fork() == 0:
        try:
            __import__(name)
        except BaseException as fault:
            print(name, repr(fault), flush=True)
        os._exit(0)
    os.wait()
"""


def test_every_room_of_agents_can_be_imported_first() -> None:
    run = subprocess.run([sys.executable, "-c", ALONE], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    count, *faults = run.stdout.splitlines()

    assert int(count) > 30
    assert faults == []
