"""A baseline beside the tuned model on the same rows, as a record that evaluation and comparison both hand on."""

from typing import Any, Literal

from pydantic import model_validator

from agents.base.records import Record

Better = Literal["shown", "not shown", "refuted"]


class Compared(Record):
    """A baseline beside the tuned model on the same test rows."""

    rows: int
    metrics: dict[str, float]
    """The baseline's figures on these rows."""
    tuned: dict[str, float]
    """The tuned model's on the very same."""
    difference: float
    """Of the judged metric: tuned minus baseline."""
    difference_interval: tuple[float, float]
    """Between which bounds it lies with 95 % confidence, by the paired bootstrap."""
    fixed: int
    """Rows that only the tuned model has right."""
    broken: int
    """Rows that only the baseline has right."""
    better: Better = "not shown"
    """Whether the tuned model was shown to be better: the whole interval lies above 0, around it, or below."""

    @model_validator(mode="before")
    @classmethod
    def _told_by_the_interval(cls, given: Any) -> Any:
        """Versions of 0.1.0 have the interval alone."""
        if isinstance(given, dict) and "better" not in given and "difference_interval" in given:
            low, high = given["difference_interval"]
            return {**given, "better": "shown" if low > 0 else "refuted" if high < 0 else "not shown"}
        return given

    def sentence(self, baseline: str, metric: str) -> str:
        """Say whether the tuned model is better than a baseline, with the numbers."""
        low, high = self.difference_interval
        if self.better == "not shown":
            bounds = f"it could be up to {max(0.0, -low):.4f} worse or {max(0.0, high):.4f} better"
            return f"Not shown to be better than {baseline}: {metric} differs by {self.difference:+.4f}; {bounds}."
        word = "Better" if self.better == "shown" else "Worse"
        return f"{word} than {baseline}: {metric} differs by {self.difference:+.4f} ({low:+.4f} to {high:+.4f})."
