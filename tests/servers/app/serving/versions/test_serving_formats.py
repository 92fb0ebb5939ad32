"""Serving answers with the fastest format that a version has, as the trained model would, and without torch."""

import subprocess
import sys
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.serving.main import create_app
from app.settings import ServingFormat
from app.wiring import Parts
from tests.conftest import REPOSITORY
from tests.support.loaded import load_adapter, load_merged
from tests.support.models import LABELS, TEXTS, stored, write_adapter
from tests.support.served import promote, write_onnx_formats, write_version


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, small_model: Path) -> dict[str, Path]:
    """A model that is sure of nothing, so that its scores tell, in each format."""
    folder = tmp_path_factory.mktemp("formats")
    model = load_adapter(write_adapter(folder / "adapter", small_model), small_model, LABELS, 32, cache_dir=folder)
    model.model.merge_and_unload().save_pretrained(folder / "merged")  # type: ignore[operator]
    model.tokenizer.save_pretrained(folder / "merged")
    return write_onnx_formats(folder / "merged", folder)


@pytest.fixture
def versions(parts: Parts, folders: dict[str, Path]) -> Parts:
    """Version 1 has all formats, version 2 no 8-bit one, version 3 only the merged one."""
    files = {form: stored(parts.objects, folder) for form, folder in folders.items()}
    merged, onnx, int8 = files["merged"], files["onnx"], files["onnx_int8"]
    write_version(parts, 1, merged, onnx=onnx, onnx_int8=int8)
    write_version(parts, 2, merged, onnx=onnx)
    write_version(parts, 3, merged)
    return parts


def served(parts: Parts, version: int, form: ServingFormat) -> tuple[str, list[dict[str, float]], dict[str, str]]:
    """Promote a version; return the format that answers, its scores for TEXTS, and the troubles."""
    promote(parts, version)
    settings = parts.settings.model_copy(update={"serving_format": form})
    app = create_app(parts.registry, parts.objects, settings, look_every_s=3600)
    app.state.serving.reconciler.follow()
    with TestClient(app) as client:
        models = client.get("/models").json()["models"]
        troubles = client.get("/health").json()["troubles"]
        answers = client.post("/predict/spam/batch", json={"texts": TEXTS}).json().get("predictions", [])
    return (models[0]["format"] if models else ""), [answer["scores"] for answer in answers], troubles


@pytest.mark.parametrize(
    ("version", "wanted", "form", "within"),
    [
        (1, "auto", "onnx_int8", 0.02),
        (2, "auto", "onnx", 1e-5),
        (3, "auto", "merged", 1e-5),
        (1, "onnx", "onnx", 1e-5),
        (1, "merged", "merged", 1e-5),
    ],
)
def test_the_best_format_there_is_answers_as_torch_does(
    versions: Parts, folders: dict[str, Path], version: int, wanted: ServingFormat, form: str, within: float
) -> None:
    expected = load_merged(folders["merged"], LABELS, 32, device="cpu").predict(TEXTS)
    found, scores, troubles = served(versions, version, wanted)

    assert (found, troubles) == (form, {})
    for mine, other in zip(scores, expected, strict=True):
        assert mine == pytest.approx(other.scores, abs=within)


def test_a_version_without_the_format_that_is_set_is_not_served_and_says_why(versions: Parts) -> None:
    form, _, troubles = served(versions, 3, "onnx_int8")

    assert form == ""
    assert "has no 'onnx_int8' format" in troubles["spam"]
    assert "TUNELINE_SERVING_FORMAT" in troubles["spam"]


def test_a_damaged_onnx_file_leaves_what_is_served(versions: Parts, folders: dict[str, Path]) -> None:
    broken = stored(versions.objects, folders["onnx"]) | {"model.onnx": versions.objects.put_artifact(b"no graph")}
    write_version(versions, 4, stored(versions.objects, folders["merged"]), onnx=broken)
    form, _, troubles = served(versions, 4, "auto")

    assert form == ""
    assert "The ONNX model can't be loaded" in troubles["spam"]


ASK = """
import sys
from fastapi.testclient import TestClient
from app.serving.main import create_app
from app.settings import Settings
from app.wiring import build_parts

parts = build_parts(Settings(_env_file=None))
app = create_app(parts.registry, parts.objects, parts.settings, look_every_s=3600)
app.state.serving.reconciler.follow()
with TestClient(app, "http://127.0.0.1", headers={"Authorization": f"Bearer {app.rules.key}"}) as client:
    assert client.post("/predict/spam", json={"text": "hello"}).status_code == 200
print(sorted({"torch", "transformers", "peft"} & set(sys.modules)))
"""


def test_a_process_that_serves_onnx_alone_never_imports_torch(versions: Parts) -> None:
    promote(versions, 1)
    done = subprocess.run(
        [sys.executable, "-c", ASK], check=True, capture_output=True, text=True, cwd=REPOSITORY, timeout=120
    )

    assert done.stdout.splitlines()[-1] == "[]"
