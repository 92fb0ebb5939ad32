"""What agents that answer ask for of a GPU, by the files of real small models; asked without torch, in the worker."""

import shutil
from pathlib import Path

import pytest

from agents.base.contract import DeviceNeed
from agents.batch_prediction import PredictionAgent, PredictionConfig
from agents.comparison import ComparisonAgent, ComparisonConfig
from agents.evaluation import EvaluationAgent, EvaluationConfig
from agents.export import ExportAgent, ExportConfig
from agents.model_memory import WEIGHT_BYTES, Asked, Shape, answering_bytes, reserved_mib
from agents.outputs import EvaluationOutput, PromptFormat, TrainingOutput
from tests.conftest import AgentBench
from tests.support.decoders import SMOLLM2
from tests.support.models import preprocessing_output, training_output, write_adapter

PROMPT = PromptFormat(template="chatml", fingerprint="0" * 64, max_new_tokens=40)


@pytest.fixture
def base(bench: AgentBench, small_model: Path) -> Path:
    """The small model where sources look for it."""
    return shutil.copytree(small_model, bench.work_dir / "base")


@pytest.fixture
def training(bench: AgentBench, base: Path) -> TrainingOutput:
    return training_output(bench.objects, base, write_adapter(bench.work_dir / "adapter", base))


@pytest.fixture
def evaluation(bench: AgentBench, base: Path, training: TrainingOutput) -> EvaluationOutput:
    data = preprocessing_output(bench.objects, base, bench.work_dir / "rows")
    context = bench.context("evaluation", {"preprocessing": data, "training": training})
    return EvaluationAgent().run(EvaluationConfig(minimum=0.0), context)


def answers(evaluation: EvaluationOutput) -> EvaluationOutput:
    """Return the evaluation as if it were of a model that answers prompts."""
    training = evaluation.training.model_copy(update={"task": "sft", "prompt": PROMPT})
    return evaluation.model_copy(update={"training": training})


def test_evaluation_asks_for_one_batch_of_the_largest_model(
    bench: AgentBench, base: Path, training: TrainingOutput
) -> None:
    inputs, config = {"training": training}, EvaluationConfig(batch_size=8)
    alone = EvaluationAgent().device_need(config, bench.context("evaluation", inputs))
    champion = {"version": 1, "total_parameters": 1 << 30}
    beside = EvaluationAgent().device_need(config, bench.context("evaluation", inputs, champion=champion))
    needed = answering_bytes(Shape.read(base), Asked(8, training.max_tokens))

    assert alone == DeviceNeed(mib=reserved_mib(needed))
    more = (1 << 30) - Shape.read(base).parameters
    assert beside == DeviceNeed(mib=reserved_mib(needed + WEIGHT_BYTES * more))


def test_a_comparison_of_labels_is_done_on_the_cpu_and_one_of_answers_asks_for_the_base(
    bench: AgentBench, base: Path, evaluation: EvaluationOutput
) -> None:
    agent, config = ComparisonAgent(), ComparisonConfig(batch_size=4)
    labels = agent.device_need(config, bench.context("comparison", {"evaluation": evaluation}))
    prompts = agent.device_need(config, bench.context("comparison", {"evaluation": answers(evaluation)}))

    assert labels == DeviceNeed(count=0)
    asked = Asked(4, evaluation.training.max_tokens, 40)
    assert prompts == DeviceNeed(mib=reserved_mib(answering_bytes(Shape.read(base), asked)))


def test_an_export_asks_for_two_models_and_for_nothing_where_nothing_is_merged(
    bench: AgentBench, base: Path, evaluation: EvaluationOutput
) -> None:
    context = bench.context("export", {"evaluation": evaluation})
    adapter = ExportAgent().device_need(ExportConfig(formats=["adapter"]), context)
    onnx = ExportAgent().device_need(ExportConfig(formats=["adapter", "onnx"]), context)
    one = answering_bytes(Shape.read(base), Asked(64, evaluation.training.max_tokens))

    assert adapter == DeviceNeed(count=0)
    assert onnx == DeviceNeed(mib=reserved_mib(one + WEIGHT_BYTES * Shape.read(base).parameters))


def test_the_need_of_a_gguf_base_is_not_known(bench: AgentBench, training: TrainingOutput) -> None:
    inputs = {"training": training.model_copy(update={"base_model": SMOLLM2})}

    assert EvaluationAgent().device_need(EvaluationConfig(), bench.context("evaluation", inputs)) == DeviceNeed()


def test_a_batch_asks_by_the_files_of_its_version(bench: AgentBench, base: Path) -> None:
    names = ("config.json", "model.safetensors")
    config = PredictionConfig(
        model_name="spam",
        version=1,
        format="merged",
        labels=["ham", "spam"],
        max_tokens=32,
        files={name: bench.objects.put_artifact_file(base / name) for name in names},
        texts=bench.objects.put_json(["hello"]),
        text_count=1,
    )
    context, shape = bench.context("prediction"), Shape.read(base)
    merged = PredictionAgent().device_need(config, context)
    onnx = PredictionAgent().device_need(config.model_copy(update={"format": "onnx_int8"}), context)

    assert merged.mib == pytest.approx(reserved_mib(answering_bytes(shape, Asked(64, 32))), abs=1)
    assert onnx == DeviceNeed(count=0)
