"""An upload as it comes: one file of a form goes to a file of ours, and the first byte too many ends it."""

import errno
from collections.abc import Callable
from typing import IO

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MAX_BOUNDARY_LENGTH, MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool

from agents.base.errors import InvalidRequest, NoSpace, TooLarge
from agents.base.names import checked_file_name

FULL = (errno.ENOSPC, errno.EDQUOT)
ONE_FILE = "Send one file, as the field `file`."


class FileOfForm:
    """Writes the one file of a form to `target` while the form is read."""

    def __init__(self, content_type: str, target: IO[bytes], limit_mib: int) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary or len(boundary) > MAX_BOUNDARY_LENGTH:
            raise InvalidRequest("The form has no boundary in its Content-Type.", cure=ONE_FILE)
        self.name: str | None = None
        self._target, self._limit_mib = target, limit_mib
        self._size = 0
        self._field = self._value = b""
        self._disposition: bytes | None = None
        self._has_ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._add_to_field,
                "on_header_value": self._add_to_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._begin_file,
                "on_part_data": self._write,
                "on_end": self._note_end,
            },
        )

    def feed(self, data: bytes) -> None:
        """Read on.

        Raises:
            InvalidRequest: no form, more than one file, another field, or a name that files can't have.
            TooLarge: the file is larger than the limit.
            NoSpace: the disk is full.
        """
        try:
            self._parser.write(data)
        except FormParserError as fault:
            raise InvalidRequest(f"The form can't be read: {fault}.", cure=ONE_FILE) from fault
        except OSError as fault:
            if fault.errno not in FULL:
                raise
            raise NoSpace("The disk of the API is full.", cure="Make room where its temporary files lie.") from fault

    def end(self) -> str:
        """Return the file's name, once the form was read.

        Raises:
            InvalidRequest: it had no file, an empty one, or broke off.
        """
        if self.name is None:
            raise InvalidRequest("The form has no file.", cure=ONE_FILE)
        if not self._has_ended:
            raise InvalidRequest("The form broke off.", cure="Send it again.")
        if self._size == 0:
            raise InvalidRequest(f"'{self.name}' is empty.")
        self._target.flush()
        return self.name

    def _note_end(self) -> None:
        self._has_ended = True

    def _begin_part(self) -> None:
        self._field = self._value = b""
        self._disposition = None

    def _add_to_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _add_to_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value
        self._field = self._value = b""

    def _begin_file(self) -> None:
        options = parse_options_header(self._disposition)[1]
        field, name = options.get(b"name", b"").decode(errors="replace"), options.get(b"filename")
        if name is None or field != "file":
            shown = field.encode("ascii", "backslashreplace").decode()[:60]
            raise InvalidRequest(f"The form has a field '{shown}' that is not taken.", cure=ONE_FILE)
        if self.name is not None:
            raise InvalidRequest("The form has more than one file.", cure="Send each in a form of its own.")
        self.name = file_name(name.decode(errors="replace"))

    def _write(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._size > self._limit_mib << 20:
            raise TooLarge(
                f"'{self.name}' is larger than {self._limit_mib} MiB.", cure="Raise TUNELINE_UPLOAD_LIMIT_MB."
            )
        self._target.write(data[start:end])


def file_name(given: str) -> str:
    """Return the name of an uploaded file, without the folders that some browsers send with it.

    Raises:
        InvalidRequest: it is none that a file can have.
    """
    try:
        return checked_file_name(given.replace("\\", "/").rpartition("/")[2])
    except ValueError as fault:
        raise InvalidRequest(f"The upload has no usable file name: {fault}", cure="Rename the file.") from fault


async def receive_file(request: Request, target: IO[bytes], limit_mib: int) -> str:
    """Write the one file of a request's form to `target`; return its name.

    Raises: as `FileOfForm.feed` and `FileOfForm.end`.
    """
    form = FileOfForm(request.headers.get("content-type", ""), target, limit_mib)
    feed: Callable[[bytes], None] = form.feed
    async for chunk in request.stream():
        # Disks may be slow, and others wait for the loop.
        await run_in_threadpool(feed, chunk)
    return await run_in_threadpool(form.end)
