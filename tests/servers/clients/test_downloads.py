"""Downloads that break off, at every point there is: nothing half-written, nothing mixed, and they go on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from agents.base.errors import CorruptArtifact
from app.api.main import create_app
from app.client import ApiError, Client
from app.downloads import OnBytes
from app.wiring import Parts

WEIGHTS = {1: bytes(range(256)) * 12_000, 2: bytes(reversed(range(256))) * 12_000}


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
def test_a_download_that_broke_off_goes_on_and_leaves_nothing_half(sdk: Client, tmp_path: Path, share: float) -> None:
    break_off(sdk, tmp_path, share)
    (part,) = tmp_path.iterdir()
    had = part.stat().st_size
    sizes: list[tuple[int, int]] = []
    files = sdk.download("spam", "champion", "merged", tmp_path, lambda *size: sizes.append(size))

    assert part.name.startswith(".spam-champion-merged.")
    # The last byte that was there comes again; of a whole archive it is the only one.
    assert sizes[0][0] > had - 1
    assert sizes[-1] == (sizes[0][1], sizes[0][1])
    assert [file.name for file in files] == ["model.safetensors", "config.json", "manifest.json"]
    assert files[0].read_bytes() == WEIGHTS[1]
    assert names(tmp_path) == ["config.json", "manifest.json", "model.safetensors"]


def test_a_champion_that_changed_meanwhile_is_fetched_whole(sdk: Client, parts: Parts, tmp_path: Path) -> None:
    break_off(sdk, tmp_path, 0.5)
    parts.registry.promote("spam", 2, at=2.0, reason="better")
    sdk.download("spam", "champion", "merged", tmp_path)

    assert (tmp_path / "model.safetensors").read_bytes() == WEIGHTS[2]
    assert names(tmp_path) == ["config.json", "manifest.json", "model.safetensors"]


def test_bytes_that_changed_on_the_way_are_thrown_away_and_fetched_again(sdk: Client, tmp_path: Path) -> None:
    break_off(sdk, tmp_path, 0.5)
    (part,) = tmp_path.iterdir()
    with part.open("r+b") as file:
        file.seek(5000)
        file.write(b"other bytes")
    with pytest.raises(CorruptArtifact, match=r"'model\.safetensors' did not come as the manifest says"):
        sdk.download("spam", "champion", "merged", tmp_path)

    assert names(tmp_path) == []
    assert sdk.download("spam", "champion", "merged", tmp_path)[0].read_bytes() == WEIGHTS[1]


def test_a_second_download_gives_the_same_files_and_a_refused_one_none(sdk: Client, tmp_path: Path) -> None:
    for _ in range(2):
        files = sdk.download("spam", "1", "merged", tmp_path / "out")
        assert files[0].read_bytes() == WEIGHTS[1]
    with pytest.raises(ApiError, match=r"has no format 'onxx'\. It has: merged"):
        sdk.download("spam", "1", "onxx", tmp_path / "none")

    assert names(tmp_path) == ["out"]
