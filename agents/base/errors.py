"""The error tree: what went wrong, in a sentence a user can act on, and whether another try can help.

    TunelineError
    ├── InvalidSpec            422  the spec has faults; `details` lists all of them
    ├── InvalidRequest         422  a request that is not valid
    │   └── TooLarge           413  more bytes than are taken
    ├── NotAllowed             403  needs a permission the caller lacks
    ├── NotFound               404  no such job, model, version or dataset
    ├── Conflict               409  not possible in the present state
    │   └── Fenced                  a late writer: its attempt is no longer the current one
    ├── Unavailable            503  Redis or the object store doesn't answer; try again
    ├── Overloaded             429  a queue is full; try again
    ├── InvalidData            422  the user's rows; final
    ├── InvalidModel           422  the base model; final
    ├── Diverged               422  a training whose loss or weights are no longer numbers; final
    ├── CorruptArtifact        500  bytes that don't match their digest; final
    ├── NoSpace                507  a disk or the object store is full; tried again, perhaps on another host
    ├── OutOfMemory            507  tried again with a smaller micro-batch
    ├── TimedOut               504  a node ran past its `timeout`
    ├── WorkerLost             500  the process that ran the node is gone; tried again
    └── AgentFailed            500  an agent raised something it had not foreseen; final

`StopRequested` is not an error: it carries a cancel or a pause up to the attempt.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from agents.base.strict_json import RECORD, clean

Detail = Mapping[str, Any]
StopKind = Literal["cancel", "pause"]


class TunelineError(Exception):
    """Root of all errors a user can see.

    `message` says what is wrong and where, `cure` what to do about it.
    """

    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, cure: str = "", details: Sequence[Detail] = ()) -> None:
        super().__init__(f"{message} {cure}".strip())
        self.message = message
        self.cure = cure
        self.details = [dict(detail) for detail in details]

    @classmethod
    def code(cls) -> str:
        """The machine's name of this error: `InvalidSpec` is `INVALID_SPEC`."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).upper()

    def as_record(self) -> dict[str, Any]:
        """JSON for the API's answer, the job's state and the log: within bounds, whatever was put into the message."""
        record = {"error": self.code(), "message": str(self), "details": [_told(detail) for detail in self.details]}
        found: dict[str, Any] = clean(record, RECORD).value
        return found


class InvalidSpec(TunelineError):
    """The spec has faults; each detail is `{"path", "message"}`."""

    status = 422


class InvalidRequest(TunelineError):
    """A request that is not valid."""

    status = 422


class TooLarge(InvalidRequest):
    """More bytes than are taken."""

    status = 413


class NotAllowed(TunelineError):
    """The caller lacks a permission."""

    status = 403


class NotFound(TunelineError):
    """No such job, model, version or dataset."""

    status = 404


class Conflict(TunelineError):
    """Not possible in the present state."""

    status = 409


class Fenced(Conflict):
    """A late writer: another attempt holds the node now, so nothing was written."""


class Unavailable(TunelineError):
    """A server that Tuneline needs doesn't answer."""

    status = 503
    retryable = True
    retry_after_s: ClassVar[int] = 5


class Overloaded(TunelineError):
    """A queue is full."""

    status = 429
    retryable = True
    retry_after_s: ClassVar[int] = 1


class InvalidData(TunelineError):
    """The rows can't be used; the message names file, line or column."""

    status = 422


class InvalidModel(TunelineError):
    """The base model can't be used."""

    status = 422


class Diverged(TunelineError):
    """A training has left the numbers: its loss, gradients or weights are infinite or none."""

    status = 422


class CorruptArtifact(TunelineError):
    """Stored bytes don't match their digest."""


class NoSpace(TunelineError):
    """A disk or the object store is full."""

    status = 507
    retryable = True


class OutOfMemory(TunelineError):
    """Memory ran out; another try uses half the micro-batch."""

    status = 507
    retryable = True


class TimedOut(TunelineError):
    """A node ran past its `timeout`."""

    status = 504
    retryable = True


class WorkerLost(TunelineError):
    """The process that ran the node is gone."""

    retryable = True


class AgentFailed(TunelineError):
    """An agent raised something it had not foreseen."""


def _told(detail: Detail) -> Detail:
    """Return a detail whose place and sentence are text, as readers of errors expect."""
    return {key: str(value) if key in {"path", "message"} else value for key, value in detail.items()}


def first_line(fault: BaseException) -> str:
    """Return the first line of what an error of a library says; its kind where it says nothing."""
    return str(fault).strip().partition("\n")[0] or type(fault).__name__


class StopRequested(Exception):
    """Raised inside an agent when its job is to be cancelled or paused."""

    def __init__(self, kind: StopKind) -> None:
        super().__init__(kind)
        self.kind: StopKind = kind
