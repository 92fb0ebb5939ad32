"""How long to wait before something that ended is started again."""

from dataclasses import dataclass

#: A life shorter than this was a failed start.
QUICK_S = 60.0
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
#: So many failed starts in a row are enough.
QUICK_ENDS_MOST = 6


@dataclass
class Backoff:
    """Remembers quick ends: the first start anew is immediate, each further one waits twice as long."""

    quick_ends: int = 0

    def ended(self, lived_s: float) -> float:
        """Note an end after a life of so many seconds; return how many seconds to wait before the next start."""
        self.quick_ends = self.quick_ends + 1 if lived_s < QUICK_S else 1
        return min(FIRST_WAIT_S * 2.0 ** (self.quick_ends - 2), LONGEST_WAIT_S) if self.quick_ends > 1 else 0.0

    @property
    def hopeless(self) -> bool:
        """Whether it failed so often in a row that another start can't be expected to help."""
        return self.quick_ends >= QUICK_ENDS_MOST
