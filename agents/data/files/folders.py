"""The files of a source: one, those of a folder, or those in a zip archive, each with the split that its name tells."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote

from agents.base.errors import InvalidData
from agents.base.row_budget import RowBudget
from agents.base.sources import counts_as_rows, is_skipped, matching_files
from agents.data.files.archives import is_workbook, is_zip, member_names
from agents.data.files.names import listed_names
from agents.data.files.packing import SUFFIXES
from agents.data.files.splits import SplitName, choose, split_of

#: Files beside rows that are not rows themselves.
NO_ROWS = frozenset(
    {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "config.json", "package.json"}
)
#: Pages about a data set, with any suffix.
PAGES = frozenset({"readme", "license", "licence", "citation", "changelog", "notice", "sources"})
#: Files that may be rows or a page of text: they are read where there are no others.
TEXTS = frozenset({"", ".txt", ".text", ".md", ".data", ".dat", ".yml", ".yaml"})
TRAINING_FIRST: dict[str | None, int] = {"train": 0, None: 0, "validation": 1, "test": 2}
#: Of files that are looked at to be named as left out.
OTHERS_MOST = 1000
NOT_ROWS, NOT_BY_NAME, BESIDE_ROWS = "it is a page about the data", "its name has no suffix of rows", "it is a text"
SKIPPED = "hidden files and those of the system are never read"
IN_AN_ARCHIVE = "an archive in an archive is not read: unpack it"
NOT_THIS_PART, OF_A_CACHE = "it is not the `part` that was named", "the folder's state.json doesn't name it"


class RowFile(NamedTuple):
    """A file to read. `name`: below the source, to tell it by; `member`: its name in the zip archive `path`; `label`:
    the folder that says what it is, of files that are a text each."""

    path: Path
    name: str
    split: SplitName | None = None
    member: str | None = None
    label: str | None = None
    columns: Mapping[str, str] = {}
    """Columns that are written in the names of its folders, as `label=spam/part-0.parquet`."""


class Found(NamedTuple):
    """What of a source is read, in this order, what is left out and why; `part`: what is to be looked for in files."""

    files: list[RowFile]
    left_out: dict[str, str] = {}
    part: str | None = None

    @property
    def size_bytes(self) -> int:
        """What they have on disk."""
        return sum(path.stat().st_size for path in {file.path for file in self.files})


def row_files(path: Path, budget: RowBudget | None = None, part: str | None = None) -> Found:
    """Return the files to read: the file itself, or those of a folder or zip archive that hold rows by their names.

    `part`: the files meant, as a pattern such as `en/*`; where none has such a name, it is one of something in them.

    Raises:
        InvalidData: a folder or archive without rows; a damaged archive.
    """
    budget = budget or RowBudget()
    if path.is_file():
        names = member_names(path, budget) if is_zip(path) else []
        if not names or is_workbook(names):
            return Found([RowFile(path, path.name)], part=part)
        return _chosen(f"The zip archive '{path.name}'", {name: Place(path, name) for name in names}, {}, part)
    kept, left_out = _saved(path, [file.relative_to(path).as_posix() for file in matching_files(path, "rows")])
    places = {name: place for file in kept for name, place in _places(path, file, budget)}
    return _chosen(f"The folder '{path.name}'", places, left_out | _others(path), part)


class Place(NamedTuple):
    """Where a file lies: at a path, or in the zip archive there."""

    path: Path
    member: str | None = None


def _places(folder: Path, name: str, budget: RowBudget) -> Iterator[tuple[str, Place]]:
    """Yield a file of a folder; of a zip archive, as competitions hand out, the files in it."""
    path = folder / name
    if not name.lower().endswith(".zip"):
        yield name, Place(path)
        return
    members = member_names(path, budget)
    if is_workbook(members):
        yield name, Place(path)
        return
    # An archive of one file is called as it is: `train.csv.zip`.
    yield from ((f"{name}/{member}", Place(path, member)) for member in members)


def _chosen(source: str, places: Mapping[str, Place], left_out: dict[str, str], part: str | None) -> Found:
    seen = [name for name in places if not any(is_skipped(step) for step in name.split("/"))]
    archives = {name: IN_AN_ARCHIVE for name in seen if places[name].member and name.lower().endswith(".zip")}
    seen = [name for name in seen if name not in archives]
    rows, others = _by_name(seen)
    others |= archives
    others |= {_skipped_part(name): SKIPPED for name in places if name not in seen and name not in archives}
    wanted = [name for name in seen if part is not None and fnmatchcase(name, part)]
    if wanted:
        others |= dict.fromkeys((name for name in rows if name not in wanted), NOT_THIS_PART)
        rows, part = wanted, None
    if not rows:
        held = f"; it has: {listed_names([*others, *left_out])}" if others or left_out else ""
        raise InvalidData(
            f"{source} holds no rows{held}.",
            cure="Put JSON lines, CSV, Parquet or .xlsx files there, or name one of its files as `part`.",
        )
    choice = choose(sorted(rows))
    labels = _labels(choice.taken)
    files = [
        RowFile(places[name].path, name, split, places[name].member, labels.get(name), _columns(name))
        for name, split in choice.taken.items()
    ]
    files.sort(key=lambda file: TRAINING_FIRST[file.split])
    return Found(files, {**choice.left_out, **others, **left_out}, part)


def _by_name(names: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return the names of rows, and why others are not: pages about them, and texts where there are tables."""
    pages = {name: NOT_ROWS for name in names if _is_page(name)}
    rest = [name for name in names if name not in pages]
    tables = [name for name in rest if counts_as_rows(name) and _suffix(name) not in TEXTS]
    texts = [name for name in rest if _suffix(name) in TEXTS]
    rows = tables or texts
    reasons = {name: BESIDE_ROWS if name in texts else NOT_BY_NAME for name in rest if name not in rows}
    return rows, pages | reasons


