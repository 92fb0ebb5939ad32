"""Room for what is long under way: so many at the same time, and a sentence for the next."""

from collections.abc import Iterator
from contextlib import contextmanager

from agents.base.errors import Unavailable


class Room:
    """Counts what is under way in this process; `setting` names the most there may be."""

    def __init__(self, most: int, what: str, setting: str) -> None:
        self._most, self._what, self._setting = most, what, setting
        self.taken = 0

    def check(self) -> None:
        """See that there is room for one more.

        Raises:
            Unavailable: there is not.
        """
        if self.taken >= self._most:
            raise Unavailable(
                f"{self.taken} {self._what} at the same time, and no more may be.",
                cure=f"Try again in a few seconds, or raise {self._setting}.",
            )

    @contextmanager
    def take(self) -> Iterator[None]:
        """Be one of them for a while."""
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
