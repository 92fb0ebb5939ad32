"""Memory and speed of many tuned models on one base: each served whole (`merged`), and as adapters that share the base.

MiniLM with adapters of the shipped recipe's shape and random weights, float32 by torch, each format in a process of its
own. `resident MiB` is what the process holds beyond its libraries once every version has answered; the versions answer
in turns, in batches of 64 texts and one text at a time. `ms` is processor time, which other programs disturb least. The
last line is one JSON object.

    python -m benchmarks.adapters
    python -m benchmarks.adapters --versions 20 --texts 512 --rounds 3
"""

import argparse
import gc
import json
import time
import warnings
from pathlib import Path
from typing import Any

import psutil

from agents.base.sources import Sources
from agents.models.base_cache import SharedBases
from agents.models.classifiers.base import Classifier
from agents.models.classifiers.torch import load_merged, load_shared, load_trained
from agents.models.files import ModelFiles
from agents.models.loading import load_classifier_base
from agents.models.quiet import quiet_libraries
from agents.models.shared_base import SharedBase
from agents.models.tokenizers import load_tokenizer
from benchmarks._apart import apart
from benchmarks._local import LocalAgents, local_agents
from benchmarks._report import finish, print_table
from benchmarks.training import MODEL, SAMPLE

LABELS = ["ham", "spam"]
MAX_TOKENS = 128
FORMS = ("merged", "adapter")


def model_files(folder: Path, base: SharedBase | None = None) -> ModelFiles:
    """Return what a version's model is loaded from. `base`: of an adapter that shares one."""
    return ModelFiles(folder, LABELS, MAX_TOKENS, None, folder.parent, base)


def write_version(base: Path, folder: Path, seed: int) -> None:
    """Write one version as `folder/adapter` and `folder/merged`."""
    import torch
    from peft import LoraConfig, TaskType, get_peft_model

    torch.manual_seed(seed)
    with quiet_libraries():
        model = load_classifier_base(base, LABELS, "float32", cache_dir=folder)
        settings = LoraConfig(
            task_type=TaskType.SEQ_CLS, r=8, lora_alpha=16, target_modules="all-linear", init_lora_weights=False
        )
        get_peft_model(model, settings).save_pretrained(folder / "adapter")
        load_tokenizer(base).save_pretrained(folder / "adapter")
        loaded = load_trained(model_files(folder / "adapter"), lambda: base)
        loaded.model.merge_and_unload().save_pretrained(folder / "merged")  # type: ignore[operator]
        loaded.tokenizer.save_pretrained(folder / "merged")


def measure(agents: LocalAgents, form: str, versions: int, texts: list[str], rounds: int) -> dict[str, Any]:
    """Load all versions in one format and ask them; return the figures."""
    # The first model loaded brings modules of the libraries with it, which are no part of what a version takes.
    load_merged(model_files(agents.folder / "0" / "merged")).predict(texts[:64])
    gc.collect()
    process = psutil.Process()
    before = process.memory_info().rss
    started = time.perf_counter()
    models = load(agents, form, versions)
    load_s = time.perf_counter() - started
    for model in models:
        model.predict(texts[:64])
    gc.collect()
    held = process.memory_info().rss - before
    batches = [texts[at : at + 64] for at in range(0, len(texts), 64)]
    singles = [[text] for text in texts[:64]]
    runs = [speed(models, batches, "in batches") | speed(models, singles, "one by one") for _ in range(rounds)]
    return {
        "format": form,
        "versions": versions,
        "resident MiB": held / 2**20,
        "MiB a version": held / 2**20 / versions,
        "load s": load_s,
        # The best of the rounds: the others were held up by something.
        **{name: (max if name.startswith("texts/s") else min)(run[name] for run in runs) for name in runs[0]},
        "score": sum(model.predict(texts[:1])[0].scores["spam"] for model in models),
    }


def load(agents: LocalAgents, form: str, versions: int) -> list[Classifier]:
    """Return the versions in memory, as serving loads them."""
    folders = [agents.folder / str(version) / form for version in range(versions)]
    if form == "merged":
        return [load_merged(model_files(folder)) for folder in folders]
    sources = Sources(agents.objects, agents.roots, agents.folder / "cache")
    bases, fingerprint = SharedBases(sources), sources.fingerprint(MODEL, "model")
    held: list[Classifier] = []
    for folder in folders:
        base = bases.get(MODEL, fingerprint, "classifier")
        held.append(load_shared(model_files(folder, base)))
    return held


def speed(models: list[Classifier], batches: list[list[str]], how: str) -> dict[str, float]:
    """Return texts a second and processor milliseconds a text, each batch answered by the next of the models."""
    started, busy_from = time.perf_counter(), time.process_time()
    for number, batch in enumerate(batches):
        models[number % len(models)].predict(batch)
    seconds, busy_s = time.perf_counter() - started, time.process_time() - busy_from
    count = sum(map(len, batches))
    return {f"texts/s {how}": count / seconds, f"ms {how}": busy_s * 1e3 / count}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--versions", type=int, default=8)
    parser.add_argument("--texts", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5, help="the best of them counts")
    parser.add_argument("--small", action="store_true", help="3 versions, 128 texts, one round")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    versions, count, rounds = (3, 128, 1) if options.small else (options.versions, options.texts, options.rounds)
    rows = [json.loads(line)["text"] for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    texts = [rows[number % len(rows)] for number in range(count)]
    with local_agents() as agents:
        for version in range(versions):
            write_version(agents.model_path(MODEL), agents.folder / str(version), seed=version)
        table = [apart(agents, measure, form, versions, texts, rounds) for form in FORMS]
    merged, adapter = table
    if abs(merged.pop("score") - adapter.pop("score")) > 1e-4 * versions:
        raise SystemExit("The formats answer differently.")
    print_table(table)
    finish(
        "adapters",
        {
            "formats": table,
            "memory_share": adapter["resident MiB"] / merged["resident MiB"],
            "time_share_in_batches": adapter["ms in batches"] / merged["ms in batches"],
            "time_share_one_by_one": adapter["ms one by one"] / merged["ms one by one"],
        },
    )


if __name__ == "__main__":
    main()
