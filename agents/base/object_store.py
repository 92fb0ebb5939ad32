"""The object store: artifacts named by their sha256 and checked on every read; manifests by key.

The only S3 client of the project. Everything that is not an artifact (manifests, checkpoints,
archived logs) has a key of its own, and a set of objects counts only once its manifest is there.
"""

import copy
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.error import S3Error

from agents.base import bucket as keys
from agents.base.beneath import write_below
from agents.base.errors import CorruptArtifact, NotFound, Unavailable
from agents.base.records import Artifact
from agents.base.store_faults import MISSING_CODES, STORE_FAULTS, StorePlace, is_mute, store_code, store_error
from agents.base.store_http import StoreHttp
from agents.base.store_types import Entry, StoreAddress
from agents.base.strict_json import clean

CHUNK_BYTES = 1 << 20
#: Parts of one streamed upload; 5 MiB is the least that S3 takes.
PART_BYTES = 16 << 20
#: What stores say to a write that was to make an object which is there, and to conditions that they don't know.
THERE_CODES = {"PreconditionFailed", "ConditionalRequestConflict"}
UNKNOWN_CODES = {"NotImplemented", "InvalidArgument", "InvalidRequest"}
#: An artifact older than this is written again rather than reused: `tuneline gc` removes only older ones that
#: nothing refers to, so it never takes one that a running node has just decided to refer to.
REUSE_S = 12 * 3600.0


