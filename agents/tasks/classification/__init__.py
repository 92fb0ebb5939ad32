"""Classification: each text has one of a few labels."""

from agents.tasks.base import Task

CLASSIFICATION = Task(
    name="classification",
    kind="classifier",
    rows="labels",
    shapes=("text_label",),
    target="label",
    options=("class_weights", "keep", "label_smoothing", "overlap_tokens", "positive_label", "recall_floors"),
    pipeline_tag="text-classification",
    does="A classifier of text into {labels}",
    example='classify = pipeline("text-classification", model="{folder}", truncation=True, max_length={max_tokens})\n'
    'print(classify("a text"))',
    max_tokens=128,
    metrics=("f1", "accuracy", "macro_f1", "precision", "recall"),
    validation_metrics=("f1", "accuracy", "loss"),
    baselines={
        "majority": "always the commonest label of the training rows",
        "tfidf": "logistic regression over TF-IDF of words and pairs of words, trained on the same training rows",
    },
    baselines_load_model=False,
    rows_asked_at_once=64,
    steps_drawn_together=1,
    preparation="agents.tasks.classification.preparation:LabelPreparation",
    objective="agents.tasks.classification.objective:make_objective",
    measure="agents.tasks.classification.measure:LabelMeasure",
    golden="agents.tasks.classification.golden:GoldenTexts",
    pairs="agents.tasks.classification.baselines:label_pairs",
)
