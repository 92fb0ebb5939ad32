"""The gate: figures in, a verdict with its reasons out. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agents.data.files.records import shortened
from agents.evaluation.types import Verdict
from agents.metrics.bootstrap import CONFIDENCE


@dataclass(frozen=True)
class Rules:
    """What a challenger has to show. `margin`: how much worse than the champion still counts as not worse."""

    metric: str
    minimum: float
    margin: float
    recall_floors: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Challenger:
    """What was measured on the frozen test split."""

    value: float
    recalls: Mapping[str, float]
    leaked: int


@dataclass(frozen=True)
class Comparison:
    """The champion on the same rows; `worst_difference`: lower bound of challenger minus champion, one-sided."""

    version: int
    value: float
    worst_difference: float
    same_weights: bool


@dataclass(frozen=True)
class Incomparable:
    """A champion that these rows can't be put to; `why`: a sentence."""

    version: int
    why: str


def judge_challenger(
    rules: Rules, challenger: Challenger, champion: Comparison | Incomparable | None
) -> tuple[Verdict, list[str]]:
    """Return the verdict and its reasons, in words a person can act on."""
    figure = f"{rules.metric} {challenger.value:.4f}"
    if rejected := _below_what_is_asked(rules, challenger, figure):
        return "REJECT", rejected
    if challenger.leaked:
        return "HOLD", [f"{challenger.leaked} test rows have near twins in training: {figure} can't be trusted."]
    reached = f"{figure} reaches the minimum of {rules.minimum:g}."
    if champion is None:
        return "PROMOTE", [reached, "There is no champion yet."]
    if isinstance(champion, Incomparable):
        way = (
            "Export under another model_name (shipped specs: -p model_name=...), or promote it with force and a reason."
        )
        return "HOLD", [reached, f"Not shown to be as good as champion v{champion.version}: {champion.why} {way}"]
    beside = f"champion v{champion.version} has {champion.value:.4f} on the same test rows"
    if champion.same_weights:
        return "HOLD", [reached, f"It has the same weights as champion v{champion.version}."]
    bound = f"with {CONFIDENCE:.0%} confidence it is at most {max(0.0, -champion.worst_difference):.4f} worse"
    if champion.worst_difference >= -rules.margin:
        return "PROMOTE", [reached, f"Not worse: {beside}, and {bound} (margin {rules.margin:g})."]
    return "HOLD", [reached, f"Not shown to be as good: {beside}, and {bound} (margin {rules.margin:g})."]


def _below_what_is_asked(rules: Rules, challenger: Challenger, figure: str) -> list[str]:
    reasons = []
    if challenger.value < rules.minimum:
        reasons.append(f"{figure} is below the minimum of {rules.minimum:g}.")
    for label, floor in rules.recall_floors.items():
        if challenger.recalls.get(label, 0.0) < floor:
            recall = challenger.recalls.get(label, 0.0)
            reasons.append(f"Recall of '{shortened(label)}' is {recall:.4f}, its floor is {floor:g}.")
    return reasons