class ObjectStore:
    """One bucket of an S3 server.

    All methods raise `Unavailable` when the server doesn't answer for `patience_s` or refuses, `NoSpace` when it is
    full, and `NotFound` for a missing key or bucket. One answer may take `timeout_s`.
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
            http_client=StoreHttp(timeout_s=timeout_s, patience_s=patience_s),
        )

    def create_bucket(self) -> None:
        """Make the bucket unless it is there."""
        if not self.has_bucket():
            with self._errors(self.bucket, "s3:CreateBucket"):
                self._client.make_bucket(self.bucket)

    def has_bucket(self) -> bool:
        """Say whether the bucket is there."""
        with self._errors(self.bucket, "s3:ListBucket"):
            try:
                return bool(self._client.bucket_exists(self.bucket))
            except S3Error as fault:
                if is_mute(fault):
                    # Answers to HEAD have no words; a list that is refused for the same reason has.
                    next(iter(self._client.list_objects(self.bucket)), None)
                raise

    def require_bucket(self) -> None:
        """See that the bucket is there.

        Raises:
            NotFound: it isn't.
        """
        if not self.has_bucket():
            raise NotFound(
                f"The object store at {self.endpoint_url} has no bucket '{self.bucket}'.",
                cure="Make the bucket, or check TUNELINE_S3_BUCKET.",
            )

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
        with self._errors(key, "s3:PutObject"):
            self._client.put_object(self.bucket, key, io.BytesIO(data), len(data), content_type=media_type)

    def create(self, key: str, data: bytes, media_type: str = "application/octet-stream") -> bool:
        """Write a small object unless there is one; say whether it was written.

        It is looked for before, and stores that know conditions (`If-None-Match`) judge once more while they write.
        With another store two writers at the same moment can still both write.
        """
        if self._stat(key) is not None:
            return False
        with self._errors(key, "s3:PutObject"):
            try:
                self._put_if_absent(key, data, media_type)
            except STORE_FAULTS as fault:
                code = store_code(fault)
                if code in THERE_CODES:
                    return False
                if code not in UNKNOWN_CODES:
                    raise
                self._client.put_object(self.bucket, key, io.BytesIO(data), len(data), content_type=media_type)
        return True

    def _put_if_absent(self, key: str, data: bytes, media_type: str) -> None:
        # The client's own `put_object` takes no headers.
        headers = {"Content-Type": media_type, "If-None-Match": "*"}
        self._client._execute("PUT", self.bucket, key, body=data, headers=headers)

    def put_file(self, key: str, path: Path, media_type: str = "application/octet-stream") -> None:
        with self._errors(key, "s3:PutObject"):
            self._client.fput_object(self.bucket, key, str(path), content_type=media_type)

    def put_stream(self, key: str, stream: IO[bytes], media_type: str = "application/octet-stream") -> None:
        """Write an object of unknown length in parts; a broken stream leaves nothing visible."""
        with self._errors(key, "s3:PutObject"):
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
                found = self._stat_object(key)
        except NotFound:
            return None
        return Entry(key, int(found.size or 0), _age_s(found.last_modified))

    def etag(self, key: str) -> str:
        """Return the server's word for an object's present content: it changes when the content does."""
        with self._errors(key):
            found = self._stat_object(key)
            return f"{found.etag}-{found.size}-{found.last_modified}"

    def _stat_object(self, key: str) -> Any:
        try:
            return self._client.stat_object(self.bucket, key)
        except S3Error as fault:
            if is_mute(fault):
                # Answers to HEAD have no words; a read that is refused for the same reason has.
                self._client.get_object(self.bucket, key, length=1).close()
            raise

    def keys(self, prefix: str) -> list[str]:
        """Return all keys below a prefix, sorted."""
        with self._errors(prefix, "s3:ListBucket"):
            found = self._client.list_objects(self.bucket, prefix=prefix, recursive=True)
            return sorted(str(entry.object_name) for entry in found)

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Yield every object below a prefix."""
        with self._errors(prefix, "s3:ListBucket"):
            for found in self._client.list_objects(self.bucket, prefix=prefix, recursive=True):
                yield Entry(str(found.object_name), int(found.size or 0), _age_s(found.last_modified))

    def delete(self, keys: list[str]) -> None:
        """Remove objects; missing ones are not an error."""
        with self._errors(self.bucket, "s3:DeleteObject"):
            for fault in self._client.remove_objects(self.bucket, [DeleteObject(key) for key in keys]):
                if fault.code not in MISSING_CODES:
                    raise Unavailable(f"The object store did not delete '{fault.name}': {fault.message}.")

    def presigned_url(self, key: str, expires_s: int = 3600) -> str:
        """Return a URL that gives the object to whoever has it, for a while."""
        return str(self._client.presigned_get_object(self.bucket, key, expires=timedelta(seconds=expires_s)))

    # -- manifests -----------------------------------------------------------------------------

    def put_manifest(self, key: str, manifest: Mapping[str, Any]) -> None:
        """Write a manifest: last of its set, so that its presence means "complete"."""
        self.put(key, _manifest_bytes(manifest), "application/json")

    def create_manifest(self, key: str, manifest: Mapping[str, Any]) -> bool:
        """Write a manifest unless there is one; say whether it was written. As `create`."""
        return self.create(key, _manifest_bytes(manifest), "application/json")

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
    def _errors(self, key: str, action: str = "s3:GetObject") -> Iterator[None]:
        """Turn the client's faults into ours; `action`: the right in a bucket's policy that is used."""
        try:
            yield
        except STORE_FAULTS as fault:
            if isinstance(fault, OSError) and fault.filename is not None:
                # A file of this machine.
                raise
            address = self.address
            place = StorePlace(self.endpoint_url, self.bucket, address.region, address.timeout_s)
            raise store_error(fault, place, key, action) from fault


def _manifest_bytes(manifest: Mapping[str, Any]) -> bytes:
    return json.dumps(clean(manifest).value, indent=2, sort_keys=True).encode()


def _age_s(modified_at: datetime | None) -> float:
    return (datetime.now(UTC) - modified_at).total_seconds() if modified_at else 0.0


def _check(artifact: Artifact, sha256: str) -> None:
    if sha256 != artifact.sha256:
        raise CorruptArtifact(
            f"The artifact {artifact.sha256[:12]} was changed in the store: its digest is now {sha256[:12]}.",
            cure="Delete it and run the job again: the node that made it will run anew.",
        )
