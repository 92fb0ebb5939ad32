"""A tar archive made while it is sent: any byte range of it, without holding it or a copy on disk."""

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

from agents.base.errors import InvalidRequest
from agents.base.names import printable
from agents.base.object_store import ObjectStore
from agents.base.records import Artifact

BLOCK_BYTES = tarfile.BLOCKSIZE
#: One range of bytes; no archive has more of them than these digits can count.
RANGE = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})")


@dataclass(frozen=True)
class Segment:
    """A run of the archive's bytes: given here, or an object in the store."""

    length: int
    data: bytes = b""
    key: str = ""


def tar_segments(files: list[tuple[str, Artifact]]) -> list[Segment]:
    """Return the archive of named artifacts as segments; equal files give equal bytes."""
    segments = []
    for name, artifact in files:
        header = tarfile.TarInfo(name)
        header.size, header.mode = artifact.size_bytes, 0o644
        segments.append(_given(header.tobuf(tarfile.PAX_FORMAT)))
        segments.append(Segment(artifact.size_bytes, key=ObjectStore.artifact_key(artifact.sha256)))
        segments.append(_given(bytes(-artifact.size_bytes % BLOCK_BYTES)))
    return [*segments, _given(bytes(2 * BLOCK_BYTES))]


def total_bytes(segments: list[Segment]) -> int:
    """Return the archive's length."""
    return sum(segment.length for segment in segments)


def read_range(objects: ObjectStore, segments: list[Segment], start: int, length: int) -> Iterator[bytes]:
    """Yield `length` bytes of the archive from `start`."""
    for segment in segments:
        if length <= 0:
            return
        if start < segment.length:
            taken = min(length, segment.length - start)
            yield from (
                objects.chunks(segment.key, start, taken) if segment.key else [segment.data[start : start + taken]]
            )
            length -= taken
        start = max(0, start - segment.length)


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return (start, length) of a `Range: bytes=` header, or None where there is none.

    Raises:
        InvalidRequest: not one satisfiable range.
    """
    if header is None:
        return None
    found = RANGE.fullmatch(header.strip())
    if not found or not (found[1] or found[2]):
        raise InvalidRequest(f"'{printable(header)}' is not one byte range.", cure="Write it as bytes=1048576-.")
    if not found[1]:
        start, end = max(0, size - int(found[2])), size - 1
    else:
        start, end = int(found[1]), min(int(found[2] or size - 1), size - 1)
    if start >= size or end < start:
        raise InvalidRequest(f"'{printable(header)}' is outside of the {size:,} bytes there are.")
    return start, end - start + 1


def _given(data: bytes) -> Segment:
    return Segment(len(data), data)
