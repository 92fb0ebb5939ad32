"""Every key of the object store: made here, read here, and nowhere else.

artifacts/<two digits>/<sha256>                       bytes by their digest
checkpoints/<job>/<node>/                             what a node keeps to go on from:
    step_<step>/attempt_<attempt>/<file>                  a training's checkpoint
    rows_<start>/attempt_<attempt>.json                   rows that were generated
datasets/<id>/manifest.json                           an uploaded dataset
jobs/<job>/log.jsonl                                  the log of a job that ended
models/<model>/versions/<version>/manifest.json       a version of a model
models/<model>/aliases.json                           a copy of the model's aliases
doctor/<id>                                           written, read and deleted by `tuneline doctor`
installation.json                                     whose bucket this is
"""

import re
from typing import NamedTuple

ARTIFACTS, CHECKPOINTS, DATASETS, JOBS, MODELS = "artifacts/", "checkpoints/", "datasets/", "jobs/", "models/"
MANIFEST = "manifest.json"
#: Written once, and again by `tuneline registry rebuild` and `adopt`.
INSTALLATION = "installation.json"

_CHECKPOINT = re.compile(r"^(?P<folder>.*/step_(?P<step>\d{8,})/attempt_(?P<attempt>\d+)/)[^/]*$", re.DOTALL)
_GENERATED = re.compile(r"/rows_(?P<start>\d{8,})/attempt_(?P<attempt>\d+)\.json$")
_VERSION = re.compile(r"^models/(?P<model>[^/]+)/versions/(?P<version>\d+)/manifest\.json$")


class Version(NamedTuple):
    """A version of a model."""

    model: str
    number: int


class CheckpointFolder(NamedTuple):
    """Where a checkpoint's files are: `key` ends with a slash."""

    key: str
    step: int
    attempt: int


class GeneratedRows(NamedTuple):
    """Rows from number `start` on, written by `attempt`."""

    start: int
    attempt: int


def artifact(sha256: str) -> str:
    return f"{ARTIFACTS}{sha256[:2]}/{sha256}"


def digest_of(artifact_key: str) -> str:
    """Return the digest in an artifact's key."""
    return artifact_key.rpartition("/")[2]


def checkpoint_prefix(job: str, node: str) -> str:
    """Return the prefix, without a slash at its end, of all that a node keeps to go on from."""
    return f"{CHECKPOINTS}{job}/{node}"


def checkpoint_folder(prefix: str, step: int, attempt: int) -> CheckpointFolder:
    return CheckpointFolder(f"{below(prefix)}step_{step:08d}/attempt_{attempt}/", step, attempt)


def checkpoint_folder_of(key: str) -> CheckpointFolder | None:
    """Return the folder of a checkpoint's file; None for any other key."""
    found = _CHECKPOINT.search(key)
    return CheckpointFolder(found["folder"], int(found["step"]), int(found["attempt"])) if found else None


def generated_rows(prefix: str, start: int, attempt: int) -> str:
    return f"{below(prefix)}rows_{start:08d}/attempt_{attempt}.json"


def generated_rows_of(key: str) -> GeneratedRows | None:
    """Return which rows a key is for; None for any other key."""
    found = _GENERATED.search(key)
    return GeneratedRows(int(found["start"]), int(found["attempt"])) if found else None


def dataset_manifest(dataset_id: str) -> str:
    return f"{DATASETS}{dataset_id}/{MANIFEST}"


def archived_log(job: str) -> str:
    return f"{JOBS}{job}/log.jsonl"


def version_manifest(model: str, version: int) -> str:
    return f"{MODELS}{model}/versions/{version:06d}/{MANIFEST}"


def versions(model: str) -> str:
    """Return the prefix of all versions of a model."""
    return f"{MODELS}{model}/versions/"


def version_of(key: str) -> Version | None:
    """Return the version whose manifest has this key; None for any other key."""
    found = _VERSION.search(key)
    return Version(found["model"], int(found["version"])) if found else None


def aliases(model: str) -> str:
    return f"{MODELS}{model}/aliases.json"


def probe(name: str) -> str:
    """Return the key of an object that only proves that writing and reading work."""
    return f"doctor/{name}"


def job_of(key: str) -> str:
    """Return the job that a checkpoint or an archived log belongs to."""
    return key.split("/")[1]


def is_manifest(key: str) -> bool:
    return key.endswith(f"/{MANIFEST}")


def below(prefix: str) -> str:
    """Return a prefix with one slash at its end: all keys below it, and none of `prefix2`."""
    return prefix.rstrip("/") + "/"
