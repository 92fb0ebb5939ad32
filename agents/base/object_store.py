"""The object store: artifacts named by their sha256 and checked on every read; manifests by key.

The only S3 client of the project. Everything that is not an artifact (manifests, checkpoints,
archived logs) has a key of its own, and a set of objects counts only once its manifest is there.
"""

import copy
import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.error import InvalidResponseError, MinioException, S3Error
from pydantic import Field
from urllib3.exceptions import HTTPError

from agents.base import bucket as keys
from agents.base.beneath import write_below
from agents.base.errors import CorruptArtifact, NoSpace, NotFound, Unavailable
from agents.base.records import Artifact, Record
from agents.base.strict_json import clean

CHUNK_BYTES = 1 << 20
#: Parts of one streamed upload; 5 MiB is the least that S3 takes.
PART_BYTES = 16 << 20
MISSING_CODES = {"NoSuchKey", "NoSuchBucket", "NoSuchObject", "NotFound"}
FULL_CODES = {"XMinioStorageFull", "InsufficientStorage", "QuotaExceeded"}
KEYS_CURE = "Check TUNELINE_S3_ACCESS_KEY, TUNELINE_S3_SECRET_KEY and the bucket's policy."
OTHER_CURE = "Look at its own log; a full disk is a common cause (`tuneline gc` says what can go)."
KEY_CODES = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AllAccessDisabled"}
#: Longest pause between two tries to reach a server that is away, in seconds.
PAUSE_MOST_S = 5.0
#: An artifact older than this is written again rather than reused: `tuneline gc` removes only older ones that
#: nothing refers to, so it never takes one that a running node has just decided to refer to.
REUSE_S = 12 * 3600.0


class Entry(NamedTuple):
    """One object in a listing; `age_s` by the store's own clock."""

    key: str
    size_bytes: int
    age_s: float


class StoreAddress(Record):
    """What another process needs to make the same store: `ObjectStore(**address.model_dump())`."""

    endpoint_url: str
    access_key: str
    secret_key: str = Field(repr=False)
    bucket: str
    region: str
    timeout_s: float
    patience_s: float


