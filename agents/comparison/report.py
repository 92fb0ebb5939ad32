"""The comparison as a record and as Markdown: figures side by side, then examples."""

from typing import Any

from agents.base.markdown import cell, table, text
from agents.evaluation.types import EvaluationOutput
from agents.metrics.compared import Compared
from agents.tasks import find_task

#: A table shows the start of a longer text; the record has all of it.
SHOWN_CHARACTERS = 300


def comparison_record(
    evaluation: EvaluationOutput, compared: dict[str, Compared], examples: dict[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    """Return all there is to say, as JSON."""
    what = find_task(evaluation.training.task).baselines
    return {
        "metric": evaluation.metric,
        "base_model": evaluation.training.base_model,
        "test_sha256": evaluation.test_sha256,
        "test_rows": evaluation.test_rows,
        "baselines": {
            name: {"what": what[name], **found.model_dump(mode="json"), "examples": examples[name]}
            for name, found in compared.items()
        },
    }


def markdown(record: dict[str, Any]) -> str:
    """Return the record as a page for people."""
    head = f"# What the tuning was good for\n\nTest split sha256 `{record['test_sha256']}`, {record['test_rows']} rows."
    return "\n\n".join([head, *(_section(name, found, record) for name, found in record["baselines"].items())]) + "\n"


def _section(name: str, found: dict[str, Any], record: dict[str, Any]) -> str:
    compared = Compared.model_validate({key: value for key, value in found.items() if key in Compared.model_fields})
    shared = [metric for metric in found["tuned"] if metric in found["metrics"] and "." not in metric]
    figures = [[cell(metric), f"{found['metrics'][metric]:.4f}", f"{found['tuned'][metric]:.4f}"] for metric in shared]
    return "\n\n".join(
        [
            f"## Beside {name}: {found['what']}",
            f"{text(compared.sentence(name, record['metric']))} That is of {found['rows']} test rows, with 95 % "
            f"confidence by the paired bootstrap. Only the tuned model has {found['fixed']} rows right, only the "
            f"baseline {found['broken']}.",
            table(["metric", name, "tuned"], figures),
            *_examples(found["examples"]),
        ]
    )


def _examples(examples: list[dict[str, Any]]) -> list[str]:
    if not examples:
        return []
    shown = ("text", "expected", "baseline", "tuned")
    rows = [[str(one["row"]), *(cell(one[key], SHOWN_CHARACTERS) for key in shown)] for one in examples]
    return ["Rows that one of the two has right:", table(["row", *shown], rows, text_columns=5)]
