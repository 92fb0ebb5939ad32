"""Moments at which a fault strikes: a process that reaches the armed one says so and waits for word to go on.

Loaded by the forkserver of the fault tests, so that every worker and agent process has the breakpoints; the
code between them is the product's own.
"""

import functools
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

from agents.base.object_store import ObjectStore
from pipelines.engine.orchestrator import Orchestrator
from pipelines.engine.state.store import JobStore
from pipelines.engine.worker.context import AttemptContext

Moment = Literal["claim", "run", "upload", "report", "reported"]
MOMENTS: tuple[Moment, ...] = get_args(Moment)
#: Folder of the files that tests and processes talk through.
FOLDER = "TUNELINE_BREAKPOINTS"
LOOK_EVERY_S = 0.005


def arm(folder: Path, moment: Moment, node: str) -> None:
    """Have the first process that reaches this moment of this node stop there."""
    for left_over in ("reached", "go", "armed"):
        (folder / left_over).unlink(missing_ok=True)
    scratch = folder / "arming"
    scratch.write_text(json.dumps([moment, node]))
    scratch.rename(folder / "armed")


def let_go(folder: Path) -> None:
    """Let the process that stopped go on."""
    (folder / "go").touch()


def reach(moment: Moment, node: str) -> None:
    """Stop here if this is the armed moment."""
    folder = Path(os.environ[FOLDER])
    try:
        if json.loads((folder / "armed").read_text()) != [moment, node]:
            return
        mine = folder / f"reached-{os.getpid()}"
        # Of several processes one gets it.
        (folder / "armed").rename(mine)
    except FileNotFoundError:
        return
    mine.write_text(str(os.getpid()))
    mine.rename(folder / "reached")
    while not (folder / "go").exists():
        time.sleep(LOOK_EVERY_S)


def install() -> None:
    """Put the breakpoints in."""
    _before(JobStore, "claim", lambda _self, _job, event: reach("claim", event.node))
    _before(Orchestrator, "node_ended", lambda _self, _job, event, *_: reach("report", event.node))
    _after(Orchestrator, "node_ended", lambda _self, _job, event, *_: reach("reported", event.node))
    _after(AttemptContext, "log", _said)
    _after(
        AttemptContext, "progress", lambda self, *_, **__: reach("run", self.node) if self.node != TRAINING else None
    )
    _before(ObjectStore, "put_manifest", _uploading)


TRAINING = "training"


def _said(self: AttemptContext, event: str, **_: Any) -> None:
    # A training is struck once it has a checkpoint to go on from; the others at their first word.
    if self.node != TRAINING or event == "checkpoint_saved":
        reach("run", self.node)


def _uploading(_self: ObjectStore, key: str, _manifest: Any) -> None:
    if key.startswith("checkpoints/"):
        reach("upload", TRAINING)


def _before(owner: type, name: str, hook: Callable[..., None]) -> None:
    _wrap(owner, name, hook, lambda *_, **__: None)


def _after(owner: type, name: str, hook: Callable[..., None]) -> None:
    _wrap(owner, name, lambda *_, **__: None, hook)


def _wrap(owner: type, name: str, before: Callable[..., None], after: Callable[..., None]) -> None:
    wrapped = getattr(owner, name)

    @functools.wraps(wrapped)
    def call(*args: Any, **kwargs: Any) -> Any:
        before(*args, **kwargs)
        answer = wrapped(*args, **kwargs)
        after(*args, **kwargs)
        return answer

    setattr(owner, name, call)


if FOLDER in os.environ:
    install()
