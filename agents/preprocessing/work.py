"""The recipe of preprocessing: rows, duplicates, split, leaks, tokens."""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping

import numpy
from numpy.typing import NDArray

from agents.base.agent import Context, input_from, inputs_from
from agents.base.errors import InvalidData
from agents.data.rows import fetch_rows, read_rows
from agents.data.types import Row, Split
from agents.dataset.types import DatasetOutput
from agents.models.tokenizers import load_tokenizer, longest_input_tokens, tokenizer_fingerprint
from agents.preprocessing.given import GivenSplits, place_of
from agents.preprocessing.placing import Placing
from agents.preprocessing.token_facts import TokenFacts, tell
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
    model_takes = longest_input_tokens(path, tokenizer)
    max_tokens = _max_tokens(config, context, model_takes)
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
        placing = Placing(config, context, rows, preparation, given)
        placed, leaked = placing.place(dropped, _minimum_rows(config, context))
        labels = preparation.labels(_labels(rows, placed)) if preparation.names_labels else []
        facts = TokenFacts(tokenizer, model_takes)
        written = _write(context, rows, placed, preparation.cells(labels), max_tokens, facts)
        tell(facts, config, max_tokens, context)
        return PreprocessingOutput(
            splits=written,
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


def _max_tokens(config: PreprocessingConfig, context: Context, model_takes: int) -> int:
    """Return the tokens of a row at most: as configured, but never more than the model takes."""
    wanted = config.token_limit
    max_tokens = min(wanted, model_takes)
    if max_tokens < wanted:
        context.log("max_tokens_capped", level="warning", wanted=wanted, model_takes=max_tokens)
    return max_tokens


def _minimum_rows(config: PreprocessingConfig, context: Context) -> int | None:
    """Return the least rows that must be left: as configured, else what validation asked before."""
    validated = inputs_from(context, "validation", ValidationOutput)
    return config.minimum_rows or (validated[-1].minimum_rows if validated else None)


def _read(context: Context, preparation: Preparation, dropped: Counter[str], splits: "array[int]") -> Iterator[Row]:
    """Return what of all rows is used, cleaned, without the empty ones. `splits` gets the split of each of them."""
    validated = inputs_from(context, "validation", ValidationOutput)
    dataset = inputs_from(context, "dataset", DatasetOutput)
    source = validated[-1] if validated else input_from(context, "dataset", DatasetOutput)
    if dataset:
        found = dataset[-1]
        check_shape(preparation.config.known_task, found.shape, found.source, found.preference)
    path = fetch_rows(context.objects, source.rows, context.work_dir / "rows.jsonl")

    def cleaned() -> Iterator[Row]:
        for number, row in enumerate(read_rows(path), start=1):
            if number % PROGRESS_ROWS == 0:
                context.progress(number, 3 * max(number, source.row_count))
            if row.rejected is not None and "preference" not in preparation.config.known_task.shapes:
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


def _labels(rows: WorkRows, placed: Mapping[str, NDArray[numpy.int64]]) -> list[str]:
    """Return the different labels of all rows that were placed."""
    present = numpy.unique(rows.labels[numpy.concatenate(list(placed.values()))])
    return [rows.label_names[key] for key in present.tolist()]


def _write(
    context: Context,
    rows: WorkRows,
    placed: Mapping[str, NDArray[numpy.int64]],
    cells: Cells,
    max_tokens: int,
    facts: TokenFacts,
) -> dict[str, Split]:
    """Write each split with its token ids, and add to `facts`."""
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
        splits[name], cut_rows[name] = write_split(rows.read(indices), cells, target, context.objects, progress, facts)
    context.log(
        "splits_written",
        rows={name: split.row_count for name, split in splits.items()},
        rows_cut_to_max_tokens=cut_rows,
        max_tokens=max_tokens,
    )
    return splits
