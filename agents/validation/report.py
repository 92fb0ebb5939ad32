"""The report of a validation, as JSON and as Markdown."""

from typing import Any

from agents.base.markdown import cell, text
from agents.data.statistics import Tally
from agents.validation.findings import Findings
from agents.validation.levels import warnings_of
from agents.validation.sample import Sample

#: Codes that are not a language's.
LANGUAGES = {"und": "undetermined", "zxx": "no language"}
WORDS = {
    "missing_text": "no text in the source; left out by the dataset node",
    "missing_label": "no label in the source; left out by the dataset node",
    "no_answer": "a conversation without an answer; left out by the dataset node",
    "no_learned_answer": "a conversation whose answers are all marked not to be learned; left out by the dataset node",
    "undesirable": "an answer that is judged to be a bad one; left out by the dataset node",
    "content_is_no_text": "a picture, sound or video; left out by the dataset node",
    "not_learned": "turns within conversations that carry no loss: marked so, empty, to no question, or after the last "
    "answer",
    "unused_field": "fields of the source that are not used",
    "empty": "text of nothing but blanks; left out",
    "duplicate": "same text and label as an earlier row",
    "conflicting_label": "same text as an earlier row, with another label",
    "not_a_number": "label that is not a number; preprocessing leaves such rows out",
    "rare_label": "label of too few rows",
    "several_answers": "same conversation as an earlier row, with another answer",
    "label_spelling": "labels that differ only in case, width or marks that nobody sees",
    "label_cleaned": "labels with blanks or marks that nobody sees around them; taken off in reading",
    "sorted_by_label": "rows come label by label: the first ones show one label only",
    "too_long": "text longer than `maximum_characters`",
    "over_context": "more tokens than fit into the model or `max_tokens`, of the sample",
    "other_language": "in another language than most rows, of the sample",
    "unknown_tokens": "texts with tokens that the model's tokenizer doesn't know, of the sample",
    "same_tokens": "texts that differ and have the same tokens, of the sample",
    "special_token_in_text": "texts in which the tokenizer reads its own markup, of the sample",
    "garbled": "text that was read in another encoding than it was written in",
    "html_entities": "text with entities of HTML in it, such as &amp;amp;",
    "encoding_damage": "U+FFFD in the text: bytes that were not a character",
    "pii.email": "e-mail address",
    "pii.phone": "phone number",
    "pii.card": "payment card, checksum right",
    "pii.iban": "bank account, checksum right",
    "pii.ip": "IP address",
    "pii.name": "name of a person",
    "pii.place": "name of a place",
}


def as_report(
    findings: Findings, passed: Tally, sample: Sample, removed: dict[str, int], problems: list[str]
) -> dict[str, Any]:
    """Return the report: what came in, what passed, every finding, and the problems that stop the job.

    `sample`: the rows that were looked at closely.
    """
    warned = warnings_of(findings, sample)
    return {
        "rows": findings.rows,
        "rows_passed": passed.row_count,
        "removed": removed,
        "rows_with_pii": findings.rows_with_pii,
        "label_counts": passed.told_labels(),
        "statistics": passed.statistics(),
        "sample": sample.figures(),
        "findings": [
            {"kind": found.kind, "meaning": WORDS[found.kind], "count": found.count}
            | {"level": "warning" if found.kind in warned else "info"}
            | {"cure": warned[found.kind].cure if found.kind in warned else ""}
            | {"rows": found.rows, "examples": found.examples}
            for found in sorted(findings.found.values(), key=lambda found: found.kind)
        ],
        "problems": problems,
    }


def as_markdown(report: dict[str, Any]) -> str:
    """Return the report to read. Personal data in it is masked."""
    lines = ["# Validation", ""]
    lines += [f"{report['rows_passed']} of {report['rows']} rows passed; {report['rows_with_pii']} hold personal data."]
    lines += ["", *(f"- **Stops the job:** {text(problem)}" for problem in report["problems"])]
    if report["label_counts"]:
        lines += ["", "| label | rows | share |", "| --- | ---: | ---: |"]
    total = max(1, report["rows_passed"])
    lines += [f"| {cell(label)} | {count} | {count / total:.1%} |" for label, count in report["label_counts"].items()]
    figures = report["statistics"]
    lines += ["", f"Characters: median {figures['median_characters']}, 95 % up to {figures['p95_characters']}, "]
    lines[-1] += f"longest {figures['max_characters']}."
    lines += _sample(report["sample"])
    lines += ["", "| finding | level | count | meaning | what to do |", "| --- | --- | ---: | --- | --- |"]
    lines += [
        f"| {found['kind']} | {found['level']} | {found['count']} | {found['meaning']} | {found['cure']} |"
        for found in report["findings"]
    ]
    for found in report["findings"]:
        if found["examples"]:
            lines += ["", f"## {found['kind']}", ""]
            lines += [_example(example) for example in found["examples"]]
    return "\n".join(lines) + "\n"


def _sample(sample: dict[str, Any]) -> list[str]:
    """Return lines about the languages and tokens of the rows that were looked at closely."""
    rows = sample["rows"]
    shares = ", ".join(f"{LANGUAGES.get(name, name)} {count / rows:.1%}" for name, count in sample["languages"].items())
    lines = ["", f"Languages of {rows} rows: {shares}."] if rows else []
    if tokens := sample.get("tokens"):
        lines += [
            "",
            f"Tokens of these: median {tokens['median']}, 95 % up to {tokens['p95']}, longest {tokens['max']}; ",
        ]
        lines[-1] += f"{tokens['fitting']} fit; {tokens['unknown_share']:.1%} are unknown to the tokenizer."
    return lines


def _example(example: dict[str, Any]) -> str:
    place = "" if example["row"] is None else f"row {example['row']}: "
    return f"- {place}{text(example['text'])}"
