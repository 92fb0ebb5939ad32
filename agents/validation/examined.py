"""What an examination of rows leads to."""

from collections import Counter
from dataclasses import dataclass

from agents.base.records import Artifact
from agents.data.statistics import Tally
from agents.validation.findings import Findings
from agents.validation.sample import Sample


@dataclass(frozen=True)
class Examined:
    """The rows that passed, and what was found in all of them. `removed`: reason -> rows left out."""

    rows: Artifact
    passed: Tally
    findings: Findings
    sample: Sample
    removed: Counter[str]
