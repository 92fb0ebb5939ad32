"""Downloads that break off, at every point there is: nothing half-written, nothing mixed, and they go on."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from agents.base.errors import CorruptArtifact, InvalidRequest, NotAllowed, Unavailable
from app.api.main import create_app
from app.client import ApiError, Client
from app.downloads import OnBytes, receive, unpack
from app.wiring import Parts

WEIGHTS = {1: bytes(range(256)) * 12_000, 2: bytes(reversed(range(256))) * 12_000}


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    """An empty folder, beside the state folder of the API."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    return folder


@pytest.fixture
def sdk(parts: Parts) -> Iterator[Client]:
    """A client of an API with two versions of the same size, version 1 being champion."""
    for version, weights in WEIGHTS.items():
        files = {"model.safetensors": weights, "config.json": b'{"version": %d}' % version}
        listed = [{"path": path, "artifact": parts.objects.put_artifact(b).model_dump()} for path, b in files.items()]
        manifest = {
            "name": "spam",
            "version": version,
            "verdict": "PROMOTE",
            "metrics": {},
            "formats": {"merged": listed},
        }
        parts.objects.put_manifest(f"models/spam/versions/{version:06d}/manifest.json", manifest)
    parts.registry.rebuild()
    parts.registry.promote("spam", 1, at=1.0, reason="test")
    with TestClient(create_app(parts), raise_server_exceptions=False) as api:
        client = Client()
        client._api.close()
        client._api = api
        yield client


def broken_off_at(share: float) -> OnBytes:
    """Return a listener that presses Ctrl-C when so much has come."""

    def listen(received: int, total: int) -> None:
        if received >= share * total:
            raise KeyboardInterrupt

    return listen


def break_off(sdk: Client, folder: Path, share: float) -> None:
    with pytest.raises(KeyboardInterrupt):
        sdk.download("spam", "champion", "merged", folder, broken_off_at(share))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0], ids=["at the start", "in the middle", "before it is unpacked"])
def test_a_download_that_broke_off_goes_on_and_leaves_nothing_half(sdk: Client, downloads: Path, share: float) -> None:
    break_off(sdk, downloads, share)
    (part,) = downloads.iterdir()
    had = part.stat().st_size
    sizes: list[tuple[int, int]] = []
    files = sdk.download("spam", "champion", "merged", downloads, lambda *size: sizes.append(size))

    assert part.name.startswith(".spam-champion-merged.")
    # The last byte that was there comes again; of a whole archive it is the only one.
    assert sizes[0][0] > had - 1
    assert sizes[-1] == (sizes[0][1], sizes[0][1])
    assert [file.name for file in files] == ["model.safetensors", "config.json", "manifest.json"]
    assert files[0].read_bytes() == WEIGHTS[1]
    assert names(downloads) == ["config.json", "manifest.json", "model.safetensors"]


def test_a_champion_that_changed_meanwhile_is_fetched_whole(sdk: Client, parts: Parts, downloads: Path) -> None:
    break_off(sdk, downloads, 0.5)
    parts.registry.promote("spam", 2, at=2.0, reason="better")
    sdk.download("spam", "champion", "merged", downloads)

    assert (downloads / "model.safetensors").read_bytes() == WEIGHTS[2]
    assert names(downloads) == ["config.json", "manifest.json", "model.safetensors"]


def test_bytes_that_changed_on_the_way_are_thrown_away_and_fetched_again(sdk: Client, downloads: Path) -> None:
    break_off(sdk, downloads, 0.5)
    (part,) = downloads.iterdir()
    with part.open("r+b") as file:
        file.seek(5000)
        file.write(b"other bytes")
    with pytest.raises(CorruptArtifact, match=r"'model\.safetensors' did not come as the manifest says"):
        sdk.download("spam", "champion", "merged", downloads)

    assert names(downloads) == []
    assert sdk.download("spam", "champion", "merged", downloads)[0].read_bytes() == WEIGHTS[1]


def test_a_second_download_gives_the_same_files_and_a_refused_one_none(sdk: Client, downloads: Path) -> None:
    for _ in range(2):
        files = sdk.download("spam", "1", "merged", downloads / "out")
        assert files[0].read_bytes() == WEIGHTS[1]
    with pytest.raises(ApiError, match=r"has no format 'onxx'\. It has: merged"):
        sdk.download("spam", "1", "onxx", downloads / "none")

    assert names(downloads) == ["out"]


