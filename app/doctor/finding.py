"""Finding: one thing that the doctor checked."""

from agents.base.records import Record


class Finding(Record):
    """What was checked, how it is, and what to do about it.

    `ok`: True is fine, False a fault, None neither (not started, not needed, or only worth knowing).
    `cure` is empty only where there is nothing to do; every fault has one.
    """

    name: str
    ok: bool | None
    found: str
    cure: str = ""
