"""Zip archives: what is in one, and one file of it as bytes. Nothing is written to disk, nothing is nested."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from agents.base.beneath import open_file
from agents.base.confined import Limits, confined
from agents.base.errors import InvalidData
from agents.base.row_budget import RowBudget

ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
#: Each is looked for anew in the directory of the archive.
ENTRIES_MOST = 2_000
SMALLER = "Unpack it to a folder, and name that."
LARGE = "Unpack it to a folder and name that, save a spreadsheet's sheet as CSV, or raise TUNELINE_ROWS_UNPACKED_RATIO."
#: Of a directory of entries, in a process of its own.
LISTING = Limits(memory_mib=256, cpu_s=20, wall_s=60.0, memory_cure=SMALLER, time_cure=SMALLER, answer_cure=SMALLER)
#: A spreadsheet is a zip archive with one of these in it; so are documents of other kinds.
WORKBOOKS = frozenset({"xl/workbook.xml", "xl/workbook.bin", "content.xml"})
DOCUMENTS = {
    "word/document.xml": "a Word document",
    "ppt/presentation.xml": "a PowerPoint presentation",
    "META-INF/container.xml": "an e-book",
    "META-INF/MANIFEST.MF": "a Java archive",
}


def is_zip(path: Path) -> bool:
    """Say whether a file begins as a zip archive does."""
    with open_file(path) as file:
        return file.read(4) in ZIP_MAGIC


def member_names(path: Path, budget: RowBudget) -> list[str]:
    """Return the names of the files in a zip archive, in its order.

    Raises:
        InvalidData: it is damaged, or has more entries, or holds more bytes, than are read.
    """
    arguments = {"path": str(path), "ratio": budget.unpacked_ratio, "floor_mib": budget.unpacked_floor_mib}
    if budget.apart:
        return confined(list_members, arguments, LISTING, subject=f"The zip archive '{path.name}'")
    return list_members(str(path), budget.unpacked_ratio, budget.unpacked_floor_mib)


def list_members(path: str, ratio: int, floor_mib: int) -> list[str]:
    """Return the names of the files in an archive. What they become together is bounded by the archive's size."""
    name = Path(path).name
    with open_file(Path(path)) as raw:
        size_bytes = raw.seek(0, 2)
        try:
            with zipfile.ZipFile(raw) as archive:
                found = [entry for entry in archive.infolist() if not entry.is_dir()]
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, EOFError) as fault:
            raise _damaged(name) from fault
    if len(found) > ENTRIES_MOST:
        raise InvalidData(
            f"The zip archive '{name}' has {len(found):,} files in it; at most {ENTRIES_MOST:,} are read.", cure=SMALLER
        )
    most = (floor_mib << 20) + ratio * size_bytes
    if (whole := sum(entry.file_size for entry in found)) > most:
        raise InvalidData(
            f"The zip archive '{name}' of {size_bytes:,} bytes unpacks to {whole:,}, over {ratio} times its size.",
            cure=LARGE,
        )
    names = [entry.filename for entry in found]
    if what := next((DOCUMENTS[name] for name in names if name in DOCUMENTS), None):
        raise InvalidData(f"'{name}' is {what}, not a file of rows.", cure="Name a file of rows: JSON, CSV or .xlsx.")
    return names


def is_workbook(names: list[str]) -> bool:
    """Say whether the files in a zip archive make it a spreadsheet."""
    return not WORKBOOKS.isdisjoint(names)


@contextmanager
def open_member(raw: IO[bytes], name: str, member: str, budget: RowBudget) -> Iterator[tuple[IO[bytes], int]]:
    """Give a file of an archive, unpacked as it is read, and its size unpacked. It gives no more than that.

    Raises:
        InvalidData: also while reading: it has a password, is damaged, or holds much more than it seems to.
    """
    try:
        with zipfile.ZipFile(raw) as archive:
            entry = _entry(archive, name, member, budget)
            with _opened(archive, name, entry) as file:
                yield file, entry.file_size
    except (zipfile.BadZipFile, zlib.error) as fault:
        raise _damaged(name) from fault


def _entry(archive: zipfile.ZipFile, name: str, member: str, budget: RowBudget) -> zipfile.ZipInfo:
    try:
        entry = archive.getinfo(member)
    except KeyError as fault:
        raise InvalidData(f"The zip archive '{name}' has no '{member}'.", cure="Check its name.") from fault
    if entry.flag_bits & 1:
        raise InvalidData(f"'{member}' in '{name}' has a password.", cure=SMALLER)
    if entry.file_size > budget.unpacked_bytes(entry.compress_size):
        raise InvalidData(
            f"'{member}' in '{name}' of {entry.compress_size:,} bytes unpacks to {entry.file_size:,}, over "
            f"{budget.unpacked_ratio} times its size.",
            cure=LARGE,
        )
    return entry


def _opened(archive: zipfile.ZipFile, name: str, entry: zipfile.ZipInfo) -> IO[bytes]:
    try:
        return archive.open(entry)
    except NotImplementedError as fault:
        raise _damaged(name) from fault


def _damaged(name: str) -> InvalidData:
    return InvalidData(
        f"The zip archive '{name}' is damaged, or packed in an unknown way.", cure="Copy it or pack it again."
    )
