"""Downloads of archives: continued where they broke off, and unpacked only once they are whole.

A part file is named by the archive's ETag. The server is asked for the rest of that very archive (`If-Range`, RFC 9110
section 13.1.5); where it has another one by now, such as a new champion's, that comes whole.

Names come from the server, so they are checked like any others: a file is written below the folder or not at all.
"""

import glob
import hashlib
import json
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import httpx
from pydantic import ValidationError

from agents.base.beneath import move_below, write_below
from agents.base.errors import CorruptArtifact, InvalidRequest, NotAllowed, Unavailable
from agents.base.names import RelativeName, checked_file_name, printable
from agents.base.records import Artifact, Record

CHUNK_BYTES = 1 << 20
#: An ETag that can be a part of a file's name.
ETAG = re.compile(r"[A-Za-z0-9_-]{1,128}")
MANIFEST = "manifest.json"
#: What an archive has beside a format's files.
PAPERS = re.compile(r"manifest\.json|README\.md|pictures/[^/]+")
AGAIN = "Download it again."
#: Called with (received, total) bytes.
OnBytes = Callable[[int, int], None]


class ListedFile(Record):
    """A file as a manifest lists it."""

    path: RelativeName
    artifact: Artifact


def archive_label(name: str, version: str, format_: str) -> str:
    """Return the name that a download's files have in common, and its folder unless another is named.

    Raises:
        InvalidRequest: it is not a file's name.
    """
    try:
        return checked_file_name(f"{name}-{version}-{format_}")
    except ValueError as fault:
        raise InvalidRequest(str(fault)) from fault


def resume_headers(folder: Path, label: str) -> dict[str, str]:
    """Return headers that ask for what an unfinished download lacks; none where nothing was begun."""
    for part in _parts(folder, label):
        if size := part.stat().st_size:
            # From the last byte that is there: also of a whole archive there is then something to send.
            return {"Range": f"bytes={size - 1}-", "If-Range": f'"{part.name.split(".")[-2]}"'}
    return {}


def receive(response: httpx.Response, folder: Path, label: str, on_bytes: OnBytes | None) -> Path:
    """Write an archive that is being sent to its part file, after what is there of it; return the file.

    Raises:
        Unavailable: the answer is not one of Tuneline's, by its headers.
    """
    etag = response.headers.get("ETag", "").removeprefix("W/").strip('"')
    length = response.headers.get("Content-Length", "")
    if not ETAG.fullmatch(etag) or not re.fullmatch(r"[0-9]{1,18}", length):
        raise Unavailable("The answer to the download has no ETag or length of Tuneline's.", cure="Check the URL.")
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{label}.{etag}.part"
    for other in _parts(folder, label):
        if other != part:
            other.unlink()
    goes_on = response.status_code == httpx.codes.PARTIAL_CONTENT and part.is_file()
    start = part.stat().st_size - 1 if goes_on else 0
    total = start + int(length)
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
        CorruptArtifact: a file is not what the manifest says, or its name leads elsewhere; nothing was unpacked, and
            the archive is gone.
        NotAllowed: a link stands in a file's way.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unpacking-") as scratch:
        try:
            names = _unpacked(part, Path(scratch), format_)
        except CorruptArtifact:
            part.unlink()
            raise
        found = [move_below(Path(scratch), folder, name) for name in names]
    part.unlink()
    return found


def _unpacked(part: Path, folder: Path, format_: str) -> list[str]:
    """Write an archive's files into an empty folder; return their names."""
    names = []
    try:
        # Never a packed one: it may be a thousand times larger than what was sent.
        with tarfile.open(part, "r:") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                if content is None:
                    raise CorruptArtifact(f"'{printable(member.name)}' in the archive is not a file.", cure=AGAIN)
                with write_below(folder, member.name) as file:
                    shutil.copyfileobj(content, file, CHUNK_BYTES)
                names.append(member.name)
    except (tarfile.TarError, NotAllowed, ValueError) as fault:
        raise CorruptArtifact(f"The archive can't be unpacked: {printable(str(fault), 300)}.", cure=AGAIN) from fault
    if broken := _broken(folder, format_, names):
        raise CorruptArtifact(f"'{broken}' did not come as the manifest says.", cure=AGAIN)
    return names


def _broken(folder: Path, format_: str, names: list[str]) -> str | None:
    """Return the first file whose bytes have another digest than in the manifest beside them, or that is not in it."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = [ListedFile.model_validate(file) for file in manifest["formats"][format_]]
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return MANIFEST
    for file in files:
        if file.path not in names or _digest(folder / file.path) != file.artifact.sha256:
            return file.path
    listed = {file.path for file in files}
    return next((name for name in names if name not in listed and not PAPERS.fullmatch(name)), None)


def _digest(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _parts(folder: Path, label: str) -> list[Path]:
    return sorted(folder.glob(f".{glob.escape(label)}.*.part"))
