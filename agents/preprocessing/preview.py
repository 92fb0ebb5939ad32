"""A preview: the first rows of a source as they are read, and as a model would see them.

The same code reads and renders here as in the agents `dataset` and `preprocessing`, so what is shown is what happens.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.base.errors import InvalidData
from agents.data.cleaning import clean_content, clean_text
from agents.data.columns import Columns
from agents.data.conversations import Message, of_text_and_label
from agents.data.reader import RowsReader, check_rows, row_files
from agents.data.statistics import Tally
from agents.data.types import Row
from agents.dataset.types import DatasetConfig
from agents.tasks.names import Task

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from agents.chat.format import TemplateName
    from agents.chat.renderer import Renderer

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
    shown: list[Row] = []
    problems: list[str] = []
    for row in reader.rows():
        if tally.row_count == SCANNED_ROWS:
            whole = False
            break
        tally.add(row["text"], None if "messages" in row else row["label"])
        if len(shown) < row_count:
            shown.append(row)
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
    rows: Sequence[Row], model: Path, task: Task, template: "TemplateName | None", max_tokens: int | None
) -> dict[str, Any]:
    """Return rows as tokens with those that carry loss; for classification the label carries it, and no token.

    `model`: a folder with a tokenizer, or a GGUF file.

    Raises:
        InvalidModel: there is no tokenizer, or the template doesn't fit it.
    """
    from agents.chat.renderer import make_renderer
    from agents.models.tokenizers import load_tokenizer, longest_input_tokens, tokenizer_fingerprint
    from agents.preprocessing.types import MAX_TOKENS

    tokenizer = load_tokenizer(model)
    limit = min(max_tokens or MAX_TOKENS[task], longest_input_tokens(model, tokenizer))
    facts = {"task": task, "max_tokens": limit, "tokenizer_fingerprint": tokenizer_fingerprint(tokenizer)}
    if task == "classification":
        return {**facts, "rows": [_labelled(row, tokenizer, limit) for row in rows], "problems": []}
    renderer = make_renderer(template, tokenizer)
    found = [_answered(row, renderer, limit) for row in rows]
    problems = []
    if found and not any(one.get("loss_tokens") for one in found):
        problems.append("None of these rows has a token to learn: preprocessing leaves them out.")
    shown = {"template": renderer.template.name, "template_fingerprint": renderer.fingerprint}
    return {**facts, **shown, "rows": found, "problems": problems}


def _labelled(row: Row, tokenizer: "PreTrainedTokenizerFast", limit: int) -> dict[str, Any]:
    ids: list[int] = tokenizer(clean_text(row["text"]))["input_ids"]
    return {
        "row": row["row"],
        "tokens": _texts(tokenizer, ids[:limit]),
        "token_count": len(ids),
        "cut_tokens": max(0, len(ids) - limit),
        "learned": row["label"],
    }


def _answered(row: Row, renderer: "Renderer", limit: int) -> dict[str, Any]:
    from agents.chat.truncation import CURES, learnable

    messages: list[Message] = row.get("messages") or of_text_and_label(row["text"], row["label"])
    messages = [{**message, "content": clean_content(message["content"])} for message in messages]
    found = learnable(messages, renderer, limit)
    if found.reason:
        return {
            "row": row["row"],
            "left_out": found.reason.kind,
            "why": f"{found.reason.detail}. {CURES[found.reason.kind]}",
        }
    rendered, tokenizer = found.parts[0].rendered, renderer.tokenizer
    learned = [number for number, learned in zip(rendered.input_ids, rendered.loss_mask, strict=True) if learned]
    return {
        "row": row["row"],
        "tokens": _texts(tokenizer, rendered.input_ids),
        "carries_loss": rendered.loss_mask,
        "token_count": len(rendered.input_ids),
        "cut_answers": found.answers_left_out,
        "loss_tokens": len(learned),
        "rendered": tokenizer.decode(rendered.input_ids),
        "learned": tokenizer.decode(learned),
    }


def _texts(tokenizer: "PreTrainedTokenizerFast", ids: Sequence[int]) -> list[str]:
    return [tokenizer.decode([number]) for number in ids]
