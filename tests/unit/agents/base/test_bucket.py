"""Keys of the object store: the same as ever, and read back to what they were made of."""

from hypothesis import given
from hypothesis import strategies as st

from agents.base import bucket

#: Names of models and nodes, and ids, have no slash: everything else may be in them.
NAMES = st.text(st.characters(exclude_characters="/"), min_size=1, max_size=1000)
NUMBERS = st.integers(0, 10**9)


def test_keys_are_where_earlier_releases_wrote() -> None:
    digest = "ab" * 32

    assert bucket.artifact(digest) == f"artifacts/ab/{digest}"
    assert bucket.dataset_manifest("1f2e") == "datasets/1f2e/manifest.json"
    assert bucket.archived_log("job_1") == "jobs/job_1/log.jsonl"
    assert bucket.version_manifest("spam", 7) == "models/spam/versions/000007/manifest.json"
    assert bucket.aliases("spam") == "models/spam/aliases.json"
    prefix = bucket.checkpoint_prefix("job_1", "training")
    assert prefix == "checkpoints/job_1/training"
    assert bucket.checkpoint_folder(prefix, 20, 2).key == "checkpoints/job_1/training/step_00000020/attempt_2/"
    assert bucket.generated_rows(prefix, 100, 2) == "checkpoints/job_1/training/rows_00000100/attempt_2.json"


@given(NAMES, NUMBERS)
def test_the_key_of_a_version_gives_it_back(model: str, number: int) -> None:
    key = bucket.version_manifest(model, number)

    assert bucket.version_of(key) == (model, number)
    assert bucket.is_manifest(key)
    assert bucket.version_of(bucket.aliases(model)) is None


@given(NAMES, NAMES, NUMBERS, NUMBERS)
def test_keys_below_a_node_give_back_job_step_and_attempt(job: str, node: str, number: int, attempt: int) -> None:
    prefix = bucket.checkpoint_prefix(job, node)
    folder = bucket.checkpoint_folder(prefix, number, attempt)
    rows = bucket.generated_rows(prefix, number, attempt)

    assert bucket.checkpoint_folder_of(folder.key + "model.safetensors") == folder
    assert bucket.generated_rows_of(rows) == (number, attempt)
    assert bucket.checkpoint_folder_of(rows) is None
    assert bucket.job_of(folder.key) == bucket.job_of(rows) == bucket.job_of(bucket.archived_log(job)) == job


@given(NAMES, NAMES)
def test_a_node_sees_nothing_of_one_whose_name_begins_alike(job: str, node: str) -> None:
    below = bucket.below(bucket.checkpoint_prefix(job, node))

    assert not bucket.checkpoint_folder(bucket.checkpoint_prefix(job, f"{node}2"), 1, 1).key.startswith(below)
