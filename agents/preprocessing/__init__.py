"""PreprocessingAgent: rows are cleaned, freed from duplicates, split without leaks, and made token ids.

Conversations are rendered first, so that what can't be learned takes no place in a split.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agents.base.contract import Agent, Context, input_from, inputs_from
from agents.base.errors import InvalidData
from agents.base.sources import Sources
from agents.cleaning import clean_content, clean_text
from agents.conversations import of_text_and_label, prompt_text
from agents.outputs import DatasetOutput, PreprocessingOutput, PromptFormat, Split, ValidationOutput
from agents.preprocessing.config import PreprocessingConfig
from agents.preprocessing.dedup import Deduplicated, drop_exact, drop_near
from agents.preprocessing.leaks import find_leaks
from agents.preprocessing.rendering import longest_answer_tokens, render_rows
from agents.preprocessing.shingles import shingles
from agents.preprocessing.split import split_rows
from agents.preprocessing.tokens import Cells, ConversationCells, LabelCells, write_split
from agents.prompts import Renderer, make_renderer
from agents.rows import Row, fetch_rows, read_rows
from agents.tokenizers import load_tokenizer, longest_input_tokens, tokenizer_fingerprint

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerFast

Shingles = Sequence["NDArray[numpy.uint32]"]


class PreprocessingAgent(Agent[PreprocessingConfig, PreprocessingOutput]):
    """Reads as the recipe: rows, duplicates, split, leaks, tokens."""

    config_type = PreprocessingConfig
    output_type = PreprocessingOutput
    consumes = ("dataset",)
    consumes_if_present = ("validation",)

    def cache_inputs(self, config: PreprocessingConfig, sources: Sources) -> Mapping[str, str]:
        return {"model": sources.fingerprint(config.model, "model")}

    def run(self, config: PreprocessingConfig, context: Context) -> PreprocessingOutput:
        """Write the three splits.

        Raises:
            InvalidData: too few different rows of a label, or of all.
            InvalidModel: the model has no tokenizer that can be used.
        """
        path = context.sources.local(config.model, "model")
        tokenizer = load_tokenizer(path)
        tokenizer.truncation_side = "left" if config.keep == "end" else "right"
        max_tokens = _max_tokens(config, context, path, tokenizer)
        renderer = make_renderer(config.template, tokenizer) if config.task == "sft" else None
        rows, dropped = _rows(config, context)
        if renderer:
            rows, unlearnable = render_rows(rows, renderer, max_tokens, context)
            dropped += unlearnable
        unique, sets = _deduplicate(config, context, rows)
        dropped += unique.dropped
        fractions = config.split.model_dump()
        placed = split_rows(unique.rows, unique.groups, fractions, config.seed, by_label=renderer is None)
        leaked = _close_leaks(config, context, placed, sets, dropped)
        if unique.dropped:
            removed = unique.dropped
            context.log("duplicates_removed", rows=removed.total(), reasons=dict(removed), rows_left=len(unique.rows))
        split = {name: [unique.rows[index] for index in where] for name, where in placed.items()}
        labels = [] if renderer else sorted({str(row["label"]) for row in unique.rows})
        cells = ConversationCells() if renderer else LabelCells(tokenizer, labels, max_tokens)
        return PreprocessingOutput(
            splits=_write(context, split, cells, max_tokens),
            labels=labels,
            task=config.task,
            prompt=_prompt_format(renderer, split["train"], context),
            model=config.model,
            tokenizer_fingerprint=tokenizer_fingerprint(tokenizer),
            max_tokens=max_tokens,
            truncation_side=tokenizer.truncation_side,
            dropped=dict(dropped),
            leaked=leaked,
        )


def _max_tokens(config: PreprocessingConfig, context: Context, path: Path, tokenizer: "PreTrainedTokenizerFast") -> int:
    """Return the tokens of a row at most: as configured, but never more than the model takes."""
    wanted = config.token_limit
    max_tokens = min(wanted, longest_input_tokens(path, tokenizer))
    if max_tokens < wanted:
        context.log("max_tokens_capped", level="warning", wanted=wanted, model_takes=max_tokens)
    return max_tokens


def _prompt_format(renderer: Renderer | None, train: list[Row], context: Context) -> PromptFormat | None:
    if renderer is None:
        return None
    found = renderer.format(max_new_tokens=2 * longest_answer_tokens(train))
    learned = sum(sum(row["loss_mask"]) for row in train)
    context.log(
        "prompts_rendered",
        template=found.template,
        fingerprint=found.fingerprint,
        learned_tokens=learned,
        learned_share=round(learned / sum(len(row["input_ids"]) for row in train), 4),
    )
    return found


def _rows(config: PreprocessingConfig, context: Context) -> tuple[list[Row], Counter[str]]:
    """Return row, text and label (of conversations also the messages) of all rows, cleaned, without the empty ones."""
    validated = inputs_from(context, "validation", ValidationOutput)
    dataset = inputs_from(context, "dataset", DatasetOutput)
    source = validated[-1] if validated else input_from(context, "dataset", DatasetOutput)
    if config.task == "classification" and dataset and dataset[-1].shape != "text_label":
        raise InvalidData(
            f"The rows of '{dataset[-1].source}' are conversations of the shape '{dataset[-1].shape}'.",
            cure="Set `task: sft` for preprocessing and training, or `text_column` and `label_column` of dataset.",
        )
    path = fetch_rows(context.objects, source.rows, context.work_dir / "rows.jsonl")
    read = _conversation_row if config.task == "sft" else _text_row
    rows = [read(row, clean=config.clean) for row in read_rows(path)]
    kept = [row for row in rows if row["text"].strip() and str(row["label"]).strip()]
    dropped = Counter({"empty": len(rows) - len(kept)}) if len(kept) < len(rows) else Counter[str]()
    if not kept:
        raise InvalidData("No row with text is left.", cure="Check the rows of the dataset node.")
    return kept, dropped


def _text_row(row: Row, *, clean: bool) -> Row:
    return {"row": row["row"], "text": clean_text(row["text"]) if clean else row["text"], "label": row["label"]}


def _conversation_row(row: Row, *, clean: bool) -> Row:
    messages = row.get("messages") or of_text_and_label(row["text"], row["label"])
    if clean:
        messages = [{**message, "content": clean_content(message["content"])} for message in messages]
    return {
        "row": row["row"],
        "text": prompt_text(messages),
        "label": messages[-1]["content"],
        "messages": messages,
    }


def _deduplicate(config: PreprocessingConfig, context: Context, rows: list[Row]) -> tuple[Deduplicated, Shingles]:
    """Drop what `dedup` says. Near duplicates that stay are grouped, unless `dedup` is none."""
    dropped = Counter[str]()
    if config.dedup != "none":
        rows, dropped = drop_exact(rows, several_answers=config.task == "sft")
    sets = [shingles(row["text"]) for row in rows]
    if config.dedup == "none":
        return Deduplicated(rows, list(range(len(rows)))), sets
    steps = 2 * len(rows)
    result, sets = drop_near(
        rows,
        sets,
        config.near_threshold,
        drop=config.dedup == "near",
        progress=lambda done: context.progress(done, steps) if done % 500 == 0 else None,
    )
    result.dropped += dropped
    return result, sets


def _close_leaks(
    config: PreprocessingConfig, context: Context, placed: dict[str, list[int]], sets: Shingles, dropped: Counter[str]
) -> int:
    """Report near duplicates between test and train; return in how many rows of test they are left.

    LSH may have overlooked a pair: unless `dedup` is none, such rows leave train, and none is left.
    """
    test, train = ([sets[index] for index in placed[name]] for name in ("test", "train"))
    pairs = find_leaks(test, train, config.near_threshold)
    leaking = {placed["train"][index] for _, index in pairs}
    if config.dedup != "none" and leaking:
        placed["train"] = [index for index in placed["train"] if index not in leaking]
        dropped["leaks_into_test"] += len(leaking)
        pairs = []
    leaked = len({index for index, _ in pairs})
    context.log(
        "leak_report",
        level="warning" if leaked else "info",
        test_rows_near_train=leaked,
        train_rows_removed=dropped["leaks_into_test"],
        threshold=config.near_threshold,
    )
    return leaked


def _write(context: Context, rows: dict[str, list[Row]], cells: Cells, max_tokens: int) -> dict[str, Split]:
    """Write each split with its token ids."""
    total = sum(map(len, rows.values()))
    done = 0

    def progress(count: int) -> None:
        nonlocal done
        done += count
        context.progress(total + done, 2 * total)

    splits: dict[str, Split] = {}
    filled: dict[str, int] = {}
    for name, members in rows.items():
        target = context.work_dir / f"{name}.parquet"
        splits[name], filled[name] = write_split(members, cells, max_tokens, target, context.objects, progress)
    context.log(
        "splits_written",
        rows={name: split.row_count for name, split in splits.items()},
        rows_at_max_tokens=filled,
        max_tokens=max_tokens,
    )
    return splits
