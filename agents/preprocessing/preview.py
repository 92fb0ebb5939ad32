"""A preview: the first rows of a source as they are read, and as a model would see them.

The same code reads and renders here as in the agents `dataset` and `preprocessing`, so what is shown is what happens.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agents.base.errors import InvalidData
from agents.chat.format import TemplateName
from agents.data.columns import Columns
from agents.data.reader import RowsReader, check_rows, row_files
from agents.data.rows import from_json, to_json
from agents.data.statistics import Tally
from agents.dataset.types import DatasetConfig
from agents.preprocessing.types import PreprocessingConfig
from agents.tasks import find_task
from agents.tasks.preparation import preparation_of

#: Rows that are gone through for the counts.
SCANNED_ROWS = 1000


class _Quiet:
    """A listener that nobody asked to tell anything."""

    def log(self, event: str, *, level: str = "info", **fields: Any) -> None: ...

    def progress(self, done: float, total: float, **fields: Any) -> None: ...


def preview_rows(config: DatasetConfig, path: Path, row_count: int) -> dict[str, Any]:
    """Return the first rows of a file or folder as the dataset agent reads them, and what it found out on the way.

    The first thousand rows are counted; `whole_file` says whether that was all. `problems`: why a job would stop.

    Raises:
        InvalidData: it can't be read, or its columns can't be told.
    """
    reader = RowsReader(config, _Quiet(), row_files(path))
    tally, whole = Tally(), True
    shown: list[dict[str, Any]] = []
    problems: list[str] = []
    for row in reader.rows():
        if tally.row_count == SCANNED_ROWS:
            whole = False
            break
        tally.add(row)
        if len(shown) < row_count:
            shown.append(to_json(row))
    if whole:
        try:
            check_rows(reader, tally)
        except InvalidData as fault:
            problems.append(str(fault))
    columns = reader.columns
    return {
        "files": reader.files_read,
        "columns": columns.names if columns else [],
        "used": _used(columns) if columns else {},
        "rows_scanned": tally.row_count + reader.dropped.total(),
        "whole_file": whole,
        "dropped": dict(reader.dropped),
        "first_dropped": reader.first_dropped,
        "label_counts": dict(tally.label_counts.most_common(20)),
        "problems": problems,
        "rows": shown,
    }


def _used(columns: Columns) -> dict[str, Any]:
    """Return how rows will be read, as the dataset node's config would say it: to be confirmed, or changed there."""
    found: dict[str, Any] = {"shape": columns.shape, "text_column": columns.text, "label_column": columns.label}
    return {**found, "parts": dict(columns.parts)} if columns.parts else found


def can_render() -> bool:
    """Say whether what rendering needs is installed here."""
    return find_spec("transformers") is not None


def render_preview(
    rows: Sequence[dict[str, Any]], model: Path, task: str, template: TemplateName | None, max_tokens: int | None
) -> dict[str, Any]:
    """Return rows as tokens with those that carry loss.

    `model`: a folder with a tokenizer, or a GGUF file.

    Raises:
        InvalidModel: there is no tokenizer, or the template doesn't fit it.
    """
    from agents.models.tokenizers import load_tokenizer, longest_input_tokens, tokenizer_fingerprint

    known = find_task(task)
    config = PreprocessingConfig(task=task, template=None if known.has_labels else template)
    tokenizer = load_tokenizer(model)
    limit = min(max_tokens or config.token_limit, longest_input_tokens(model, tokenizer))
    preparation = preparation_of(known)(config, _Quiet(), tokenizer, limit)
    found = [preparation.preview(from_json(row)) for row in rows]
    problems = []
    if found and not known.has_labels and not any(one.get("loss_tokens") for one in found):
        problems.append("None of these rows has a token to learn: preprocessing leaves them out.")
    facts = {"task": task, "max_tokens": limit, "tokenizer_fingerprint": tokenizer_fingerprint(tokenizer)}
    return {**facts, **preparation.preview_facts(), "rows": found, "problems": problems}
