"""Files of rows for tests: written, read, and what reading has found."""

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from agents.base.row_budget import RowBudget
from agents.data.files.folders import row_files
from agents.data.reader import RowsReader
from agents.data.types import Row
from agents.dataset.types import DatasetConfig
from tests.fuzz.parsers import Quiet


def read_rows(folder: Path, rows: list[dict[str, Any]], **config: Any) -> tuple[RowsReader, list[Row]]:
    """Write rows as JSON lines, and read them."""
    return read_text(folder, "".join(json.dumps(row) + "\n" for row in rows), "rows.jsonl", **config)


def read_text(folder: Path, content: str, name: str, **config: Any) -> tuple[RowsReader, list[Row]]:
    (folder / name).write_text(content, encoding="utf-8")
    return _read(folder / name, config)


def read_table(folder: Path, table: pyarrow.Table, **config: Any) -> tuple[RowsReader, list[Row]]:
    """Write rows as Parquet, and read them in this process."""
    pyarrow.parquet.write_table(table, folder / "rows.parquet")
    return _read(folder / "rows.parquet", config)


def _read(path: Path, config: dict[str, Any]) -> tuple[RowsReader, list[Row]]:
    found = DatasetConfig.model_validate({"source": path.name, **config})
    reader = RowsReader(found, Quiet(), row_files(path), RowBudget(apart=False))
    return reader, list(reader.rows())
