"""Downloads of archives: continued where they broke off, and unpacked only once they are whole.

A part file is named by the archive's ETag. The server is asked for the rest of that very archive (`If-Range`, RFC 9110
section 13.1.5); where it has another one by now, such as a new champion's, that comes whole.
"""

import glob
import hashlib
import json
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import httpx

from agents.base.errors import CorruptArtifact

CHUNK_BYTES = 1 << 20
#: Called with (received, total) bytes.
OnBytes = Callable[[int, int], None]


def resume_headers(folder: Path, label: str) -> dict[str, str]:
    """Return headers that ask for what an unfinished download lacks; none where nothing was begun."""
    for part in _parts(folder, label):
        if size := part.stat().st_size:
            # From the last byte that is there: also of a whole archive there is then something to send.
            return {"Range": f"bytes={size - 1}-", "If-Range": f'"{part.name.split(".")[-2]}"'}
    return {}


def receive(response: httpx.Response, folder: Path, label: str, on_bytes: OnBytes | None) -> Path:
    """Write an archive that is being sent to its part file, after what is there of it; return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    etag = response.headers["ETag"].strip('"')
    part = folder / f".{label}.{etag}.part"
    for other in _parts(folder, label):
        if other != part:
            other.unlink()
    start = part.stat().st_size - 1 if response.status_code == httpx.codes.PARTIAL_CONTENT else 0
    total = start + int(response.headers["Content-Length"])
    with part.open("r+b" if start else "wb") as file:
        file.seek(start)
        for chunk in response.iter_bytes(CHUNK_BYTES):
            file.write(chunk)
            if on_bytes:
                on_bytes(file.tell(), total)
    return part


def unpack(part: Path, folder: Path, format_: str) -> list[Path]:
    """Unpack a format's archive into a folder and remove it; a file gets its name once all are whole, in their order.

    Raises:
        CorruptArtifact: a file is not what the manifest says; nothing was unpacked, and the archive is gone.
    """
    found = []
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unpacking-") as scratch, tarfile.open(part) as archive:
        archive.extractall(scratch, filter="data")
        if broken := _broken(Path(scratch), format_):
            part.unlink()
            raise CorruptArtifact(f"'{broken}' did not come as the manifest says.", cure="Download it again.")
        for name in archive.getnames():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            found.append((Path(scratch) / name).replace(target))
    part.unlink()
    return found


def _broken(folder: Path, format_: str) -> str | None:
    """Return the first of a format's files whose bytes have another digest than in the manifest beside them."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for file in manifest["formats"][format_]:
        with (folder / file["path"]).open("rb") as content:
            if hashlib.file_digest(content, "sha256").hexdigest() != file["artifact"]["sha256"]:
                return str(file["path"])
    return None


def _parts(folder: Path, label: str) -> list[Path]:
    return sorted(folder.glob(f".{glob.escape(label)}.*.part"))
