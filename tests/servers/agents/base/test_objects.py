"""The object store on a real S3 server."""

from pathlib import Path

import pytest

from agents.base.errors import CorruptArtifact, NotFound, Unavailable
from agents.base.objects import ObjectStore


def test_equal_bytes_are_one_artifact(objects: ObjectStore) -> None:
    first, second = objects.put_artifact(b"weights"), objects.put_artifact(b"weights")

    assert first == second
    assert objects.keys("artifacts/") == [objects.artifact_key(first.sha256)]
    assert objects.get_artifact(first) == b"weights"


def test_changed_bytes_are_refused_on_read(objects: ObjectStore, tmp_path: Path) -> None:
    artifact = objects.put_artifact(b"weights")
    objects.put(objects.artifact_key(artifact.sha256), b"WEIGHTS")

    with pytest.raises(CorruptArtifact, match="its digest is now"):
        objects.get_artifact(artifact)
    with pytest.raises(CorruptArtifact):
        objects.get_artifact_file(artifact, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_files_go_in_and_out_whole(objects: ObjectStore, tmp_path: Path) -> None:
    source = tmp_path / "model.bin"
    source.write_bytes(bytes(range(256)) * 40_000)

    artifact = objects.put_artifact_file(source)
    copy = objects.get_artifact_file(artifact, tmp_path / "a" / "copy.bin")

    assert copy.read_bytes() == source.read_bytes()
    assert artifact.size_bytes == 10_240_000


def test_ranges_give_just_the_bytes_asked_for(objects: ObjectStore) -> None:
    objects.put("some/key", b"0123456789")

    assert b"".join(objects.chunks("some/key", 3, 4)) == b"3456"


def test_missing_keys_are_not_found(objects: ObjectStore) -> None:
    assert objects.size("nowhere") is None
    with pytest.raises(NotFound, match="nowhere"):
        objects.get("nowhere")


def test_deleted_keys_are_gone_and_missing_ones_are_no_error(objects: ObjectStore) -> None:
    objects.put("a/b", b"x")
    objects.delete(["a/b", "never/there"])

    assert objects.keys("a/") == []


def test_a_silent_server_is_unavailable_with_its_address_and_a_cure() -> None:
    store = ObjectStore("http://127.0.0.1:9", "k", "s", "bucket", timeout_s=1)

    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9 doesn't answer.*TUNELINE_S3_ENDPOINT_URL"):
        store.size("key")


def test_wrong_keys_are_refused_with_the_settings_to_check(objects: ObjectStore) -> None:
    store = ObjectStore(objects.endpoint_url, "test-key", "wrong", objects.bucket, timeout_s=5)

    with pytest.raises(Unavailable, match="TUNELINE_S3_SECRET_KEY"):
        store.get("key")
