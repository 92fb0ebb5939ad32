"""Why a job must not go on with the rows that were examined, each as a sentence."""

from agents.data.statistics import Tally
from agents.validation.findings import Findings, least_share
from agents.validation.numbers import number_problem
from agents.validation.types import ValidationConfig


def find_problems(config: ValidationConfig, findings: Findings, passed: Tally, *, labelled: bool) -> list[str]:
    """Return every reason to stop. `labelled`: rows have labels; one prompt may well have several answers."""
    problems: list[str] = []
    if passed.row_count < config.minimum_rows:
        problems.append(f"{passed.row_count} rows are left, `minimum_rows` is {config.minimum_rows}.")
    shares = [("have damaged characters (U+FFFD)", findings.damaged_rows, config.maximum_damaged_share, "damaged")]
    if labelled:
        problems += _label_problems(config, passed)
        conflicts = findings.counts().get("conflicting_label", 0)
        shares.append(("conflict with another row's label", conflicts, config.maximum_conflict_share, "conflict"))
    for what, count, share, name in shares:
        if count > share * findings.rows:
            problems.append(f"{count} of {findings.rows} rows {what}, `maximum_{name}_share` is {share}.")
    if config.pii == "fail" and findings.rows_with_pii:
        kinds = ", ".join(f"{count} x {kind}" for kind, count in findings.counts().items() if kind.startswith("pii."))
        problems.append(f"{findings.rows_with_pii} rows hold personal data ({kinds}), and `pii` is 'fail'.")
    return problems


def _label_problems(config: ValidationConfig, passed: Tally) -> list[str]:
    labels = passed.label_counts
    if len(labels) == 1:
        return [f"All rows have the label '{next(iter(labels))}'.", *_rare_labels(config, passed)]
    if numbers := number_problem(labels, config.minimum_label_rows):
        return [numbers]
    return too_many_labels(config, passed) or _rare_labels(config, passed)


def too_many_labels(config: ValidationConfig, passed: Tally) -> list[str]:
    """Return that there are more labels than may be, where there are."""
    count, most = len(passed.label_counts), config.maximum_labels
    return [f"There are {count} different labels, `maximum_labels` is {most}."] if count > most else []


def _rare_labels(config: ValidationConfig, passed: Tally) -> list[str]:
    problems: list[str] = []
    least = least_share(config.minimum_label_share, len(passed.label_counts))
    for label, count in sorted(passed.label_counts.items()):
        if count < config.minimum_label_rows:
            problems.append(f"Label '{label}' has {count} rows, `minimum_label_rows` is {config.minimum_label_rows}.")
        elif count < least * passed.row_count:
            problems.append(f"Label '{label}' has {count / passed.row_count:.2%} of the rows, less than {least:.2%}.")
    return problems