def archived(folder: Path, entries: dict[str, bytes | tarfile.TarInfo], *, packed: bool = False) -> Path:
    """Write an archive that a hostile server may send, with a manifest of what is in it; return it."""
    part = folder / "part"
    listed = [
        {"path": name, "artifact": {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}}
        for name, content in entries.items()
        if isinstance(content, bytes) and name != "manifest.json"
    ]
    manifest = json.dumps({"formats": {"merged": listed}}).encode()
    with tarfile.open(part, "w:gz" if packed else "w") as archive:
        for name, content in {"manifest.json": manifest, **entries}.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return part


def special(name: str, kind: bytes, target: str = "") -> dict[str, bytes | tarfile.TarInfo]:
    header = tarfile.TarInfo(name)
    header.type, header.linkname = kind, target
    return {name: header}


@pytest.mark.parametrize(
    "entries",
    [
        *(
            {name: b"x"}
            for name in ("../x", "/tmp/x", ".bashrc", "a/../../x", "C:x", "a\\b", "x\nb", "con", "a/.git/x")
        ),
        {"x" * 300: b"x"},
        special("x", tarfile.SYMTYPE, "/etc"),
        special("x", tarfile.LNKTYPE, "manifest.json"),
        special("x", tarfile.FIFOTYPE),
        special("x", tarfile.CHRTYPE),
        {"manifest.json": b"{}"},
        {"manifest.json": b"[" * 100},
    ],
    ids=lambda entries: ascii(next(iter(entries)))[:20],
)
def test_no_archive_writes_anything_but_the_files_of_its_manifest(
    downloads: Path, entries: dict[str, bytes | tarfile.TarInfo]
) -> None:
    folder = downloads / "folder"
    folder.mkdir()
    part = archived(folder, entries)
    with pytest.raises(CorruptArtifact, match="Download it again"):
        unpack(part, folder, "merged")

    assert list(folder.iterdir()) == []
    assert names(downloads) == ["folder"]


def test_files_that_the_manifest_does_not_list_are_refused(downloads: Path) -> None:
    manifest = json.dumps({"formats": {"merged": []}}).encode()
    with pytest.raises(CorruptArtifact, match="'evil' did not come as the manifest says"):
        unpack(archived(downloads, {"manifest.json": manifest, "evil": b"x"}), downloads, "merged")
    with pytest.raises(CorruptArtifact):
        unpack(archived(downloads, {"model": b"x"}, packed=True), downloads, "merged")


def test_a_link_in_the_users_folder_is_not_followed(downloads: Path) -> None:
    folder = downloads / "folder"
    folder.mkdir()
    (downloads / "outside").mkdir()
    (folder / "a").symlink_to(downloads / "outside")
    with pytest.raises(NotAllowed, match="stands in its way"):
        unpack(archived(folder, {"a/model": b"x"}), folder, "merged")

    assert names(downloads / "outside") == []


@pytest.mark.parametrize("etag", ["", "x/../../evil", "..", "a.b", 'W/"../x"', "é", "x" * 200])
def test_an_etag_that_is_no_name_names_no_file(downloads: Path, etag: str) -> None:
    headers = {"ETag": etag.encode("latin-1"), "Content-Length": "1"}
    with pytest.raises(Unavailable, match="no ETag or length"):
        receive(httpx.Response(200, headers=headers, content=b"x"), downloads, "spam-1-merged", None)

    assert names(downloads) == []


@pytest.mark.parametrize("name", ["../x", "a/b", "", "a\x00", ".hidden", "x" * 300])
def test_a_download_is_named_by_a_file_name(sdk: Client, downloads: Path, name: str) -> None:
    with pytest.raises((InvalidRequest, ApiError)):
        sdk.download(name, "1", "merged", downloads / "out")

    assert names(downloads) == []


def test_a_file_with_a_long_name_is_sent_and_unpacked(sdk: Client, parts: Parts, downloads: Path) -> None:
    long = f"{'a' * 120}/{'b' * 200}"
    artifact = parts.objects.put_artifact(b"long").model_dump()
    manifest = {"name": "spam", "version": 3, "verdict": "PROMOTE", "metrics": {}}
    manifest["formats"] = {"merged": [{"path": long, "artifact": artifact}]}
    parts.objects.put_manifest("models/spam/versions/000003/manifest.json", manifest)
    parts.registry.rebuild()

    assert sdk.download("spam", "3", "merged", downloads)[0].read_bytes() == b"long"
