"""What a version has from others: the license of its base, and the languages of its rows."""

import re
from pathlib import Path

import yaml

from agents.base.agent import Context, inputs_from
from agents.base.errors import TunelineError
from agents.base.source_uri import hub_model
from agents.validation.types import ValidationOutput

#: Licenses of bases on the hub, by their cards there, which a download of weights leaves out.
LICENSES = {
    "sentence-transformers/all-MiniLM-L6-v2": "apache-2.0",
    "sentence-transformers/all-mpnet-base-v2": "apache-2.0",
    "HuggingFaceTB/SmolLM2-135M-Instruct": "apache-2.0",
    "distilbert/distilbert-base-uncased": "apache-2.0",
    "TinyLlama/TinyLlama-1.1B-Chat-v1.0": "apache-2.0",
}
LICENSE = re.compile(r"[a-z0-9][a-z0-9.-]{0,40}")
CODE = re.compile(r"[a-z]{2,3}")
#: Codes that name no language.
NO_LANGUAGE = {"und", "zxx", "mul", "mis"}
#: A language with a smaller share of the rows is most often a mistake of the finder.
LEAST_SHARE = 0.05
README_BYTES = 1 << 20


def license_of(context: Context, base: str) -> str | None:
    """Return under which license a base model is: by the card that lies beside it, or else by its name on the hub."""
    try:
        path = context.sources.local(base, "model")
    except TunelineError:
        path = None
    written = _written(path / "README.md") if path is not None and path.is_dir() else None
    found = hub_model(base)
    return written or (LICENSES.get(found.name) if found else None)


def languages_of(context: Context) -> list[str]:
    """Return the languages that the validation found in the rows, the commonest first."""
    for output in inputs_from(context, "validation", ValidationOutput):
        sample = context.objects.get_json(output.report).get("sample") or {}
        counts = {str(name): int(count) for name, count in (sample.get("languages") or {}).items()}
        least = LEAST_SHARE * sum(counts.values())
        named = [name for name in counts if CODE.fullmatch(name) and name not in NO_LANGUAGE and counts[name] >= least]
        return sorted(named, key=lambda name: -counts[name])
    return []


def _written(card: Path) -> str | None:
    """Return the license in the metadata of a model card, None where it names none as the hub does."""
    try:
        with card.open(encoding="utf-8") as file:
            head = file.read(README_BYTES).partition("\n---")[0].removeprefix("---")
        found = yaml.safe_load(head)
    except (OSError, ValueError, yaml.YAMLError):
        return None
    named = found.get("license") if isinstance(found, dict) else None
    return named if isinstance(named, str) and LICENSE.fullmatch(named) else None
