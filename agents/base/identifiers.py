"""Ids that come from outside: of jobs, models, versions and log records. The one parser of each.

What is well written but names nothing is not found (404); what can't be such an id at all is not valid (422), but for
names and ids of jobs, of which there simply is none.
"""

import re
from dataclasses import dataclass
from typing import Self

from agents.base.errors import InvalidRequest
from agents.base.names import printable

#: Of a job; those that are made here are `job_` and a ULID.
JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
#: Of a pipeline, a model or a queue.
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
#: A version by its number. More digits than these no registry comes to.
NUMBER = re.compile(r"v?([1-9][0-9]{0,8})")
#: A version by number or alias, for documents.
VERSION_PATTERN = "^(v?[1-9][0-9]{0,8}|[a-z][a-z0-9_-]{0,62})$"
CURSOR = re.compile(r"([0-9]{1,20})(?:-([0-9]{1,20}))?")
#: The numbers in the id of a stream's entry have 64 bits.
CURSOR_MOST = 2**64 - 1
#: The same for documents, which know no numbers in texts.
CURSOR_PATTERN = "^[0-9]{1,19}(-[0-9]{1,19})?$"


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """A place in a job's log: the id of a record, after which reading goes on."""

    milliseconds: int
    number: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the cursor that a text is: `1700000000000-0`, or without the part after the dash.

        Raises:
            InvalidRequest: it is not one.
        """
        found = CURSOR.fullmatch(text)
        numbers = (int(found[1]), int(found[2] or 0)) if found else None
        if numbers is None or max(numbers) > CURSOR_MOST:
            raise InvalidRequest(
                f"'{printable(text)}' is not a cursor.",
                cure="Use the id of a record, such as 1700000000000-0, or 0-0 for the beginning.",
            )
        return cls(*numbers)

    def __str__(self) -> str:
        return f"{self.milliseconds}-{self.number}"


def parse_version(text: str) -> int | str:
    """Return the number that a text names (`3`, `v3`), or the text itself where it may be an alias.

    Raises:
        InvalidRequest: it can be neither.
    """
    if found := NUMBER.fullmatch(text):
        return int(found[1])
    if NAME.fullmatch(text) and not text[0].isdigit():
        return text
    raise InvalidRequest(
        f"'{printable(text)}' is not a version.", cure="Write its number, such as 3, or an alias, such as champion."
    )


def is_job_id(text: str) -> bool:
    """Say whether a text can be the id of a job."""
    return JOB_ID.fullmatch(text) is not None


def is_name(text: str) -> bool:
    """Say whether a text can be the name of a pipeline, a model or a queue."""
    return NAME.fullmatch(text) is not None
