"""Adapters in serving: versions tuned on one base hold its weights once, and answer as their merged selves."""

import gc
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi import FastAPI
from fastapi.testclient import TestClient
from peft import LoraConfig, TaskType, get_peft_model

from agents.base.errors import InvalidModel
from agents.base.records import Artifact
from agents.base.sources import Sources
from agents.formats import FORMATS, formats_of
from agents.models.classifiers.torch import LoadedClassifier
from agents.models.generators.base import SamplingParams
from agents.models.kinds import ModelKind
from agents.models.loading import load_decoder
from agents.prediction import PredictionAgent
from agents.prediction.types import PredictionConfig
from app.serving.main import create_app
from app.serving.versions.formats import batch_formats, in_order
from app.wiring import Parts
from tests.conftest import AgentBench
from tests.support.decoders import smollm2_tokenizer, write_tiny_decoder
from tests.support.loaded import load_adapter, load_merged, load_trained_generator, load_whole_generator
from tests.support.models import LABELS, TEXTS, stored, write_adapter
from tests.support.prepared import write_small_model
from tests.support.written import prompt_format

TOPICS = ["home", "money", "travel"]
#: Model -> its labels and what its adapter is like.
MODELS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "spam": (LABELS, {"seed": 1}),
    "topics": (TOPICS, {"seed": 2, "use_dora": True, "use_rslora": True, "r": 4, "target_modules": ["key", "value"]}),
}
ASK = [{"role": "user", "content": "Tell a story about a lamp."}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with `base`, and an adapter and a merged model for each of MODELS."""
    root = tmp_path_factory.mktemp("adapters")
    base = write_small_model(root / "base")
    for name, (labels, lora) in MODELS.items():
        adapter = write_adapter(root / name, base, labels=labels, **lora)
        write_merged(load_adapter(adapter, base, labels, 32, cache_dir=root), root / f"{name}-merged")
    return root


@pytest.fixture(scope="module")
def decoders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with `base`, a decoder, and two adapters for it, `0` and `1`, merged too."""
    root = tmp_path_factory.mktemp("decoders")
    base = write_tiny_decoder(root / "base", whole_vocabulary=True)
    for seed in (0, 1):
        torch.manual_seed(seed)
        plain = load_decoder(base, "float32", cache_dir=root)
        settings = LoraConfig(task_type=TaskType.CAUSAL_LM, r=4, target_modules="all-linear", init_lora_weights=False)
        adapted = get_peft_model(plain, settings)
        adapted.save_pretrained(root / str(seed))
        smollm2_tokenizer().save_pretrained(root / str(seed))
        write_merged(
            load_trained_generator(root / str(seed), base, prompt_format(), cache_dir=root), root / f"{seed}-merged"
        )
    return root


def write_merged(loaded: Any, folder: Path) -> None:
    loaded.model.merge_and_unload().save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)


def sources(parts: Parts, root: Path) -> Sources:
    return Sources(parts.objects, (root,), parts.sources.cache_dir)


def put(parts: Parts, root: Path, name: str, version: int = 1, **facts: Any) -> None:
    """Write a version with an adapter of its own and make it champion; `facts`: of its manifest."""
    adapter = facts.pop("adapter", name)
    manifest = {
        "name": name,
        "version": version,
        "task": "classification",
        "labels": MODELS[name][0] if name in MODELS else [],
        "max_tokens": 32,
        "base_model": "base",
        "base_model_fingerprint": sources(parts, root).fingerprint("base", "model"),
        "verdict": "PROMOTE",
        "reasons": [],
        "metrics": {},
        "formats": {"adapter": listed(stored(parts.objects, root / adapter))},
        **facts,
    }
    parts.objects.put_manifest(f"models/{name}/versions/{version:06d}/manifest.json", manifest)
    parts.registry.rebuild()
    parts.registry.promote(name, version, at=1.0, reason="test")


def listed(files: dict[str, Artifact]) -> list[dict[str, Any]]:
    return [{"path": path, "artifact": artifact.model_dump()} for path, artifact in files.items()]


@contextmanager
def serving(parts: Parts, root: Path, **settings: Any) -> Iterator[FastAPI]:
    """Serving that has looked at the aliases once; by default of adapters, with bases below `root`."""
    given = {"data_roots": (root,), "serving_format": "adapter", "decoder_format": "adapter", **settings}
    app = create_app(parts.registry, parts.objects, parts.settings.model_copy(update=given), look_every_s=3600)
    app.state.serving.reconciler.follow()
    yield app


