"""What an object store tells of itself: an object in a listing, and how to reach it."""

from typing import NamedTuple

from pydantic import Field

from agents.base.records import Record


class Entry(NamedTuple):
    """One object in a listing; `age_s` by the store's own clock."""

    key: str
    size_bytes: int
    age_s: float


class StoreAddress(Record):
    """What another process needs to make the same store: `ObjectStore(**address.model_dump())`."""

    endpoint_url: str
    access_key: str
    secret_key: str = Field(repr=False)
    bucket: str
    region: str
    timeout_s: float
    patience_s: float
