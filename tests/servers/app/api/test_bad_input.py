"""Bad input, from submit to answer: one clear error that names the place and the cure, and nothing half-written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.base.errors import Unavailable
from app.cli.jobs import read_spec
from app.settings import Settings
from app.wiring import Parts, build_parts
from tests.servers.conftest import RunJob


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "rows.csv"),
        ("", "'rows.csv' holds no rows"),
        ("text,label\n", "a header alone"),
        ("text,label\n" + "".join(f"hello number {i},ham\n" for i in range(30)), "ham"),
        ("body,kind\n" + "".join(f"hello {i},{'ham' if i % 2 else 'spam'}\n" for i in range(30)), "body"),
    ],
    ids=["missing file", "empty file", "header only", "one label only", "text column absent"],
)
def test_bad_rows_end_the_job_with_one_clear_error(
    run_job: RunJob, parts: Parts, rows_file: Callable[..., Path], content: str | None, words: str
) -> None:
    path = rows_file(content or "x", "rows.csv")
    if content is None:
        path.unlink()
    spec = read_spec("spam")
    given = {"data": "rows.csv", "text_column": "text", "label_column": "label"}
    job = run_job(spec["nodes"], given, params=spec["params"])

    errors = [state.error for state in job.nodes.values() if state.status == "failed" and state.error]
    assert job.head.status == "failed"
    assert len(errors) == 1
    assert errors[0]["error"] == "INVALID_DATA"
    assert words in errors[0]["message"]
    assert "Traceback" not in errors[0]["message"]
    assert [state.attempt for state in job.nodes.values() if state.status == "failed"] == [1]
    assert parts.registry.names() == []
    assert parts.objects.keys("models/") == []


def test_a_path_outside_the_data_roots_is_refused(run_job: RunJob) -> None:
    spec = read_spec("spam")
    job = run_job(spec["nodes"], {"data": "/etc/passwd"}, params=spec["params"])

    assert "TUNELINE_DATA_ROOTS" in (job.nodes["dataset"].error or {})["message"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"redis_url": "redis://127.0.0.1:9"}, "Redis at 127.0.0.1:9 doesn't answer. Start it"),
        ({"s3_endpoint_url": "http://127.0.0.1:9"}, "The object store at http://127.0.0.1:9 doesn't answer. Start it"),
        ({"redis_url": None}, "No embedded stack runs here"),
    ],
)
def test_servers_that_do_not_answer_are_named_with_the_setting(
    settings: Settings, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(Unavailable) as caught:
        build_parts(settings.model_copy(update=change)).check()

    assert str(caught.value).startswith(message)
    assert "TUNELINE_" in str(caught.value)
