"""PreprocessingAgent: rows are cleaned, freed from duplicates, split without leaks, and made token ids.

Conversations are rendered first, so that what can't be learned takes no place in a split.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from agents.base.agent import Agent, Context, input_from, inputs_from
from agents.base.errors import InvalidData
from agents.base.sources import Sources
from agents.chat.format import PromptFormat
from agents.chat.renderer import Renderer, make_renderer
from agents.data.cleaning import clean_content, clean_text
from agents.data.conversations import of_text_and_label, prompt_text
from agents.data.rows import fetch_rows, read_rows
from agents.data.types import Row, Split
from agents.dataset.types import DatasetOutput
from agents.models.tokenizers import load_tokenizer, longest_input_tokens, tokenizer_fingerprint
from agents.preprocessing.dedup import drop_exact, find_near, join_documents
from agents.preprocessing.leaks import find_leaks
from agents.preprocessing.parts import Parter
from agents.preprocessing.rendering import Learned, render_rows
from agents.preprocessing.shingles import ShingleSets
from agents.preprocessing.split import split_rows
from agents.preprocessing.tokens import Cells, ConversationCells, LabelCells, write_split
from agents.preprocessing.types import PreprocessingConfig, PreprocessingOutput
from agents.preprocessing.work_rows import WorkRows
from agents.validation.types import ValidationOutput

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerFast

#: How often progress is reported, which also looks for a cancel.
PROGRESS_ROWS = 500


class PreprocessingAgent(Agent[PreprocessingConfig, PreprocessingOutput]):
    """Reads as the recipe: rows, duplicates, split, leaks, tokens."""

    config_type = PreprocessingConfig
    output_type = PreprocessingOutput
    consumes = ("dataset",)
    consumes_if_present = ("validation",)
    consumes_one = ("dataset", "validation")

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
        dropped: Counter[str] = Counter()
        source = _read(config, context, dropped)
        with WorkRows(context.work_dir / "work.jsonl", config.seed, named_labels=renderer is None) as rows:
            if renderer:
                in_parts = config.long_texts == "parts"
                _add(rows, render_rows(source, renderer, max_tokens, dropped, context, in_parts=in_parts))
            elif config.long_texts == "parts":
                _add_parts(rows, source, Parter(tokenizer, max_tokens, config.overlap_tokens), context)
            else:
                _add(rows, enumerate(source))
            if not len(rows):
                raise InvalidData("No row with text is left.", cure="Check the rows of the dataset node.")
            context.log("rows_cleaned", rows=len(rows))
            placed, leaked = _place(config, context, rows, dropped)
            labels = [] if renderer else _labels(rows, placed)
            cells = ConversationCells() if renderer else LabelCells(tokenizer, labels, max_tokens)
            return PreprocessingOutput(
                splits=_write(context, rows, placed, cells, max_tokens),
                labels=labels,
                task=config.task,
                prompt=_prompt_format(renderer, rows.read(placed["train"]), config, context) if renderer else None,
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


def _prompt_format(
    renderer: Renderer, train: Iterable[Row], config: PreprocessingConfig, context: Context
) -> PromptFormat:
    learned = Learned()
    for row in train:
        learned.add(row["loss_mask"])
    found = renderer.format(max_new_tokens=2 * learned.longest_answer_tokens, clean=config.clean)
    context.log(
        "prompts_rendered",
        template=found.template,
        fingerprint=found.fingerprint,
        learned_tokens=learned.learned_tokens,
        learned_share=round(learned.learned_tokens / learned.tokens, 4),
    )
    return found


def _read(config: PreprocessingConfig, context: Context, dropped: Counter[str]) -> Iterator[Row]:
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

    def cleaned() -> Iterator[Row]:
        for number, row in enumerate(read_rows(path), start=1):
            if number % PROGRESS_ROWS == 0:
                context.progress(number, 3 * max(number, source.row_count))
            found = read(row, clean=config.clean)
            if found["text"].strip() and str(found["label"]).strip():
                yield found
            else:
                dropped["empty"] += 1

    return cleaned()


def _add(rows: WorkRows, source: Iterable[tuple[int, Row]]) -> None:
    for document, row in source:
        rows.add(row, document)


def _add_parts(rows: WorkRows, source: Iterable[Row], parter: Parter, context: Context) -> None:
    """Add texts, the long ones as parts, each with the row's number and label."""
    long_texts = parts = 0
    for number, row in enumerate(source):
        found = parter.parts(row["text"])
        long_texts += len(found) > 1
        parts += len(found) if len(found) > 1 else 0
        for text in found:
            rows.add({**row, "text": text}, number)
    context.log("long_texts_parted", long_texts=long_texts, parts=parts)


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


