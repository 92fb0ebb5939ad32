"""PreprocessingAgent: rows are cleaned, freed from duplicates, split without leaks, and made token ids."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from agents.base.contract import Agent, Context, input_from, inputs_from
from agents.base.errors import InvalidData
from agents.base.sources import Sources
from agents.cleaning import clean_text
from agents.outputs import DatasetOutput, PreprocessingOutput, Split, ValidationOutput
from agents.preprocessing.config import PreprocessingConfig
from agents.preprocessing.dedup import Deduplicated, drop_exact, drop_near
from agents.preprocessing.leaks import find_leaks
from agents.preprocessing.shingles import shingles
from agents.preprocessing.split import split_rows
from agents.preprocessing.tokens import write_split
from agents.rows import Row, fetch_rows, read_rows
from agents.tokenizers import load_tokenizer, longest_input_tokens, tokenizer_fingerprint

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

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
        rows, dropped = _rows(config, context)
        unique, sets = _deduplicate(config, context, rows)
        dropped += unique.dropped
        placed = split_rows(unique.rows, unique.groups, config.split.model_dump(), config.seed)
        leaked = _close_leaks(config, context, placed, sets, dropped)
        if dropped:
            context.log("duplicates_removed", rows=dropped.total(), reasons=dict(dropped), rows_left=len(unique.rows))
        labels = sorted({str(row["label"]) for row in unique.rows})
        return _tokenize(
            config, context, {name: [unique.rows[i] for i in where] for name, where in placed.items()}, labels
        ).model_copy(update={"dropped": dict(dropped), "leaked": leaked})


def _rows(config: PreprocessingConfig, context: Context) -> tuple[list[Row], Counter[str]]:
    """Return row, text and label of all rows, cleaned, without the empty ones."""
    validated = inputs_from(context, "validation", ValidationOutput)
    source = validated[-1] if validated else input_from(context, "dataset", DatasetOutput)
    path = fetch_rows(context.objects, source.rows, context.work_dir / "rows.jsonl")
    rows = [
        {"row": row["row"], "text": clean_text(row["text"]) if config.clean else row["text"], "label": row["label"]}
        for row in read_rows(path)
    ]
    kept = [row for row in rows if row["text"].strip()]
    dropped = Counter({"empty": len(rows) - len(kept)}) if len(kept) < len(rows) else Counter[str]()
    if not kept:
        raise InvalidData("No row with text is left.", cure="Check the rows of the dataset node.")
    return kept, dropped


def _deduplicate(config: PreprocessingConfig, context: Context, rows: list[Row]) -> tuple[Deduplicated, Shingles]:
    """Drop what `dedup` says. Near duplicates that stay are grouped, unless `dedup` is none."""
    dropped = Counter[str]()
    if config.dedup != "none":
        rows, dropped = drop_exact(rows)
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


def _tokenize(
    config: PreprocessingConfig, context: Context, rows: dict[str, list[Row]], labels: list[str]
) -> PreprocessingOutput:
    """Write each split with token ids; `dropped` and `leaked` are not known here."""
    path = context.sources.local(config.model, "model")
    tokenizer = load_tokenizer(path)
    max_tokens = min(config.max_tokens, longest_input_tokens(path, tokenizer))
    if max_tokens < config.max_tokens:
        context.log("max_tokens_capped", level="warning", wanted=config.max_tokens, model_takes=max_tokens)
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
        splits[name], filled[name] = write_split(
            members, labels, tokenizer, max_tokens, target, context.objects, progress
        )
    context.log(
        "splits_written",
        rows={name: split.row_count for name, split in splits.items()},
        rows_at_max_tokens=filled,
        max_tokens=max_tokens,
    )
    return PreprocessingOutput(
        splits=splits,
        labels=labels,
        task=config.task,
        model=config.model,
        tokenizer_fingerprint=tokenizer_fingerprint(tokenizer),
        max_tokens=max_tokens,
        dropped={},
        leaked=0,
    )
