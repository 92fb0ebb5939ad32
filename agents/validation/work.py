"""Every row examined once: what passes is written, what is found is counted, and the report of it."""

from collections import Counter
from dataclasses import replace

from agents.base.agent import Context
from agents.base.loading import load_object
from agents.data.conversations import map_texts, message_text, prompt_text
from agents.data.pii.presidio import Finder, name_finder
from agents.data.pii.rules import find_pii, mask_pii
from agents.data.rows import RowsFile, fetch_rows, read_rows
from agents.data.statistics import Tally
from agents.data.types import Row
from agents.dataset.types import DatasetOutput
from agents.tasks import Task
from agents.validation.examined import Examined
from agents.validation.findings import Findings, Judged
from agents.validation.report import as_markdown, as_report
from agents.validation.sample import CountsTokens, Sample
from agents.validation.types import ValidationConfig, ValidationOutput

#: Reasons of the dataset agent that belong in the report.
MISSING = ("missing_text", "missing_label", "no_answer", "no_learned_answer", "undesirable", "content_is_no_text")
PROGRESS_ROWS = 1000
#: Of a finding, that the log names.
TOLD_ROWS, TOLD_EXAMPLES = 5, 3


def examine(dataset: DatasetOutput, config: ValidationConfig, context: Context, task: Task | None = None) -> Examined:
    """Look at every row, and write those that pass. `task`: what they are for, where it is known.

    Raises:
        InvalidModel: names are wanted, and what finds them is not installed; or `model` has no tokenizer.
    """
    source = fetch_rows(context.objects, dataset.rows, context.work_dir / "source.jsonl")
    find = name_finder(config.names_model) if config.names else find_pii
    findings, passed, removed = Findings(config.maximum_characters, find), Tally(), Counter[str]()
    row_fault = load_object(task.row_fault) if task and task.row_fault else None
    sample = Sample(dataset.row_count, _token_counter(config, context))
    findings.note_counts({reason: dataset.dropped[reason] for reason in MISSING if reason in dataset.dropped})
    findings.note_fields(dataset.unused_fields)
    findings.note_counts({"not_learned": sum(dataset.unlearned.values())} if dataset.unlearned else {})
    if dataset.labels_cleaned:
        findings.note_counts({"label_cleaned": dataset.labels_cleaned})
    with RowsFile(context.work_dir / "rows.jsonl") as file:
        for place, row in enumerate(read_rows(source)):
            judged = findings.judge(row)
            sample.look(place, row.number, judged.text, judged.masked, findings)
            kept = _kept(row, judged, config.pii, find, removed)
            if kept and row_fault and (fault := row_fault(kept)):
                findings.note(fault, row.number, judged.masked)
            if kept:
                file.add(kept)
                passed.add(kept)
            if findings.rows % PROGRESS_ROWS == 0:
                context.progress(findings.rows, dataset.row_count)
        rows = file.store(context.objects)
    sample.note_languages(findings)
    if task and task.rows == "numbers":
        # Numbers are no names: each row may have one of its own.
        passed.label_counts.clear()
    findings.note_labels(dict(passed.label_counts), config.minimum_label_share)
    return Examined(rows, passed, findings, sample, removed)


def write_report(
    examined: Examined, problems: list[str], config: ValidationConfig, context: Context
) -> ValidationOutput:
    """Store the report, as JSON and as Markdown, and name it and what it warns of in the log."""
    removed = dict(examined.removed)
    report = as_report(examined.findings, examined.passed, examined.sample, removed, problems)
    output = ValidationOutput(
        rows=examined.rows,
        row_count=examined.passed.row_count,
        label_counts=report["label_counts"],
        report=context.objects.put_json(report),
        report_markdown=context.objects.put_artifact(as_markdown(report).encode(), "text/markdown"),
        findings=examined.findings.counts(),
        minimum_rows=config.minimum_rows,
    )
    context.log("validation_report", report=output.report.sha256, findings=output.findings)
    for found in report["findings"]:
        if found["level"] == "warning":
            told = {name: found[name] for name in ("kind", "count", "meaning", "cure")}
            examples = [example["text"] for example in found["examples"][:TOLD_EXAMPLES]]
            context.log("finding", level="warning", **told, first_rows=found["rows"][:TOLD_ROWS], examples=examples)
    if removed:
        context.log("rows_dropped", level="warning", rows=examined.removed.total(), reasons=removed)
    return output


def _token_counter(config: ValidationConfig, context: Context) -> CountsTokens | None:
    if config.model is None:
        return None
    # Only here: without a model nothing needs transformers, which is slow to load.
    from agents.validation.token_counter import TokenCounter

    return TokenCounter.of_model(context.sources.local(config.model, "model"), config.max_tokens)


def _kept(row: Row, judged: Judged, pii: str, find: Finder, removed: Counter[str]) -> Row | None:
    """Return the row as it goes on, or None where it doesn't."""
    if judged.is_empty:
        removed["empty"] += 1
        return None
    if judged.pii and pii == "drop":
        removed["pii"] += 1
        return None
    return _masked(row, find) if judged.pii and pii == "mask" else row


def _masked(row: Row, find: Finder) -> Row:
    """Return a row with personal data masked in its text, and in a conversation's answer and messages."""

    def mask(text: str) -> str:
        return mask_pii(text, find(text))

    if row.messages is None:
        return replace(row, text=mask(row.text))
    messages = [map_texts(message, mask) for message in row.messages]
    rejected = None if row.rejected is None else [map_texts(message, mask) for message in row.rejected]
    text, label = prompt_text(messages), message_text(messages[-1])
    return replace(row, text=text, label=label, messages=messages, rejected=rejected)
