"""A preview: the first rows of a source as they are read, and as a model would see them.

The same code reads and renders here as in the agents `dataset` and `preprocessing`, so what is shown is what happens.
"""

import json
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agents.base.errors import InvalidData
from agents.base.records import Config
from agents.base.row_budget import RowBudget
from agents.chat.format import TemplateName
from agents.data.checks import check_rows
from agents.data.cleaning import spelling_key
from agents.data.columns import Columns
from agents.data.files.folders import row_files
from agents.data.files.names import listed_names
from agents.data.files.records import shortened, whole_characters
from agents.data.reader import RowsReader, told_parts
from agents.data.rows import to_json
from agents.data.statistics import Tally
from agents.data.types import Row, Shape
from agents.dataset.types import DatasetConfig
from agents.preprocessing.types import PreprocessingConfig
from agents.tasks import TASKS, TaskName, find_task, task_of_shape
from agents.tasks.preparation import preparation_of
from agents.tasks.shapes import check_shape

#: Rows that are gone through for the counts.
SCANNED_ROWS = 1000
#: Of their texts and labels: rows with long texts are fewer.
SCANNED_CHARACTERS = 32 << 20
#: Labels that are shown.
TOLD_LABELS = 20
#: Of a cell that is shown; the rest is cut off. Of a conversation so many turns.
SHOWN_CHARACTERS, SHOWN_TURNS = 4000, 100
#: No row is longer, whatever a tokenizer says of itself.
TOKENS_MOST = 1 << 20


class _Quiet:
    """A listener that nobody asked to tell anything."""

    def log(self, event: str, *, level: str = "info", **fields: Any) -> None: ...

    def progress(self, done: float, total: float, **fields: Any) -> None: ...


class Rendering(Config):
    """How rows are to be shown as tokens. `model`: a folder with a tokenizer, or a GGUF file."""

    model: str
    task: TaskName | None = None
    template: TemplateName | None = None
    max_tokens: int | None = None


def preview(
    config: dict[str, Any], path: str, row_count: int, rendering: dict[str, Any] | None, budget: dict[str, Any]
) -> dict[str, Any]:
    """Return the first rows of a file or folder as the dataset agent reads them, what it found out on the way and,
    with `rendering`, the rows as tokens.

    All arguments are JSON, since this is called in a process of its own: records of `DatasetConfig`, `Rendering` and
    `RowBudget`.

    Raises:
        InvalidData: it can't be read, or its columns can't be told.
        InvalidModel: there is no tokenizer, or the template doesn't fit it.
    """
    rows, found = read_preview(DatasetConfig.model_validate(config), Path(path), row_count, RowBudget(**budget))
    rendered = None
    if rendering is not None:
        rendered = render_preview(rows, Rendering.model_validate(rendering), found["used"].get("shape"))
    whole = {**found, "rows": [_shown_row(to_json(row)) for row in rows], "rendered": rendered}
    # An answer has whole characters alone, whatever columns and tokens are called.
    cleaned: dict[str, Any] = json.loads(whole_characters(json.dumps(whole, ensure_ascii=False)))
    return cleaned


def read_preview(
    config: DatasetConfig, path: Path, row_count: int, budget: RowBudget
) -> tuple[list[Row], dict[str, Any]]:
    """Return the first rows of a file or folder, and what was found out about it.

    The first thousand rows are counted; `whole_file` says whether that was all. `problems`: why a job would stop.
    """
    reader = RowsReader(config, _Quiet(), row_files(path, budget, config.part), budget)
    tally, whole, characters = Tally(), True, 0
    rows: list[Row] = []
    problems: list[str] = []
    for row in reader.rows():
        characters += len(row.text) + len(row.label)
        if tally.row_count == SCANNED_ROWS or (rows and characters > SCANNED_CHARACTERS):
            whole = False
            break
        tally.add(row)
        if len(rows) < row_count:
            rows.append(row)
    if whole:
        try:
            check_rows(reader, tally)
        except InvalidData as fault:
            problems.append(str(fault))
    columns = reader.columns
    if columns and config.task:
        problems += _shape_problems(config.task, columns, config.source)
    return rows, {
        "files": reader.files_read,
        "left_out": told_parts(reader),
        "columns": columns.names if columns else [],
        "used": _used(columns) if columns else {},
        "rows_scanned": tally.row_count + reader.dropped.total(),
        "whole_file": whole,
        "dropped": dict(reader.dropped),
        "first_dropped": reader.first_dropped,
        "unused_fields": dict(reader.notes.unused_fields),
        "unlearned": dict(reader.notes.unlearned),
        "preference": _preference(columns) if columns else None,
        "label_counts": {shortened(label, 200): count for label, count in tally.label_counts.most_common(TOLD_LABELS)},
        "labels_seen": len(tally.label_counts),
        "notes": _notes(tally, whole=whole),
        "problems": problems,
    }


