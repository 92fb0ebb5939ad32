"""The gate: figures in, a verdict with its reasons out. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agents.data.files.records import shortened
from agents.evaluation.types import Verdict
from agents.metrics.bootstrap import CONFIDENCE, rows_to_decide

#: With fewer test rows nothing is decided, whatever is asked.
TEST_ROWS_LEAST = 5
MORE_ROWS = "Give more rows, or a larger `test` in preprocessing's `split`"


@dataclass(frozen=True)
class Rules:
    """What a challenger has to show. `margin`: how much worse than the champion still counts as not worse."""

    metric: str
    minimum: float
    margin: float
    recall_floors: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Measurement:
    """A figure, the lower bound of its interval, and the rows that it is of."""

    value: float
    low: float
    rows: int


@dataclass(frozen=True)
class Challenger:
    """What was measured on the frozen test split. `warnings`: why the figures can't be trusted, as sentences."""

    figure: Measurement
    recalls: Mapping[str, Measurement]
    leaked: int
    warnings: tuple[str, ...] = ()


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
    figure = f"{rules.metric} {challenger.figure.value:.4f}"
    if rejected := _below_what_is_asked(rules, challenger, figure):
        return "REJECT", [*rejected, *challenger.warnings]
    if challenger.leaked:
        return "HOLD", [f"{challenger.leaked} test rows have near twins in training: {figure} can't be trusted."]
    if undecided := _undecided(rules, challenger):
        return "HOLD", [*undecided, *challenger.warnings]
    low, rows = challenger.figure.low, challenger.figure.rows
    reached = f"{figure} reaches the minimum of {rules.minimum:g}: {rows} test rows show it to be at least {low:.4f}."
    verdict, beside = _beside_champion(rules, champion)
    return ("HOLD" if challenger.warnings else verdict), [reached, beside, *challenger.warnings]


def _beside_champion(rules: Rules, champion: Comparison | Incomparable | None) -> tuple[Verdict, str]:
    if champion is None:
        return "PROMOTE", "There is no champion yet."
    if isinstance(champion, Incomparable):
        way = (
            "Export under another model_name (shipped specs: -p model_name=...), or promote it with force and a reason."
        )
        return "HOLD", f"Not shown to be as good as champion v{champion.version}: {champion.why} {way}"
    if champion.same_weights:
        return "HOLD", f"It has the same weights as champion v{champion.version}."
    beside = f"champion v{champion.version} has {champion.value:.4f} on the same test rows"
    worse = max(0.0, -champion.worst_difference)
    bound = f"with {CONFIDENCE:.0%} confidence it {{}} {worse:.4f} worse; at most {rules.margin:g} is allowed"
    if worse <= rules.margin:
        return "PROMOTE", f"Not worse: {beside}, and {bound.format('is at most')}."
    return "HOLD", f"Not shown to be as good: {beside}, and {bound.format('could be up to')}."


def _below_what_is_asked(rules: Rules, challenger: Challenger, figure: str) -> list[str]:
    reasons = []
    # A figure that is not a number reaches nothing.
    if not challenger.figure.value >= rules.minimum:
        reasons.append(f"{figure} is below the minimum of {rules.minimum:g}.")
    for label, floor in rules.recall_floors.items():
        recall = challenger.recalls[label]
        if recall.rows and recall.value < floor:
            reasons.append(f"Recall of '{shortened(label)}' is {recall.value:.4f}, its floor is {floor:g}.")
    return reasons


def _undecided(rules: Rules, challenger: Challenger) -> list[str]:
    """Say what could still be below what is asked, by what the test rows show, and how many would decide."""
    figure = challenger.figure
    if figure.rows < TEST_ROWS_LEAST:
        return [f"{figure.rows} test rows are too few to judge by: {TEST_ROWS_LEAST} are the least. {MORE_ROWS}."]
    reasons = []
    if figure.low < rules.minimum:
        reasons.append(_too_few(f"{rules.metric} {figure.value:.4f}", figure, "minimum", rules.minimum, "test rows"))
    for label, floor in rules.recall_floors.items():
        recall, of_label = challenger.recalls[label], f"test rows of '{shortened(label)}'"
        if not recall.rows:
            reasons.append(
                f"No test row has the label '{shortened(label)}', whose recall has a floor of {floor:g}. {MORE_ROWS}."
            )
        elif recall.low < floor:
            reasons.append(
                _too_few(f"Recall {recall.value:.4f} of '{shortened(label)}'", recall, "floor", floor, of_label)
            )
    return reasons


def _too_few(what: str, found: Measurement, bound: str, least: float, rows: str) -> str:
    """Say that a figure reaches a bound, but that the lower end of its interval does not."""
    shown = f"{what} on {found.rows} {rows} could be as low as {found.low:.4f}; the {bound} is {least:g}."
    needed = rows_to_decide(found.rows, found.value, found.low, least)
    if needed is None:
        return f"{shown} It is the {bound} itself, which no number of rows shows to be reached."
    return f"{shown} If the figure stays the same, {needed:,} {rows} would decide. {MORE_ROWS}."
