"""What a version is for and where it fails, in prose: from the facts of its run, for whoever meets it first."""

from agents.base.markdown import code, text
from agents.formats.manifest import Manifest
from agents.tasks import find_task

#: With fewer rows a figure is the sample's more than the model's.
FEW_TEST_ROWS = 300


def intended_use(manifest: Manifest) -> str:
    """Return two paragraphs: what it is meant for, and its limits."""
    decoder = find_task(manifest.task).kind == "decoder"
    meant = (
        "It answers prompts like those it was trained on, in the same form. Asked something else it answers in that "
        "form all the same, and may be wrong."
        if decoder
        else "It judges texts like those it was trained on, and gives each one of its answers: a text of another kind "
        "gets one, too, which then means nothing."
    )
    limits = [
        _languages(manifest.languages),
        f"{'Prompts with their answers' if decoder else 'Texts'} longer than {manifest.max_tokens:,} tokens are cut.",
        _few_rows(manifest),
        "It repeats what is unjust in its data; decisions about people need a person.",
        _license(manifest),
    ]
    return f"{meant}\n\n{' '.join(part for part in limits if part)}"


def _languages(languages: list[str]) -> str:
    return f"Trained on texts in {', '.join(map(code, languages))}; others were not tried." if languages else ""


def _few_rows(manifest: Manifest) -> str:
    rows = manifest.data.test_rows
    if rows >= FEW_TEST_ROWS:
        return f"Its figures are of {rows:,} test rows."
    return f"Its figures are of {rows:,} test rows, which are few: other rows may give quite other figures."


def _license(manifest: Manifest) -> str:
    if manifest.license:
        return f"License: {text(manifest.license)}."
    return f"The license of its base, {code(str(manifest.base_model))}, applies; it is not recorded here."
