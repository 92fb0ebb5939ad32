"""The baseline of models that answer: their own base model, asked by the same template."""

import numpy as np

from agents.base.agent import Context
from agents.base.folders import fetch
from agents.comparison.types import ComparisonConfig
from agents.evaluation.types import EvaluationOutput
from agents.metrics.generation import answer_metrics, loss_metrics, score_answers
from agents.models.files import ModelFiles
from agents.models.generators.torch import LoadedGenerator, load_base_generator
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.pairs import Pair, Side
from agents.tasks.splits import read_test_conversations
from agents.training.types import TrainingOutput


def answer_pairs(
    config: ComparisonConfig, context: Context, data: PreprocessingOutput, evaluation: EvaluationOutput
) -> dict[str, Pair]:
    """Return `base` -> its answers beside the tuned model's, on at most `config.rows` test rows, spread evenly.

    Raises:
        InvalidModel: the base model can't be loaded.
    """
    test = read_test_conversations(context, data)
    rows = np.unique(np.linspace(0, len(test.texts) - 1, config.rows).round().astype(int)).tolist()
    model = _base_model(context, evaluation.training)
    expected = [test.expected[row] for row in rows]
    context.progress(0, len(rows))
    answers = model.answer(
        [test.prompts[row] for row in rows], config.batch_size, lambda count: context.progress(count, len(rows))
    )
    # Both losses are of all test rows: a loss needs no writing.
    loss = model.loss(test.conversations, config.batch_size)
    baseline = _side(expected, answers, loss_metrics(loss))
    tuned_rows = context.objects.get_json(evaluation.predictions)
    whole = {name: evaluation.metrics[name] for name in ("loss", "perplexity")}
    tuned = _side(expected, [tuned_rows[row]["answer"] for row in rows], whole)
    numbers, texts = [test.numbers[row] for row in rows], [test.texts[row] for row in rows]
    return {"base": Pair(numbers, texts, expected, baseline, tuned)}


def _base_model(context: Context, training: TrainingOutput) -> LoadedGenerator:
    # The trained tokenizer has the template; the weights are the base's alone.
    tokenizer_files = {name: file for name, file in training.files.items() if not name.endswith(".safetensors")}
    folder = fetch(context.objects, tokenizer_files, context.work_dir / "tokenizer")
    files = ModelFiles(folder, [], training.max_tokens, training.prompt, context.sources.cache_dir)
    return load_base_generator(files, context.sources.local(training.base_model, "model"))


def _side(expected: list[str], answers: list[str], whole: dict[str, float]) -> Side:
    scores = score_answers(expected, answers)
    metrics = {**answer_metrics(expected, answers, scores), **whole}
    return Side(said=answers, right=scores.hits.astype(bool), metrics=metrics, value=scores.value)
