"""How much a file of rows may hold and unpack to, before anything is built of it."""

from agents.base.records import Record


class RowBudget(Record):
    """Bounds of every reader of rows; the first four are settings (`TUNELINE_ROWS_...`)."""

    unpacked_ratio: int = 200
    """A file may become so many times its size on disk, unpacked and as rows that are written; small ones more."""
    memory_mib: int = 2048
    """What a JSON document may take while it is read."""
    columns: int = 10_000
    cell_mib: int = 10
    """Of one cell or line, in millions of characters."""
    apart: bool = True
    """Parquet is unpacked in a process of its own; False: this one has limits already."""
    batch_rows: int = 1000
    """Of a Parquet file at once, and fewer where they are large."""
    memory_setting: str = "TUNELINE_ROWS_MEMORY_MIB"
    """What raises `memory_mib` here."""
    depth: int = 100
    """Of lists and objects in a cell, inside each other."""
    unpacked_floor_mib: int = 64
    """What any file may become, however small it is."""
    name_characters: int = 1_000
    """Of the name of a column."""
    first_line_characters: int = 1 << 20
    """Of the first line of a table, by which its columns are known."""
    sample_characters: int = 8 << 20
    """Of the first rows, by which columns and shape are found."""

    @property
    def batch_mib(self) -> int:
        """What some rows of a Parquet file may take while they are unpacked."""
        return min(512, self.memory_mib // 2)

    @property
    def cell_characters(self) -> int:
        return self.cell_mib << 20

    def unpacked_bytes(self, size_bytes: int) -> int:
        """Return what a file of this size on disk may become."""
        return (self.unpacked_floor_mib << 20) + self.unpacked_ratio * size_bytes
