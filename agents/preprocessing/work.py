"""The recipe of preprocessing: rows, duplicates, split, leaks, tokens."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from agents.base.agent import Context, input_from, inputs_from
from agents.base.errors import InvalidData
from agents.data.preferences import refuse_preference
from agents.data.rows import fetch_rows, read_rows
from agents.data.types import Row, Split
from agents.dataset.types import DatasetOutput
from agents.models.tokenizers import load_tokenizer, longest_input_tokens, tokenizer_fingerprint
from agents.preprocessing.dedup import drop_exact, find_near, join_documents
from agents.preprocessing.given import HELD_OUT, GivenSplits, place_of, tell_strange_labels
from agents.preprocessing.leaks import find_leaks
from agents.preprocessing.shingles import ShingleSets
from agents.preprocessing.split import split_rows
from agents.preprocessing.tokens import write_split
from agents.preprocessing.types import PreprocessingConfig, PreprocessingOutput
from agents.preprocessing.work_rows import WorkRows
from agents.tasks.preparation import Cells, Preparation, preparation_of
from agents.tasks.shapes import check_shape
from agents.validation.types import ValidationOutput

#: How often progress is reported, which also looks for a cancel.
PROGRESS_ROWS = 500


def prepare(config: PreprocessingConfig, context: Context) -> PreprocessingOutput:
    """Write the splits and return what is known of them. Raises: as `PreprocessingAgent.run`."""
    path = context.sources.local(config.model, "model")
    tokenizer = load_tokenizer(path)
    tokenizer.truncation_side = "left" if config.keep == "end" else "right"
    max_tokens = _max_tokens(config, context, path, tokenizer)
    preparation = preparation_of(config.known_task)(config, context, tokenizer, max_tokens)
    dropped: Counter[str] = Counter()
    splits = array("b")
    source = _read(context, preparation, dropped, splits)
    with WorkRows(context.work_dir / "work.jsonl", config.seed, named_labels=preparation.names_labels) as rows:
        for document, row in preparation.documents(source, dropped):
            rows.add(row, document)
        if not len(rows):
            raise InvalidData("No row with text is left.", cure="Check the rows of the dataset node.")
        context.log("rows_cleaned", rows=len(rows))
        given = GivenSplits.of(config, context, splits, rows.documents)
        placed, leaked = _place(config, context, rows, given, dropped, preparation)
        labels = preparation.labels(_labels(rows, placed)) if preparation.names_labels else []
        return PreprocessingOutput(
            splits=_write(context, rows, placed, preparation.cells(labels), max_tokens),
            labels=labels,
            task=config.task,
            prompt=preparation.prompt_format(rows.read(placed["train"])),
            model=config.model,
            tokenizer_fingerprint=tokenizer_fingerprint(tokenizer),
            max_tokens=max_tokens,
            truncation_side=tokenizer.truncation_side,
            dropped=dict(dropped),
            leaked=leaked,
        )


def _max_tokens(config: PreprocessingConfig, context: Context, path: Path, tokenizer: PreTrainedTokenizerFast) -> int:
    """Return the tokens of a row at most: as configured, but never more than the model takes."""
    wanted = config.token_limit
    max_tokens = min(wanted, longest_input_tokens(path, tokenizer))
    if max_tokens < wanted:
        context.log("max_tokens_capped", level="warning", wanted=wanted, model_takes=max_tokens)
    return max_tokens


def _read(context: Context, preparation: Preparation, dropped: Counter[str], splits: "array[int]") -> Iterator[Row]:
    """Return what of all rows is used, cleaned, without the empty ones. `splits` gets the split of each of them."""
    validated = inputs_from(context, "validation", ValidationOutput)
    dataset = inputs_from(context, "dataset", DatasetOutput)
    source = validated[-1] if validated else input_from(context, "dataset", DatasetOutput)
    if dataset and dataset[-1].preference:
        raise refuse_preference(dataset[-1].source, dataset[-1].preference, f"`task: {preparation.config.task}`")
    if dataset:
        check_shape(preparation.config.known_task, dataset[-1].shape, dataset[-1].source)
    path = fetch_rows(context.objects, source.rows, context.work_dir / "rows.jsonl")

    def cleaned() -> Iterator[Row]:
        for number, row in enumerate(read_rows(path), start=1):
            if number % PROGRESS_ROWS == 0:
                context.progress(number, 3 * max(number, source.row_count))
            if row.rejected is not None:
                raise InvalidData(
                    f"Row {row.number} has a rejected answer: it is preference data, which `task: "
                    f"{preparation.config.task}` does not learn from.",
                    cure="Write rows without `rejected`.",
                )
            found = preparation.cleaned(row)
            if reason := preparation.fault(found):
                dropped[reason] += 1
            else:
                splits.append(place_of(row.split))
                yield found

    return cleaned()


def _place(
    config: PreprocessingConfig,
    context: Context,
    rows: WorkRows,
    given: GivenSplits | None,
    dropped: Counter[str],
    preparation: Preparation,
) -> tuple[dict[str, NDArray[numpy.int64]], int]:
    """Drop what `dedup` says, and share out the others; return the indices of each split, and the rows that leak.

    Near duplicates that stay are grouped, unless `dedup` is none.
    """
    kept, removed = numpy.arange(len(rows)) if given is None else given.order(), Counter[str]()
    if config.dedup != "none":
        drop = drop_exact if given is None else given.drop_exact
        kept, removed = drop(rows.keys, rows.labels, several_answers=preparation.several_answers)
    texts = (row.text for row in rows.read(kept))
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
            near = numpy.flatnonzero(found.kept if given is None else given.stays(found.kept, kept))
            groups = found.groups
            if len(near) < len(kept):
                removed["near_duplicate"] += len(kept) - len(near)
        dropped += removed
        if removed:
            context.log("duplicates_removed", rows=removed.total(), reasons=dict(removed), rows_left=len(near))
        groups = join_documents(groups[near], rows.documents[kept[near]])

        def draw(places: NDArray[numpy.int64]) -> dict[str, NDArray[numpy.int64]]:
            some, every = kept[near[places]], preparation.needs_every_label
            strata, names = _strata(rows, some, preparation)
            return split_rows(groups[places], rows.ranks[some], config.shares, strata, names, every_stratum=every)

        placed = draw(numpy.arange(len(near))) if given is None else given.share_out(context, kept[near], draw)
        context.log("rows_split", rows={name: len(indices) for name, indices in placed.items()})
        placed = {name: near[indices] for name, indices in placed.items()}
        leaked = _close_leaks(config, context, placed, sets, dropped, HELD_OUT if given else HELD_OUT[:1])
    placed = {name: kept[indices] for name, indices in placed.items()}
    if preparation.needs_every_label:
        tell_strange_labels(context, placed, rows.labels, rows.label_names)
    return placed, leaked


def _every(rows: int, context: Context, total: int) -> Callable[[int], None]:
    """Return what reports the second third of the work, each time so many rows are done."""
    return lambda done: context.progress(total + done, 3 * total) if done % rows == 0 else None


def _labels(rows: WorkRows, placed: Mapping[str, NDArray[numpy.int64]]) -> list[str]:
    """Return the different labels of all rows that were placed."""
    present = numpy.unique(rows.labels[numpy.concatenate(list(placed.values()))])
    return [rows.label_names[key] for key in present.tolist()]


def _strata(
    rows: WorkRows, indices: NDArray[numpy.int64], preparation: Preparation
) -> tuple[NDArray[numpy.int64], list[str]]:
    """Return for each row the number of its stratum, and the strata, sorted; without names one stratum of all."""
    if not rows.label_names:
        return numpy.zeros(len(indices), dtype=numpy.int64), []
    keys, numbers, counts = numpy.unique(rows.labels[indices], return_inverse=True, return_counts=True)
    labels = [rows.label_names[key] for key in keys.tolist()]
    stratum = preparation.strata(dict(zip(labels, counts.tolist(), strict=True)))
    names = sorted(set(stratum.values()))
    place = {name: number for number, name in enumerate(names)}
    places = numpy.array([place[stratum[label]] for label in labels], dtype=numpy.int64)
    return places[numbers], names


def _close_leaks(
    config: PreprocessingConfig,
    context: Context,
    placed: dict[str, NDArray[numpy.int64]],
    sets: ShingleSets,
    dropped: Counter[str],
    held_out: Sequence[str],
) -> int:
    """Report near duplicates between train and what is held out; return in how many rows of test they are left.

    LSH may have overlooked a pair: unless `dedup` is none, such rows leave train, and none is left.
    """
    left: dict[str, int] = {}
    for split in held_out:
        pairs = find_leaks(sets, placed[split], placed["train"], config.near_threshold)
        leaking = sorted({index for _, index in pairs})
        if config.dedup != "none" and leaking:
            placed["train"] = numpy.delete(placed["train"], leaking)
            dropped[f"leaks_into_{split}"] += len(leaking)
            pairs = []
        left[split] = len({index for index, _ in pairs})
    context.log(
        "leak_report",
        level="warning" if any(left.values()) else "info",
        **{f"{split}_rows_near_train": count for split, count in left.items()},
        train_rows_removed=sum(dropped[f"leaks_into_{split}"] for split in left) + dropped["same_as_held_out"],
        threshold=config.near_threshold,
    )
    return left["test"]


def _write(
    context: Context, rows: WorkRows, placed: Mapping[str, NDArray[numpy.int64]], cells: Cells, max_tokens: int
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