def _shape_problems(task: str, columns: Columns, source: str) -> list[str]:
    try:
        check_shape(find_task(task), columns.shape, source, columns.preference)
    except InvalidData as fault:
        return [str(fault)]
    return []


def _notes(tally: Tally, *, whole: bool) -> list[str]:
    """Return what to know about the counts: of which rows they are, and what is not shown of them."""
    notes = [] if whole else [f"Counts and labels are of the first {tally.row_count:,} rows alone; there are more."]
    if not whole and len(tally.label_counts) == 1:
        notes.append(
            f"All of them have the label '{shortened(next(iter(tally.label_counts)))}': the file seems to be sorted by "
            "label. Other labels may come later; `limit` of the dataset node draws from all rows."
        )
    if (more := len(tally.label_counts) - TOLD_LABELS) > 0:
        notes.append(f"{more:,} more labels are not shown: there are {len(tally.label_counts):,} in these rows.")
    spellings = Counter(map(spelling_key, tally.label_counts))
    told = [label for label in tally.label_counts if spellings[spelling_key(label)] > 1]
    if told:
        notes.append(f"These labels differ only in case, width or marks that nobody sees: {listed_names(told)}.")
    return notes


def _shown_row(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with its long cells cut."""
    shown = {name: _shown(value) for name, value in row.items() if name not in ("messages", "rejected")}
    for name in ("messages", "rejected"):
        if turns := row.get(name):
            shown[name] = [{key: _shown(value) for key, value in turn.items()} for turn in turns[:SHOWN_TURNS]]
    return shown


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return shortened(value, SHOWN_CHARACTERS)
    text = json.dumps(value)
    return value if len(text) <= SHOWN_CHARACTERS else shortened(text, SHOWN_CHARACTERS)


def _used(columns: Columns) -> dict[str, Any]:
    """Return how rows will be read, as the dataset node's config would say it: to be confirmed, or changed there."""
    found: dict[str, Any] = {"shape": columns.shape, "text_column": columns.text, "label_column": columns.label}
    found["why"] = columns.why
    return {**found, "parts": dict(columns.parts)} if columns.parts else found


def _preference(columns: Columns) -> str | None:
    """Return what says that rows are preference data, and how their better answers are learned alone."""
    form = columns.preference
    return f"Preference data: {form.found}. {form.cure}." if form else None


def can_render() -> bool:
    """Say whether what rendering needs is installed here."""
    return find_spec("transformers") is not None


def render_preview(rows: Sequence[Row], rendering: Rendering, shape: Shape | None) -> dict[str, Any]:
    """Return rows as tokens with those that carry loss. `shape`: of the rows, which decides what they are for.

    Raises:
        InvalidModel: there is no tokenizer, or the template doesn't fit it.
    """
    from agents.models.tokenizers import load_tokenizer, longest_input_tokens, tokenizer_fingerprint

    by_shape = task_of_shape(shape) if shape else None
    known, model = find_task(rendering.task or (by_shape or next(iter(TASKS.values()))).name), Path(rendering.model)
    config = PreprocessingConfig(task=known.name, template=rendering.template if known.knows("template") else None)
    tokenizer = load_tokenizer(model)
    limit = min(rendering.max_tokens or config.token_limit, longest_input_tokens(model, tokenizer), TOKENS_MOST)
    preparation = preparation_of(known)(config, _Quiet(), tokenizer, limit)
    found = [preparation.preview(row) for row in rows] if shape in known.shapes else []
    problems = ["Rows of preference data are not learned as plain answers."] if shape == "preference" else []
    if found and known.learns_tokens and not any(one.get("loss_tokens") for one in found):
        problems.append("None of these rows has a token to learn: preprocessing leaves them out.")
    facts = {"task": known.name, "max_tokens": limit, "tokenizer_fingerprint": tokenizer_fingerprint(tokenizer)}
    return {**facts, **preparation.preview_facts(), "rows": found, "problems": problems}
