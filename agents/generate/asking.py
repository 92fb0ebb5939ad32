"""What a language model is asked, and what of its answer is a row."""

import json
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

from agents.data.types import Message
from agents.generate.answer_check import schema_fault
from agents.generate.types import Example, GenerateConfig

#: Examples shown in one question.
SHOWN_EXAMPLES = 8
FENCE = "```"


def question(config: GenerateConfig, made: Sequence[Example], counts: Counter[str], number: int) -> list[Message]:
    """Return the messages of request `number`: which rows are wanted, with examples and some of those `made`."""
    assert config.llm is not None
    llm, chance = config.llm, Random(f"{config.seed}:{number}")
    lines = [llm.instruction.strip(), ""]
    if config.labels is not None:
        wanted = sorted(config.labels, key=lambda label: counts[label])[: max(1, len(config.labels) // 2)]
        lines += ["Labels:", *(f"- {name}: {meaning}".rstrip(": ") for name, meaning in config.labels.items())]
        lines += ["", f"Write {llm.rows_per_request} new rows with the label {' or '.join(map(repr, wanted))}."]
    else:
        lines += [
            f"Write {llm.rows_per_request} new rows: `text` is a request, `label` the right answer to it, as text."
        ]
    if config.answer_schema is not None:
        lines += [f"`label` is JSON, written as text, of this JSON Schema: {json.dumps(config.answer_schema)}"]
    shown = chance.sample(llm.examples, min(SHOWN_EXAMPLES, len(llm.examples)))
    shown += chance.sample(list(made), min(SHOWN_EXAMPLES, len(made)))
    if shown:
        lines += ["", "Rows there are already; write different ones:"]
        lines += [json.dumps(row.model_dump(), ensure_ascii=False) for row in shown]
    lines += ["", 'Answer with JSON only: {"rows": [{"text": "...", "label": "..."}]}']
    system = "You write realistic, varied rows for a training set. You answer with JSON only."
    return [{"role": "system", "content": system}, {"role": "user", "content": "\n".join(lines)}]


def rows_of(text: str, refused: Counter[str]) -> list[Example]:
    """Return the rows of an answer; what is not a row is counted in `refused`."""
    try:
        found = json.loads(_without_fence(text))
    except (ValueError, RecursionError):
        refused["answer_is_no_json"] += 1
        return []
    listed = found.get("rows") if isinstance(found, dict) else found
    if not isinstance(listed, list):
        refused["answer_without_rows"] += 1
        return []
    rows = [row for item in listed if (row := _row(item)) is not None]
    refused["no_row"] += len(listed) - len(rows)
    return rows


def fault_of(row: Example, config: GenerateConfig) -> str | None:
    """Return why a row can't be taken, as a machine name; None: it can."""
    if not row.text.strip():
        return "missing_text"
    if config.labels is not None:
        return None if row.label in config.labels else "unknown_label"
    if not row.label.strip():
        return "no_answer"
    return None if config.answer_schema is None else schema_fault(row.label, config.answer_schema)


def _without_fence(text: str) -> str:
    """Return what stands between the marks of a block of code, where an answer is one."""
    found = text.strip()
    if len(found) < 2 * len(FENCE) or not (found.startswith(FENCE) and found.endswith(FENCE)):
        return text
    return found[len(FENCE) : -len(FENCE)].removeprefix("json")


def _row(item: Any) -> Example | None:
    if not isinstance(item, dict) or not isinstance(item.get("text"), str):
        return None
    label = item.get("label")
    if isinstance(label, dict | list):
        # Asked for JSON as text, some models write it as JSON.
        label = json.dumps(label, ensure_ascii=False)
    return Example(text=item["text"], label=label.strip()) if isinstance(label, str) else None
