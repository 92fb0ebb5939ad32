"""Which findings are warnings, from which share of the rows on, and what to do about each."""

from typing import NamedTuple

from agents.validation.findings import Findings
from agents.validation.sample import Sample


class Warned(NamedTuple):
    """`share`: of the rows that were looked at, of unknown tokens of all tokens, above which it is a warning."""

    share: float
    cure: str


WARNED: dict[str, Warned] = {
    "unused_field": Warned(0, "Check that nothing that matters is in it, and rename or remove it."),
    "label_spelling": Warned(
        0, "Give them one spelling in the source, or in a `label_map` of dataset that names all labels."
    ),
    "rare_label": Warned(0, "Add rows of it, or leave it out with the dataset node's `label_map`."),
    "conflicting_label": Warned(0, "Decide which label is right: preprocessing leaves out all rows of such a text."),
    "encoding_damage": Warned(0, "Save the source again from where its characters were whole."),
    "garbled": Warned(0, "Set the dataset node's `encoding` to the one it was written in, or save it again as UTF-8."),
    "html_entities": Warned(0.05, "Write the characters themselves; people will ask without such entities."),
    "unknown_tokens": Warned(0.05, "Set `model` to one whose tokenizer knows this script, such as a multilingual one."),
    "same_tokens": Warned(0, "Set `model` to one whose tokenizer tells these texts apart."),
    "special_token_in_text": Warned(0, "Take the model's own markup out of the texts where it is not meant."),
    "sorted_by_label": Warned(0, "Nothing, where the rows are split here; a preview shows one label only."),
    "over_context": Warned(0.5, "Raise `max_tokens` where the model takes more, or set `long_texts: parts`."),
    "duplicate": Warned(0.2, "Preprocessing leaves copies out; add rows that differ."),
    "too_long": Warned(0.5, "Look whether one row holds several, or set preprocessing's `long_texts: parts`."),
}
#: Findings of the sample.
SAMPLED = {"unknown_tokens", "same_tokens", "over_context", "special_token_in_text"}


def warnings_of(findings: Findings, sample: Sample) -> dict[str, Warned]:
    """Return the findings that are warnings, by kind."""
    found: dict[str, Warned] = {}
    for kind, finding in findings.found.items():
        if warned := WARNED.get(kind):
            share = finding.count / max(1, sample.rows if kind in SAMPLED else findings.rows)
            if (sample.unknown_share if kind == "unknown_tokens" else share) > warned.share:
                found[kind] = warned
    return found