class ObjectStore:
    """One bucket of an S3 server.

    All methods raise `Unavailable` when the server doesn't answer for `patience_s`, `NoSpace` when it is full,
    and `NotFound` for a missing key.
    """

    def __init__(
        self,
        endpoint_url: str,
        access_key: str,
        secret_key: str,
        bucket: str,
        *,
        region: str = "us-east-1",
        timeout_s: float = 30.0,
        patience_s: float = 0.6,
    ) -> None:
        url = urlsplit(endpoint_url)
        self.address = StoreAddress(
            endpoint_url=endpoint_url,
            access_key=access_key,
            secret_key=secret_key,
            bucket=bucket,
            region=region,
            timeout_s=timeout_s,
            patience_s=patience_s,
        )
        self.endpoint_url = endpoint_url
        self.bucket = bucket
        self._client = Minio(
            url.netloc,
            access_key,
            secret_key,
            secure=url.scheme == "https",
            region=region,
            http_client=urllib3.PoolManager(
                timeout=urllib3.Timeout(connect=3.0, read=timeout_s),
                maxsize=16,
                retries=_retries(patience_s),
            ),
        )

    def create_bucket(self) -> None:
        """Make the bucket unless it is there."""
        with self._errors(self.bucket):
            if not self._client.bucket_exists(self.bucket):
                self._client.make_bucket(self.bucket)

    def in_bucket(self, bucket: str) -> "ObjectStore":
        """Return another bucket of the same server, over the same connections."""
        other = copy.copy(self)
        other.bucket = bucket
        other.address = self.address.model_copy(update={"bucket": bucket})
        return other

    # -- artifacts: by digest ------------------------------------------------------------------

    @staticmethod
    def artifact_key(sha256: str) -> str:
        return keys.artifact(sha256)

    def put_artifact(self, data: bytes, media_type: str = "application/octet-stream") -> Artifact:
        """Store bytes under their digest; storing the same bytes twice writes once."""
        artifact = Artifact(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data), media_type=media_type)
        if not self._is_fresh(artifact):
            self.put(self.artifact_key(artifact.sha256), data, media_type)
        return artifact

    def put_artifact_file(self, path: Path, media_type: str = "application/octet-stream") -> Artifact:
        """Store a file under its digest without holding it in memory."""
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        artifact = Artifact(sha256=sha256, size_bytes=path.stat().st_size, media_type=media_type)
        if not self._is_fresh(artifact):
            self.put_file(self.artifact_key(sha256), path, media_type)
        return artifact

    def put_json(self, value: Any) -> Artifact:
        """Store a value as JSON with sorted keys, so that equal values are one artifact."""
        data = json.dumps(clean(value).value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
        return self.put_artifact(data, "application/json")

    def has_artifact(self, artifact: Artifact) -> bool:
        """Say whether the artifact's bytes are there, by key and size."""
        return self.size(self.artifact_key(artifact.sha256)) == artifact.size_bytes

    def _is_fresh(self, artifact: Artifact) -> bool:
        found = self._stat(self.artifact_key(artifact.sha256))
        return found is not None and found.size_bytes == artifact.size_bytes and found.age_s < REUSE_S

    def get_artifact(self, artifact: Artifact) -> bytes:
        """Return an artifact's bytes, checked against its digest.

        Raises:
            CorruptArtifact: the bytes don't match the digest.
        """
        data = self.get(self.artifact_key(artifact.sha256))
        _check(artifact, hashlib.sha256(data).hexdigest())
        return data

    def get_artifact_file(self, artifact: Artifact, path: Path) -> Path:
        """Write an artifact to `path`, checked against its digest; return `path`.

        Raises:
            CorruptArtifact: the bytes don't match the digest; what is at `path` stays as it was.
        """
        with write_below(path.parent, path.name) as file:
            self.copy_artifact(artifact, file)
        return path

    def copy_artifact(self, artifact: Artifact, file: IO[bytes]) -> None:
        """Write an artifact's bytes into a file, checked against its digest.

        Raises:
            CorruptArtifact: the bytes don't match the digest; they are all written by then.
        """
        digest = hashlib.sha256()
        for chunk in self.chunks(self.artifact_key(artifact.sha256)):
            digest.update(chunk)
            file.write(chunk)
        _check(artifact, digest.hexdigest())

    def get_json(self, artifact: Artifact) -> Any:
        """Return the value of a JSON artifact."""
        return json.loads(self.get_artifact(artifact))

    # -- objects: by key -----------------------------------------------------------------------

    def put(self, key: str, data: bytes, media_type: str = "application/octet-stream") -> None:
        """Write an object whole: readers see the old bytes or the new, never a part."""
        with self._errors(key):
            self._client.put_object(self.bucket, key, io.BytesIO(data), len(data), content_type=media_type)

    def put_file(self, key: str, path: Path, media_type: str = "application/octet-stream") -> None:
        with self._errors(key):
            self._client.fput_object(self.bucket, key, str(path), content_type=media_type)

    def put_stream(self, key: str, stream: IO[bytes], media_type: str = "application/octet-stream") -> None:
        """Write an object of unknown length in parts; a broken stream leaves nothing visible."""
        with self._errors(key):
            self._client.put_object(self.bucket, key, stream, -1, content_type=media_type, part_size=PART_BYTES)

    def get(self, key: str) -> bytes:
        return b"".join(self.chunks(key))

    def chunks(self, key: str, start: int = 0, length: int = 0) -> Iterator[bytes]:
        """Yield an object's bytes from `start`, `length` of them (0: to the end)."""
        with self._errors(key):
            response = self._client.get_object(self.bucket, key, offset=start, length=length)
            try:
                yield from response.stream(CHUNK_BYTES)
            finally:
                response.close()
                response.release_conn()

    def size(self, key: str) -> int | None:
        """Return an object's size in bytes, or None where there is no such object."""
        found = self._stat(key)
        return None if found is None else found.size_bytes

    def _stat(self, key: str) -> Entry | None:
        try:
            with self._errors(key):
                found = self._client.stat_object(self.bucket, key)
        except NotFound:
            return None
        return Entry(key, int(found.size or 0), _age_s(found.last_modified))

    def etag(self, key: str) -> str:
        """Return the server's word for an object's present content: it changes when the content does."""
        with self._errors(key):
            found = self._client.stat_object(self.bucket, key)
            return f"{found.etag}-{found.size}-{found.last_modified}"

    def keys(self, prefix: str) -> list[str]:
        """Return all keys below a prefix, sorted."""
        with self._errors(prefix):
            found = self._client.list_objects(self.bucket, prefix=prefix, recursive=True)
            return sorted(str(entry.object_name) for entry in found)

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Yield every object below a prefix."""
        with self._errors(prefix):
            for found in self._client.list_objects(self.bucket, prefix=prefix, recursive=True):
                yield Entry(str(found.object_name), int(found.size or 0), _age_s(found.last_modified))

    def delete(self, keys: list[str]) -> None:
        """Remove objects; missing ones are not an error."""
        with self._errors(self.bucket):
            for fault in self._client.remove_objects(self.bucket, [DeleteObject(key) for key in keys]):
                if fault.code not in MISSING_CODES:
                    raise Unavailable(f"The object store did not delete '{fault.name}': {fault.message}.")

    def presigned_url(self, key: str, expires_s: int = 3600) -> str:
        """Return a URL that gives the object to whoever has it, for a while."""
        return str(self._client.presigned_get_object(self.bucket, key, expires=timedelta(seconds=expires_s)))

    # -- manifests -----------------------------------------------------------------------------

    def put_manifest(self, key: str, manifest: Mapping[str, Any]) -> None:
        """Write a manifest: last of its set, so that its presence means "complete"."""
        self.put(key, json.dumps(clean(manifest).value, indent=2, sort_keys=True).encode(), "application/json")

    def get_manifest(self, key: str) -> dict[str, Any]:
        """Return a manifest.

        Raises:
            NotFound: the set was never completed.
            CorruptArtifact: the manifest is not JSON.
        """
        try:
            manifest: dict[str, Any] = json.loads(self.get(key))
        except ValueError as fault:
            raise CorruptArtifact(f"The manifest '{key}' is not JSON.") from fault
        return manifest

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except (HTTPError, MinioException, OSError) as fault:
            if isinstance(fault, FileNotFoundError):
                raise
            code = _s3_code(fault)
            if code in MISSING_CODES:
                raise NotFound(f"The object store has no '{key}'.") from fault
            if code in FULL_CODES:
                raise NoSpace(
                    f"The object store at {self.endpoint_url} is full: '{key}' was not written.",
                    cure="Make room there (`tuneline gc` says what nothing refers to), then retry the job.",
                ) from fault
            if code:
                raise Unavailable(
                    f"The object store at {self.endpoint_url} refused '{key}': {code}.",
                    cure=KEYS_CURE if code in KEY_CODES else OTHER_CURE,
                ) from fault
            raise Unavailable(
                f"The object store at {self.endpoint_url} doesn't answer.",
                cure="Start it, or check TUNELINE_S3_ENDPOINT_URL.",
            ) from fault


def _s3_code(fault: Exception) -> str | None:
    """Return the server's own word for what was wrong, or None where it didn't answer properly.

    rclone answers `text/xml`, which the client takes for no S3 answer: its code is in the body.
    """
    if isinstance(fault, S3Error):
        return str(fault.code)
    found = re.search(r"<Code>(\w+)</Code>", str(fault)) if isinstance(fault, InvalidResponseError) else None
    return found[1] if found else None


def _retries(patience_s: float) -> urllib3.Retry:
    """Return tries whose pauses (0.2, 0.4, 0.8 ... at most 5 s) add up to about `patience_s`."""
    pauses, total = 0.0, 0
    while pauses < patience_s:
        pauses += min(0.2 * 2**total, PAUSE_MOST_S)
        total += 1
    return urllib3.Retry(
        total=total,
        backoff_factor=0.2,
        backoff_max=PAUSE_MOST_S,
        status_forcelist=[502, 503, 504],
        allowed_methods=None,
    )


def _age_s(modified_at: datetime | None) -> float:
    return (datetime.now(UTC) - modified_at).total_seconds() if modified_at else 0.0


def _check(artifact: Artifact, sha256: str) -> None:
    if sha256 != artifact.sha256:
        raise CorruptArtifact(
            f"The artifact {artifact.sha256[:12]} was changed in the store: its digest is now {sha256[:12]}.",
            cure="Delete it and run the job again: the node that made it will run anew.",
        )