def _columns(name: str) -> dict[str, str]:
    """Return the columns that the folders of a partitioned table stand for, as Spark, Hive and pyarrow write them."""
    steps = (step.partition("=") for step in name.split("/")[:-1])
    return {column: unquote(cell) for column, sign, cell in steps if sign and column.isidentifier()}


def _labels(names: Iterable[str]) -> dict[str, str]:
    """Return the label of each file where a folder for each label holds a file for each text, as in `pos/1.txt`."""
    found: dict[str, str] = {}
    for name in names:
        *above, last = name.split("/")
        label = next((step for step in reversed(above) if split_of(step) is None), None)
        if label is None or split_of(last) or _suffix(name) not in {"", ".txt", ".text"}:
            return {}
        found[name] = label
    counts = Counter(found.values())
    return found if len(counts) > 1 and min(counts.values()) > 1 else {}


def _is_page(name: str) -> bool:
    last = PurePosixPath(name).name.lower()
    return last in NO_ROWS or (last.partition(".")[0] in PAGES and _suffix(name) in TEXTS | {".rst"})


def _suffix(name: str) -> str:
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes if suffix.lower() not in SUFFIXES]
    return suffixes[-1] if suffixes else ""


def _saved(folder: Path, names: list[str]) -> tuple[list[str], dict[str, str]]:
    """Of folders written by `save_to_disk` only the files count that their state names: others are caches."""
    kept, left_out = list(names), dict[str, str]()
    for state in (name for name in names if PurePosixPath(name).name == "state.json"):
        above = PurePosixPath(state).parent
        try:
            listed = json.loads((folder / state).read_text(encoding="utf-8"))["_data_files"]
            known = {str(above / str(file["filename"])) for file in listed}
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
        for name in names:
            if name.endswith(".arrow") and PurePosixPath(name).parent == above and name not in known:
                kept.remove(name)
                left_out[name] = OF_A_CACHE
    return kept, left_out


def _skipped_part(name: str) -> str:
    """Return the name of a file, or of its first folder that is skipped."""
    steps = name.split("/")
    last = next(place for place, step in enumerate(steps, start=1) if is_skipped(step))
    return "/".join(steps[:last]) + ("/" if last < len(steps) else "")


def _others(folder: Path) -> dict[str, str]:
    """Return files that don't count as rows by their names, and why."""
    found: dict[str, str] = {}
    for above, folders, names in os.walk(folder):
        here = Path(above).relative_to(folder)
        for name in sorted(name for name in folders if is_skipped(name)):
            found[f"{(here / name).as_posix()}/"] = SKIPPED
        folders[:] = sorted(name for name in folders if not is_skipped(name))
        for name in sorted(names):
            inside = (here / name).as_posix()
            if is_skipped(name):
                found[inside] = SKIPPED
            elif not counts_as_rows(name):
                found[inside] = NOT_ROWS if _is_page(inside) else NOT_BY_NAME
        if len(found) > OTHERS_MOST:
            break
    return found