def _place(
    config: PreprocessingConfig, context: Context, rows: WorkRows, dropped: Counter[str]
) -> "tuple[dict[str, NDArray[numpy.int64]], int]":
    """Drop what `dedup` says, and share out the others; return the indices of each split, and the rows that leak.

    Near duplicates that stay are grouped, unless `dedup` is none.
    """
    import numpy

    kept, removed = numpy.arange(len(rows)), Counter[str]()
    if config.dedup != "none":
        kept, removed = drop_exact(rows.keys, rows.labels, several_answers=config.task == "sft")
    texts = (row["text"] for row in rows.read(kept))
    with closing(ShingleSets(context.work_dir / "shingles.bin", texts)) as sets:
        # `near`: numbers of the sets that stay; a set is known by its place in `kept`.
        near, groups = numpy.arange(len(kept)), numpy.arange(len(kept))
        if config.dedup != "none" and len(kept):
            found = find_near(
                sets,
                rows.labels[kept],
                config.near_threshold,
                drop=config.dedup == "near",
                progress=_every(PROGRESS_ROWS, context, len(kept)),
            )
            near, groups = numpy.flatnonzero(found.kept), found.groups
            if len(near) < len(kept):
                removed["near_duplicate"] += len(kept) - len(near)
        dropped += removed
        if removed:
            context.log("duplicates_removed", rows=removed.total(), reasons=dict(removed), rows_left=len(near))
        groups = join_documents(groups[near], rows.documents[kept[near]])
        strata, labels = _strata(rows, kept[near])
        placed = split_rows(groups, rows.ranks[kept[near]], config.split.model_dump(), strata, labels)
        context.log("rows_split", rows={name: len(indices) for name, indices in placed.items()})
        placed = {name: near[indices] for name, indices in placed.items()}
        leaked = _close_leaks(config, context, placed, sets, dropped)
    return {name: kept[indices] for name, indices in placed.items()}, leaked


def _every(rows: int, context: Context, total: int) -> Callable[[int], None]:
    """Return what reports the second third of the work, each time so many rows are done."""
    return lambda done: context.progress(total + done, 3 * total) if done % rows == 0 else None


def _labels(rows: WorkRows, placed: "Mapping[str, NDArray[numpy.int64]]") -> list[str]:
    """Return the labels of all rows that were placed, sorted."""
    import numpy

    present = numpy.unique(rows.labels[numpy.concatenate(list(placed.values()))])
    return sorted(rows.label_names[key] for key in present.tolist())


def _strata(rows: WorkRows, indices: "NDArray[numpy.int64]") -> "tuple[NDArray[numpy.int64], list[str]]":
    """Return for each row the number of its label, and the labels, sorted; without names one stratum of all."""
    import numpy

    if not rows.label_names:
        return numpy.zeros(len(indices), dtype=numpy.int64), []
    keys, numbers = numpy.unique(rows.labels[indices], return_inverse=True)
    names = [rows.label_names[key] for key in keys.tolist()]
    order = sorted(range(len(names)), key=names.__getitem__)
    place = numpy.empty(len(names), dtype=numpy.int64)
    place[order] = numpy.arange(len(names))
    return place[numbers], sorted(names)


def _close_leaks(
    config: PreprocessingConfig,
    context: Context,
    placed: "dict[str, NDArray[numpy.int64]]",
    sets: ShingleSets,
    dropped: Counter[str],
) -> int:
    """Report near duplicates between test and train; return in how many rows of test they are left.

    LSH may have overlooked a pair: unless `dedup` is none, such rows leave train, and none is left.
    """
    import numpy

    pairs = find_leaks(sets, placed["test"], placed["train"], config.near_threshold)
    leaking = sorted({index for _, index in pairs})
    if config.dedup != "none" and leaking:
        placed["train"] = numpy.delete(placed["train"], leaking)
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


def _write(
    context: Context, rows: WorkRows, placed: "Mapping[str, NDArray[numpy.int64]]", cells: Cells, max_tokens: int
) -> dict[str, Split]:
    """Write each split with its token ids."""
    total = sum(map(len, placed.values()))
    done = 0

    def progress(count: int) -> None:
        nonlocal done
        done += count
        context.progress(2 * total + done, 3 * total)

    splits: dict[str, Split] = {}
    cut_rows: dict[str, int] = {}
    for name, indices in placed.items():
        target = context.work_dir / f"{name}.parquet"
        splits[name], cut_rows[name] = write_split(rows.read(indices), cells, target, context.objects, progress)
    context.log(
        "splits_written",
        rows={name: split.row_count for name, split in splits.items()},
        rows_cut_to_max_tokens=cut_rows,
        max_tokens=max_tokens,
    )
    return splits
