"""The id of an attempt: the one place that makes and reads such texts.

An id names its node by number, so that a name may have any character in it.
"""

import re
from dataclasses import dataclass
from typing import Self

JOB = re.compile(r"[A-Za-z0-9_-]+")
KEY = re.compile(r"(?P<job>[A-Za-z0-9_-]+)-(?P<node>0|[1-9][0-9]*)-(?P<attempt>0|[1-9][0-9]*)")
#: What releases before node numbers wrote. Names may have a bar in them; ids of jobs and numbers of attempts have none.
NAMED_KEY = re.compile(r"(?P<job>[A-Za-z0-9_-]+)\|(?P<name>.*)\|(?P<attempt>0|[1-9][0-9]*)", re.DOTALL)


@dataclass(frozen=True, slots=True, order=True)
class AttemptId:
    """One attempt at one node of a job."""

    job: str
    node: int
    """The node's number in the plan."""
    attempt: int

    def __post_init__(self) -> None:
        if not JOB.fullmatch(self.job) or self.node < 0 or self.attempt < 0:
            raise ValueError(f"{self.job!r}, {self.node}, {self.attempt} is not an attempt.")

    def key(self) -> str:
        """Return the text that stands for the attempt in keys, queue messages and paths: letters, digits, - and _."""
        return f"{self.job}-{self.node}-{self.attempt}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the attempt that `key` made this text of.

        Raises:
            ValueError: it is not such a text.
        """
        found = KEY.fullmatch(text)
        if found is None:
            raise ValueError(f"{text[:200]!r} is not the id of an attempt.")
        return cls(found["job"], int(found["node"]), int(found["attempt"]))


@dataclass(frozen=True, slots=True)
class NamedAttemptId:
    """The same as releases before node numbers wrote it: `job|name of the node|attempt`."""

    job: str
    name: str
    attempt: int

    def key(self) -> str:
        """Return the text that those releases keep in Redis."""
        return f"{self.job}|{self.name}|{self.attempt}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the attempt that an older release named by this text, None where it is not one of theirs."""
        found = NAMED_KEY.fullmatch(text)
        return cls(found["job"], found["name"], int(found["attempt"])) if found else None


def node_key(job: str, node: int) -> str:
    """Return the text that stands for a node of a job, whichever its attempt."""
    return f"{job}-{node}"


def named_node_key(job: str, name: str) -> str:
    """Return the same as releases before node numbers wrote it."""
    return f"{job}|{name}"
