"""ValidationAgent: rows become a report; rows that can't be learnt from stop the job, personal data as configured."""

from collections import Counter
from collections.abc import Mapping

from agents.base.agent import Agent, Context, input_from
from agents.base.errors import InvalidData
from agents.base.records import Config as Config
from agents.base.sources import Sources
from agents.data.pii.presidio import Finder, name_finder
from agents.data.pii.rules import find_pii, mask_pii
from agents.data.rows import RowsFile, fetch_rows, read_rows
from agents.data.statistics import Tally
from agents.data.types import Row
from agents.dataset.types import DatasetOutput
from agents.validation.findings import Findings, Judged, least_share
from agents.validation.report import as_markdown, as_report
from agents.validation.sample import ModelContext, Sample
from agents.validation.types import ValidationConfig, ValidationOutput

#: Reasons of the dataset agent that belong into the report.
MISSING = ("missing_text", "missing_label", "no_answer")


class ValidationAgent(Agent[ValidationConfig, ValidationOutput]):
    """Judges every row once."""

    config_type = ValidationConfig
    output_type = ValidationOutput
    consumes = ("dataset",)
    consumes_one = ("dataset",)

    def cache_inputs(self, config: ValidationConfig, sources: Sources) -> Mapping[str, str]:
        return {"model": sources.fingerprint(config.model, "model")} if config.model else {}

    def run(self, config: ValidationConfig, context: Context) -> ValidationOutput:
        """Write the rows that passed and the report.

        Raises:
            InvalidData: with every problem; the report is stored and named in the log all the same.
            InvalidModel: names are wanted, and what finds them is not installed; or `model` has no tokenizer.
        """
        dataset = input_from(context, "dataset", DatasetOutput)
        source = fetch_rows(context.objects, dataset.rows, context.work_dir / "source.jsonl")
        find = name_finder(config.names_model) if config.names else find_pii
        findings, tally, removed = Findings(config.maximum_characters, find), Tally(), Counter[str]()
        sample = Sample(dataset.row_count, _model_context(config, context))
        findings.note_counts({reason: dataset.dropped[reason] for reason in MISSING if reason in dataset.dropped})
        with RowsFile(context.work_dir / "rows.jsonl") as file:
            for place, row in enumerate(read_rows(source)):
                judged = findings.judge(row)
                sample.look(place, int(row["row"]), judged.text, judged.masked, findings)
                kept = _kept(row, judged, config.pii, find, removed)
                if kept:
                    file.add(kept)
                    tally.add(kept["text"], None if "messages" in kept else kept["label"])
                if findings.rows % 1000 == 0:
                    context.progress(findings.rows, dataset.row_count)
            rows = file.store(context.objects)
        sample.note_languages(findings)
        findings.note_labels(dict(tally.label_counts), config.minimum_label_share)
        problems = _problems(config, findings, tally, labelled=dataset.shape == "text_label")
        report = as_report(findings, tally, sample.figures(), dict(removed), problems)
        output = ValidationOutput(
            rows=rows,
            row_count=file.row_count,
            label_counts=report["label_counts"],
            report=context.objects.put_json(report),
            report_markdown=context.objects.put_artifact(as_markdown(report).encode(), "text/markdown"),
            findings=findings.counts(),
        )
        _tell(context, output, removed)
        if problems:
            raise InvalidData(
                f"The rows of '{dataset.source}' can't be used: {' '.join(problems)}",
                cure=f"The report {output.report.sha256[:12]} lists the rows.",
                details=[{"path": f"nodes.{context.node}", "message": problem} for problem in problems],
            )
        context.progress(findings.rows, findings.rows)
        return output


def _model_context(config: ValidationConfig, context: Context) -> ModelContext | None:
    if config.model is None:
        return None
    return ModelContext.of(context.sources.local(config.model, "model"), config.max_tokens)


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

    if "messages" not in row:
        return {**row, "text": mask(row["text"])}
    messages = [{**message, "content": mask(message["content"])} for message in row["messages"]]
    return {**row, "text": mask(row["text"]), "label": mask(row["label"]), "messages": messages}


def _problems(config: ValidationConfig, findings: Findings, tally: Tally, *, labelled: bool) -> list[str]:
    """Return why the job must not go on, each as a sentence. One prompt may well have several answers."""
    rows = tally.row_count
    problems: list[str] = []
    if rows < config.minimum_rows:
        problems.append(f"{rows} rows are left, `minimum_rows` is {config.minimum_rows}.")
    shares = [("have damaged characters (U+FFFD)", findings.damaged_rows, config.maximum_damaged_share, "damaged")]
    if labelled:
        problems += _label_problems(config, tally)
        conflicts = _conflicts(findings)
        shares.append(("conflict with another row's label", conflicts, config.maximum_conflict_share, "conflict"))
    for what, count, share, name in shares:
        if count > share * findings.rows:
            problems.append(f"{count} of {findings.rows} rows {what}, `maximum_{name}_share` is {share}.")
    if config.pii == "fail" and findings.rows_with_pii:
        kinds = ", ".join(f"{count} x {kind}" for kind, count in findings.counts().items() if kind.startswith("pii."))
        problems.append(f"{findings.rows_with_pii} rows hold personal data ({kinds}), and `pii` is 'fail'.")
    return problems


def _label_problems(config: ValidationConfig, tally: Tally) -> list[str]:
    labels = tally.label_counts
    if len(labels) == 1:
        return [f"All rows have the label '{next(iter(labels))}'.", *_rare_labels(config, tally)]
    if len(labels) > config.maximum_labels:
        return [f"There are {len(labels)} different labels, `maximum_labels` is {config.maximum_labels}."]
    return _rare_labels(config, tally)


def _rare_labels(config: ValidationConfig, tally: Tally) -> list[str]:
    problems: list[str] = []
    least = least_share(config.minimum_label_share, len(tally.label_counts))
    for label, count in sorted(tally.label_counts.items()):
        if count < config.minimum_label_rows:
            problems.append(f"Label '{label}' has {count} rows, `minimum_label_rows` is {config.minimum_label_rows}.")
        elif count < least * tally.row_count:
            problems.append(f"Label '{label}' has {count / tally.row_count:.2%} of the rows, less than {least:.2%}.")
    return problems


def _conflicts(findings: Findings) -> int:
    return findings.counts().get("conflicting_label", 0)


def _tell(context: Context, output: ValidationOutput, removed: Counter[str]) -> None:
    context.log("validation_report", report=output.report.sha256, findings=output.findings)
    if removed:
        context.log("rows_dropped", level="warning", rows=removed.total(), reasons=dict(removed))
