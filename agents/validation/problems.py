"""Why a job must not go on with the rows that were examined, each as a sentence."""

from agents.data.files.records import shortened
from agents.data.losses import too_many_lost
from agents.validation.examined import Examined
from agents.validation.findings import least_share
from agents.validation.numbers import number_problem
from agents.validation.types import ValidationConfig

#: Labels that are named, one a sentence.
TOLD_LABELS = 5
LOST_CURES = {
    "pii": "`pii: mask` keeps these rows, with the data masked.",
    "empty": "Check `text_column` of the dataset node, and the rows without text.",
}


def find_problems(config: ValidationConfig, examined: Examined, *, labelled: bool) -> list[str]:
    """Return every reason to stop. `labelled`: rows have labels; one prompt may well have several answers."""
    problems: list[str] = []
    findings, rows = examined.findings, examined.passed.row_count
    if rows < config.minimum_rows:
        problems.append(f"{rows} rows are left, `minimum_rows` is {config.minimum_rows}.")
    if lost := too_many_lost("validation", examined.removed, rows, config.maximum_lost_share, LOST_CURES.__getitem__):
        problems.append(str(lost))
    shares = [
        ("have damaged characters (U+FFFD)", findings.damaged_rows, config.maximum_damaged_share, "damaged"),
        ("were read in a wrong encoding", findings.count("garbled"), config.maximum_garbled_share, "garbled"),
    ]
    if labelled:
        problems += _label_problems(config, examined)
        conflicts = findings.count("conflicting_label")
        shares.append(("conflict with another row's label", conflicts, config.maximum_conflict_share, "conflict"))
    for what, count, share, name in shares:
        if count > share * findings.rows:
            problems.append(f"{count} of {findings.rows} rows {what}, `maximum_{name}_share` is {share}.")
    if (share := examined.sample.unknown_share) > config.maximum_unknown_share:
        problems.append(
            f"{share:.0%} of the tokens are unknown to the tokenizer of '{config.model}', `maximum_unknown_share` is "
            f"{config.maximum_unknown_share:g}: set `model` to one that knows this script, such as a multilingual one."
        )
    if config.pii == "fail" and findings.rows_with_pii:
        kinds = ", ".join(f"{count} x {kind}" for kind, count in findings.counts().items() if kind.startswith("pii."))
        problems.append(f"{findings.rows_with_pii} rows hold personal data ({kinds}), and `pii` is 'fail'.")
    return problems


def _label_problems(config: ValidationConfig, examined: Examined) -> list[str]:
    labels = examined.passed.label_counts
    if len(labels) == 1:
        return [f"All rows have the label '{shortened(next(iter(labels)))}'.", *_rare_labels(config, examined)]
    if numbers := number_problem(labels, config.minimum_label_rows):
        return [numbers]
    return too_many_labels(config, examined) or _rare_labels(config, examined)


def too_many_labels(config: ValidationConfig, examined: Examined) -> list[str]:
    """Return that there are more labels than may be, where there are."""
    count, most = len(examined.passed.label_counts), config.maximum_labels
    return [f"There are {count} different labels, `maximum_labels` is {most}."] if count > most else []


def _rare_labels(config: ValidationConfig, examined: Examined) -> list[str]:
    problems: list[str] = []
    labels, rows = examined.passed.label_counts, examined.passed.row_count
    least = least_share(config.minimum_label_share, len(labels))
    for label, count in sorted(labels.items()):
        name = shortened(label)
        if count < config.minimum_label_rows:
            problems.append(f"Label '{name}' has {count} rows, `minimum_label_rows` is {config.minimum_label_rows}.")
        elif count < least * rows:
            problems.append(f"Label '{name}' has {count / rows:.2%} of the rows, less than {least:.2%}.")
    if len(problems) > TOLD_LABELS:
        more = len(problems) - TOLD_LABELS
        problems[TOLD_LABELS:] = [f"{more} more labels have too few rows; the report lists them."]
    return problems
