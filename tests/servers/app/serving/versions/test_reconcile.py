"""Following the aliases, whatever is wrong with the files, the registry or Redis."""

import json
import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from agents.base.errors import NotFound
from agents.formats import formats_of
from agents.models.base_cache import SharedBases
from agents.models.kinds import ModelKind
from app.processes.embedded import start_valkey
from app.serving.main import create_app
from app.serving.versions.loading import Loader
from app.serving.versions.reconcile import Reconciler
from app.wiring import Parts, build_parts
from tests.support.models import stored
from tests.support.served import promote, write_version


@pytest.fixture
def reconciler(versions: Parts, tmp_path: Path) -> Reconciler:
    """A reconciler that serves version 1, and looks only when it is told to."""
    kinds: tuple[ModelKind, ...] = ("classifier", "decoder")
    formats = {kind: formats_of(kind) for kind in kinds}
    loader = Loader(versions.objects, tmp_path / "cache", SharedBases(versions.sources), formats)
    found = Reconciler(versions.registry, loader, retry_first_s=0.0)
    found.follow()
    assert found.find("spam").version == 1
    return found


def nan_weights(folder: Path, target: Path) -> Path:
    from safetensors.torch import load_file, save_file

    target.mkdir()
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    weights = load_file(target / "model.safetensors")
    weights["classifier.bias"].fill_(float("nan"))
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    return target


def test_damaged_weights_foreign_paths_and_broken_manifests_are_never_served(
    reconciler: Reconciler, versions: Parts, merged_folders: dict[int, Path], tmp_path: Path
) -> None:
    files = stored(versions.objects, merged_folders[2])
    write_version(versions, 3, stored(versions.objects, nan_weights(merged_folders[2], tmp_path / "nan")))
    write_version(versions, 4, files)
    write_version(versions, 5, {})
    write_version(versions, 6, files)
    write_version(versions, 7, files, task="sft")
    outside = {"path": "../outside", "artifact": files["config.json"].model_dump()}
    broken = {4: {"merged": [outside]}, 6: []}
    reasons = {
        3: "predictions that are not numbers",
        4: "formats.merged.0.path: '../outside' is not a name below a folder",
        5: "no 'onnx_int8' or 'onnx' or 'merged' or 'adapter' or 'linear' format",
        6: "manifest that can't be read",
        7: "does not say how to prompt it",
    }
    for version, reason in reasons.items():
        promote(versions, version)
        if version in broken:
            key = f"models/spam/versions/{version:06d}/manifest.json"
            versions.objects.put_manifest(key, {"verdict": "PROMOTE", "formats": broken[version]})
        reconciler.follow()
        assert reason in reconciler.troubles()["spam"]
        assert reconciler.find("spam").version == 1
    promote(versions, 2)
    reconciler.follow()

    assert (reconciler.find("spam").version, reconciler.troubles()) == (2, {})


def test_a_champion_of_a_task_that_is_not_served_is_no_trouble_of_serving(
    reconciler: Reconciler, versions: Parts, merged_folders: dict[int, Path]
) -> None:
    facts = {"name": "task", "version": 1, "task": "ranking", "labels": [], "max_tokens": 32, "metrics": {}}
    manifest = {**facts, "verdict": "PROMOTE", "reasons": [], "formats": {"merged": []}}
    versions.objects.put_manifest("models/task/versions/000001/manifest.json", manifest)
    versions.registry.rebuild()
    versions.registry.promote("task", 1, at=1.0, reason="test")
    reconciler.follow()

    assert reconciler.troubles() == {}
    with pytest.raises(NotFound, match=r"of task 'ranking'"):
        reconciler.find("task")


def test_going_back_from_a_broken_version_clears_its_trouble(reconciler: Reconciler, versions: Parts) -> None:
    write_version(versions, 3, {})
    promote(versions, 3)
    reconciler.follow()
    assert "spam" in reconciler.troubles()
    versions.registry.rollback("spam", at=2.0, reason="broken")
    reconciler.follow()

    assert reconciler.troubles() == {}


def test_a_version_that_failed_is_tried_again_later_and_not_at_every_look(
    reconciler: Reconciler, versions: Parts
) -> None:
    key = "models/spam/versions/000002/manifest.json"
    whole = versions.objects.get(key)
    weights = next(file for file in json.loads(whole)["formats"]["merged"] if file["path"] == "model.safetensors")
    lost = versions.objects.artifact_key(weights["artifact"]["sha256"])
    data = versions.objects.get(lost)
    versions.objects.delete([lost])
    promote(versions, 2)
    reconciler.retry_first_s = 3600.0
    reconciler.follow()
    assert "spam" in reconciler.troubles()
    versions.objects.put(lost, data)
    reconciler.follow()
    assert reconciler.find("spam").version == 1, "tried again before its time"
    again = Reconciler(versions.registry, reconciler.loader)
    again.follow()

    assert again.find("spam").version == 2


def test_a_changed_file_in_the_cache_is_fetched_anew_and_old_versions_are_swept(
    reconciler: Reconciler, versions: Parts
) -> None:
    (folder,) = reconciler.loader.cache_dir.iterdir()
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    Reconciler(versions.registry, reconciler.loader).follow()
    assert weights.read_bytes() == whole
    (reconciler.loader.cache_dir / "spam-9-0123456789ab").mkdir()
    (reconciler.loader.cache_dir / "spam-two-9-0123456789ab").mkdir()
    promote(versions, 2)
    reconciler.follow()

    names = {path.name.rpartition("-")[0] for path in reconciler.loader.cache_dir.iterdir()}
    assert names == {"spam-1", "spam-2", "spam-two-9"}


def test_a_redis_that_is_away_or_came_back_empty_changes_nothing_that_is_served(
    versions: Parts, tmp_path: Path
) -> None:
    (tmp_path / "own").mkdir()
    server = start_valkey(tmp_path / "own")
    own = build_parts(versions.settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{server.port}"}))
    promote(own, 1)
    app = create_app(own.registry, own.objects, own.settings, look_every_s=3600)
    reconciler = app.state.serving.reconciler
    reconciler.follow()
    own.connection.flushall()
    reconciler.follow()
    with TestClient(app) as client:
        emptied = client.get("/health").json()
        server.stop()
        started = time.monotonic()
        reconciler.follow()
        assert time.monotonic() - started < 10
        health = client.get("/health").json()
        answer = client.post("/predict/spam", json={"text": "x"})

    own.connection.close()
    assert (emptied["status"], emptied["models"]) == ("degraded", {"spam": 1})
    assert emptied["troubles"]["spam"].startswith("no champion alias is left")
    assert (health["status"], health["models"], sorted(health["troubles"])) == (
        "degraded",
        {"spam": 1},
        ["registry", "spam"],
    )
    assert (answer.status_code, answer.json()["version"]) == (200, 1)