def classifier_of(app: FastAPI, name: str) -> LoadedClassifier:
    found = app.state.serving.reconciler.find(name).model
    assert isinstance(found, LoadedClassifier)
    return found


def places(model: torch.nn.Module, *, of_the_base: bool) -> dict[str, int]:
    """Return where weights are: of the base (name in the base -> address), or those of the version alone."""
    return {
        name.removeprefix("base_model.model.").replace(".base_layer", ""): weight.data_ptr()
        for name, weight in model.named_parameters()
        if of_the_base != any(part in name for part in ("lora_", "classifier"))
    }


def held(addresses: set[int]) -> int:
    """Return how many tensors of this process lie at one of the addresses."""
    gc.collect()
    # By type alone: a look at some of the libraries' objects makes them warn, and tensors of a tracing lie nowhere.
    tensors = [one for one in gc.get_objects() if type(one) in (torch.Tensor, torch.nn.Parameter)]
    return sum(one.data_ptr() in addresses for one in tensors if one.device.type != "meta")


def test_two_models_share_their_bases_weights_and_answer_as_their_merged_selves(parts: Parts, folder: Path) -> None:
    for name in MODELS:
        put(parts, folder, name)
    with serving(parts, folder) as app, TestClient(app) as client:
        models = {name: classifier_of(app, name).model for name in MODELS}
        answers = {
            name: client.post(f"/predict/{name}/batch", json={"texts": TEXTS}).json()["predictions"] for name in MODELS
        }
        health = client.get("/health").json()
        forms = [model["format"] for model in client.get("/models").json()["models"]]

    base, others = places(models["spam"], of_the_base=True), places(models["topics"], of_the_base=True)
    assert len(base) > 30
    assert base == others
    own, foreign = (set(places(model, of_the_base=False).values()) for model in models.values())
    assert len(own) > 6
    assert not own & (foreign | set(base.values()))
    assert (health["troubles"], forms) == ({}, ["adapter", "adapter"])
    for name, (labels, _) in MODELS.items():
        merged = load_merged(folder / f"{name}-merged", labels, 32).predict(TEXTS)
        assert [answer["label"] for answer in answers[name]] == [one.label for one in merged]
        for answer, one in zip(answers[name], merged, strict=True):
            assert answer["scores"] == pytest.approx(one.scores, abs=1e-5)


def test_a_new_version_takes_the_base_of_the_old_and_the_last_one_frees_it(parts: Parts, folder: Path) -> None:
    put(parts, folder, "spam")
    with serving(parts, folder) as app:
        reconciler = app.state.serving.reconciler
        old = classifier_of(app, "spam")
        # Elsewhere, but the same bytes: what is in memory is not read again.
        put(parts, folder, "spam", 2, adapter="topics", labels=TOPICS, base_model="moved")
        reconciler.follow()
        new = classifier_of(app, "spam")
        addresses = set(places(old.model, of_the_base=True).values())
        assert (reconciler.troubles(), new.labels, new.base) == ({}, TOPICS, old.base)
        assert set(places(new.model, of_the_base=True).values()) == addresses
        base = weakref.ref(new.base)
        del old
        assert held(addresses) > 0
        assert base() is not None
        reconciler.served.clear()
        del new

        assert held(addresses) == 0
        assert base() is None


def test_versions_on_one_base_answer_at_the_same_time(parts: Parts, folder: Path) -> None:
    for name in MODELS:
        put(parts, folder, name)
    with serving(parts, folder) as app, ThreadPoolExecutor(4) as pool:
        models = {name: classifier_of(app, name) for name in MODELS}
        alone = {name: model.predict(TEXTS) for name, model in models.items()}
        found = list(pool.map(lambda turn: models[list(MODELS)[turn % 2]].predict(TEXTS), range(16)))

    assert found == [alone["spam"], alone["topics"]] * 8


