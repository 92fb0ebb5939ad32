"""The baseline of models that answer: their own base model, asked by the same template."""

import math

from agents.base.agent import Context
from agents.base.errors import InvalidData
from agents.base.folders import fetch
from agents.chat.renderer import matching_renderer
from agents.comparison.pairs import Pair, Side
from agents.data.splits import read_test_conversations
from agents.evaluation.types import EvaluationOutput
from agents.metrics.generation import answer_metrics, score_answers
from agents.models.generators.torch import LoadedGenerator
from agents.models.loading import load_decoder, ready
from agents.models.tokenizers import load_tokenizer
from agents.preprocessing.types import PreprocessingOutput
from agents.training.types import TrainingOutput


def answer_pairs(
    context: Context, data: PreprocessingOutput, evaluation: EvaluationOutput, rows_most: int, batch_size: int
) -> dict[str, Pair]:
    """Return `base` -> its answers beside the tuned model's, on at most `rows_most` test rows, spread evenly.

    Raises:
        InvalidModel: the base model can't be loaded.
    """
    import numpy as np

    test = read_test_conversations(context, data)
    rows = np.unique(np.linspace(0, len(test.texts) - 1, rows_most).round().astype(int)).tolist()
    model = _base_model(context, evaluation.training)
    expected = [test.expected[row] for row in rows]
    context.progress(0, len(rows))
    answers = model.answer(
        [test.prompts[row] for row in rows], batch_size, lambda count: context.progress(count, len(rows))
    )
    # Both losses are of all test rows: a loss needs no writing.
    loss = model.loss(test.conversations, batch_size)
    baseline = _side(expected, answers, {"loss": loss, "perplexity": math.exp(min(loss, 700.0))})
    tuned_rows = context.objects.get_json(evaluation.predictions)
    whole = {name: evaluation.metrics[name] for name in ("loss", "perplexity")}
    tuned = _side(expected, [tuned_rows[row]["answer"] for row in rows], whole)
    numbers, texts = [test.numbers[row] for row in rows], [test.texts[row] for row in rows]
    return {"base": Pair(numbers, texts, expected, baseline, tuned)}


def _base_model(context: Context, training: TrainingOutput) -> LoadedGenerator:
    if training.prompt is None:
        raise InvalidData("The training before this node names no template to ask by.")
    # The trained tokenizer has the template; the weights are the base's alone.
    tokenizer_files = {name: file for name, file in training.files.items() if not name.endswith(".safetensors")}
    folder = fetch(context.objects, tokenizer_files, context.work_dir / "tokenizer")
    renderer = matching_renderer(load_tokenizer(folder), training.prompt)
    base = context.sources.local(training.base_model, "model")
    padding = renderer.tokenizer.pad_token_id
    model = load_decoder(base, "float32", cache_dir=context.sources.cache_dir, pad_token_id=padding)
    return LoadedGenerator(ready(model), renderer, training.prompt.max_new_tokens)


def _side(expected: list[str], answers: list[str], whole: dict[str, float]) -> Side:
    scores = score_answers(expected, answers)
    metrics = {**answer_metrics(expected, answers, scores), **whole}
    return Side(said=answers, right=scores.hits.astype(bool), metrics=metrics, value=scores.value)
