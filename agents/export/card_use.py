"""How a format is used, in lines that run as they stand: each is tried by the real library in a test."""

import json

from agents.base.markdown import code
from agents.base.source_uri import hub_model
from agents.export.card_metadata import family
from agents.formats import FORMATS
from agents.formats.manifest import Manifest
from agents.models.files import BASE_FOLDER
from agents.tasks import find_task

#: More labels than these are not written out in an example.
LABELS_SHOWN = 30


def how_to_use(manifest: Manifest, form: str) -> list[str]:
    """Return how the files of one format are fetched and run."""
    lines = LINES.get((family(form), find_task(manifest.task).kind))
    shown = lines(manifest, folder_of(manifest, form)) if lines else ""
    return [_download(manifest, form), *([shown] if shown else [])]


def best_format(manifest: Manifest) -> list[str]:
    """Return the formats that a version's own card shows: what transformers loads, and the smallest GGUF file."""
    gguf = [FORMATS[name] for name in manifest.formats if family(name) == "gguf" and name in FORMATS]
    first = "merged" if "merged" in manifest.formats else next(iter(sorted(manifest.formats)), None)
    smallest = [min(gguf, key=lambda one: one.disk_bytes).name] if gguf else []
    return list(dict.fromkeys([*([first] if first else []), *smallest]))


def folder_of(manifest: Manifest, form: str) -> str:
    """Return the folder that a download makes unless another is named."""
    return f"{manifest.name}-{manifest.version}-{form}"


def _download(manifest: Manifest, form: str) -> str:
    command = f"tuneline models download {manifest.name} --version {manifest.version} --format {form}"
    return f"```console\n$ {command}\n```"


def _python(*lines: str) -> str:
    return "```python\n" + "\n".join(lines) + "\n```"


def _merged(manifest: Manifest, folder: str) -> str:
    prompt = manifest.prompt
    named = prompt is not None and prompt.template != "tokenizer"
    example = find_task(manifest.task).example.format(
        folder=folder,
        max_tokens=manifest.max_tokens,
        max_new_tokens=prompt.max_new_tokens if prompt else "",
        note=f"  # written by the template {prompt.template}" if prompt and named else "",
    )
    vllm = f"With vLLM, on a GPU:\n\n```console\n$ vllm serve ./{folder} --served-model-name {manifest.name}\n```"
    shown = _python("from transformers import pipeline", "", example)
    return f"{shown}\n\n{vllm}" if prompt else shown


def _classify_adapter(manifest: Manifest, folder: str) -> str:
    count = max(1, len(manifest.labels))
    return _python(
        "from peft import PeftModel",
        "from transformers import AutoModelForSequenceClassification, AutoTokenizer",
        "",
        f'base = AutoModelForSequenceClassification.from_pretrained("{_base(manifest, folder)}", num_labels={count})',
        f'model, tokenizer = PeftModel.from_pretrained(base, "{folder}"), AutoTokenizer.from_pretrained("{folder}")',
        f'tokens = tokenizer("a text", truncation=True, max_length={manifest.max_tokens}, return_tensors="pt")',
        *_read_scores(manifest, "model.eval()(**tokens).logits[0].detach().numpy()"),
    )


def _classify_onnx(manifest: Manifest, folder: str) -> str:
    return _python(
        "import onnxruntime",
        "from transformers import AutoTokenizer",
        "",
        f'tokenizer, session = AutoTokenizer.from_pretrained("{folder}"), '
        f'onnxruntime.InferenceSession("{folder}/model.onnx")',
        f'tokens = tokenizer("a text", truncation=True, max_length={manifest.max_tokens}, return_tensors="np")',
        *_read_scores(
            manifest, 'session.run(["logits"], {name: tokens[name] for name in ("input_ids", "attention_mask")})[0][0]'
        ),
    )


def _read_scores(manifest: Manifest, logits: str) -> list[str]:
    """Return lines that print the likeliest label; the scores by index, where labels are many or not one each."""
    if manifest.task != "classification" or len(manifest.labels) > LABELS_SHOWN:
        return [f"print({logits})"]
    return [f"labels = {json.dumps(manifest.labels)}", f"print(labels[{logits}.argmax()])"]


def _generate_adapter(manifest: Manifest, folder: str) -> str:
    assert manifest.prompt is not None
    return _python(
        "from peft import PeftModel",
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        f'base = AutoModelForCausalLM.from_pretrained("{_base(manifest, folder)}")',
        f'model, tokenizer = PeftModel.from_pretrained(base, "{folder}"), AutoTokenizer.from_pretrained("{folder}")',
        'asked = tokenizer.apply_chat_template([{"role": "user", "content": "a question"}], '
        'add_generation_prompt=True, return_tensors="pt", return_dict=True)',
        f"answer = model.generate(**asked, do_sample=False, max_new_tokens={manifest.prompt.max_new_tokens})",
        'print(tokenizer.decode(answer[0][asked["input_ids"].shape[1] :], skip_special_tokens=True))',
    )


def _run_gguf(manifest: Manifest, folder: str) -> str:
    return (
        f"With Ollama, or with llama.cpp:\n\n```console\n$ cd {folder}\n"
        f"$ ollama create {manifest.name} -f Modelfile\n$ ollama run {manifest.name} 'a prompt'\n"
        "$ llama-server -m model.gguf --jinja --temp 0\n```"
    )


def _base(manifest: Manifest, folder: str) -> str:
    """Return what the base is loaded from: the hub, or a folder that came with the adapter."""
    found = hub_model(manifest.base_model or "")
    return found.name if found else f"{folder}/{BASE_FOLDER}"


def base_note(manifest: Manifest, form: str) -> str:
    """Say where an adapter's base comes from."""
    if family(form) != "adapter":
        return ""
    found = hub_model(manifest.base_model or "")
    where = f"its base is fetched from the hub: {code(found.name)}" if found else f"its base lies in `{BASE_FOLDER}`"
    return f"An adapter is not a whole model: {where}."


LINES = {
    ("merged", "classifier"): _merged,
    ("adapter", "classifier"): _classify_adapter,
    ("onnx", "classifier"): _classify_onnx,
    ("merged", "decoder"): _merged,
    ("adapter", "decoder"): _generate_adapter,
    ("gguf", "decoder"): _run_gguf,
}