def test_decoders_share_their_base_and_write_as_their_merged_selves(parts: Parts, decoders: Path) -> None:
    prompt = prompt_format()
    for seed in ("0", "1"):
        facts = {"task": "sft", "prompt": prompt.model_dump(), "max_tokens": 256}
        put(parts, decoders, f"task-{seed}", adapter=seed, **facts)
    with serving(parts, decoders) as app:
        served = [app.state.serving.reconciler.find(f"task-{seed}") for seed in (0, 1)]
        ids = served[0].generator.renderer.prompt_ids(ASK)
        texts = [one.generator.generate(ids, SamplingParams(24)).text for one in served]
        whole = [load_whole_generator(decoders / f"{seed}-merged", prompt, cache_dir=decoders) for seed in (0, 1)]

    assert [one.format for one in served] == ["adapter"] * 2
    bases = [places(one.model.model, of_the_base=True) for one in served]
    assert len(bases[0]) > 10
    assert bases[0] == bases[1]
    assert texts == [one.generate(ids, SamplingParams(24)).text for one in whole]
    assert texts[0] != texts[1]
    left = weakref.ref(served[0].model.model)
    app.state.serving.reconciler.served.clear()
    del served
    assert left() is None, "the next garbage collection is far away in a server"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"base_model_fingerprint": "0" * 64}, "its fingerprint is"),
        ({"base_model": "absent"}, "can't be had on this machine: There is no 'absent'"),
        ({"base_model": "/etc"}, "can't be had on this machine: '/etc' lies outside"),
        ({"base_model": "package://no_such_module/model"}, "lies in no package that sources may come from"),
        ({"base_model": None}, "does not say which base its adapter is for"),
    ],
)
def test_a_base_that_is_not_the_one_is_refused_unless_there_is_another_format(
    parts: Parts, folder: Path, facts: dict[str, Any], said: str
) -> None:
    put(parts, folder, "spam", **facts)
    with serving(parts, folder) as app:
        reconciler = app.state.serving.reconciler
        assert said in reconciler.troubles()["spam"]
        assert reconciler.served == {}
        formats = {form: listed(stored(parts.objects, folder / f"spam{end}")) for form, end in BOTH.items()}
        put(parts, folder, "spam", 2, formats=formats, **facts)
        formats_of_kind = {"classifier": (FORMATS["adapter"], FORMATS["merged"]), "decoder": ()}
        reconciler.loader = replace(reconciler.loader, formats=formats_of_kind)
        reconciler.follow()

        assert (reconciler.find("spam").format, reconciler.troubles()) == ("merged", {})


BOTH = {"adapter": "", "merged": "-merged"}


def test_a_version_without_an_adapter_is_served_merged(parts: Parts, folder: Path) -> None:
    put(parts, folder, "spam", formats={"merged": listed(stored(parts.objects, folder / "spam-merged"))})
    with serving(parts, folder, serving_format="auto") as app:
        assert app.state.serving.reconciler.find("spam").format == "merged"
    with serving(parts, folder) as app:
        assert "has no 'adapter' format" in app.state.serving.reconciler.troubles()["spam"]


def test_adapters_come_first_on_a_gpu_last_on_a_cpu_and_last_in_batches() -> None:
    def order(kind: ModelKind, *, has_gpu: bool) -> list[str]:
        return [form.name for form in in_order(formats_of(kind), has_gpu=has_gpu)]

    assert order("classifier", has_gpu=True) == ["adapter", "merged", "onnx_int8", "onnx", "linear"]
    assert order("classifier", has_gpu=False) == ["onnx_int8", "onnx", "merged", "adapter", "linear"]
    assert order("decoder", has_gpu=False) == ["gguf_q8_0", "gguf_q4_k_m", "gguf_f16", "merged", "adapter"]
    in_batches = {wanted: [form.name for form in batch_formats(wanted)] for wanted in ("adapter", "onnx")}
    assert in_batches == {"adapter": ["merged", "adapter"], "onnx": ["onnx"]}


def test_a_batch_of_an_adapter_is_answered_over_its_base(parts: Parts, bench: AgentBench, folder: Path) -> None:
    resolver = sources(parts, folder)
    config = PredictionConfig(
        model_name="spam",
        version=1,
        format="adapter",
        labels=LABELS,
        max_tokens=32,
        files=stored(bench.objects, folder / "spam"),
        texts=bench.objects.put_json(TEXTS),
        text_count=len(TEXTS),
        base_model="base",
        base_model_fingerprint=resolver.fingerprint("base", "model"),
    )
    output = PredictionAgent().run(config, bench.context("prediction", sources=resolver))
    expected = load_merged(folder / "spam-merged", LABELS, 32).predict(TEXTS)

    for answer, one in zip(bench.objects.get_json(output.predictions), expected, strict=True):
        assert answer["scores"] == pytest.approx(one.scores, abs=1e-5)
    wrong = config.model_copy(update={"base_model_fingerprint": "0" * 64})
    with pytest.raises(InvalidModel, match="the manifest says 000000000000"):
        PredictionAgent().run(wrong, bench.context("prediction", sources=resolver, work_path=bench.work_dir / "again"))
