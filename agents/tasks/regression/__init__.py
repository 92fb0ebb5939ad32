"""Regression: each text has a number, such as a score from 0 to 5 or a price."""

from agents.tasks.base import Task

REGRESSION = Task(
    name="regression",
    kind="classifier",
    rows="numbers",
    shapes=("text_label",),
    target="number",
    outputs="number",
    options=("keep", "overlap_tokens"),
    pipeline_tag="text-classification",
    does="A model that answers a text with a number",
    example='rate = pipeline("text-classification", model="{folder}", truncation=True, max_length={max_tokens})\n'
    'print(rate("a text")[0]["score"])  # the number',
    max_tokens=128,
    metrics=("spearman", "r2"),
    intervals=("spearman", "r2", "mae"),
    validation_metrics=("loss", "spearman"),
    baselines={
        "mean": "always the mean of the training rows",
        "tfidf": "ridge regression over TF-IDF of words and pairs of words, trained on the same training rows",
    },
    baselines_load_model=False,
    rows_asked_at_once=64,
    steps_drawn_together=1,
    row_fault="agents.tasks.regression.numbers:row_fault",
    preparation="agents.tasks.regression.preparation:NumberPreparation",
    objective="agents.tasks.regression.objective:make_objective",
    measure="agents.tasks.regression.measure:NumberMeasure",
    golden="agents.tasks.regression.golden:GoldenNumbers",
    pairs="agents.tasks.regression.baselines:number_pairs",
)
