"""Multi-label classification: each text has any number of labels, also none."""

from agents.tasks.base import Task

MULTI_LABEL = Task(
    name="multi_label",
    kind="classifier",
    rows="label_lists",
    shapes=("text_labels",),
    read_as="text_labels",
    target="labels",
    outputs="labels",
    options=("keep", "overlap_tokens", "recall_floors"),
    pipeline_tag="text-classification",
    does="A classifier that gives a text any number of the labels {labels}, also none",
    example='classify = pipeline("text-classification", model="{folder}", truncation=True, max_length={max_tokens})\n'
    'print(classify("a text", top_k=None))  # every label with its probability, to be held against its threshold',
    max_tokens=128,
    metrics=("micro_f1", "macro_f1", "jaccard", "exact_match"),
    intervals=("micro_f1", "macro_f1", "exact_match"),
    validation_metrics=("micro_f1", "macro_f1", "loss"),
    baselines={
        "frequency": "always the commonest labels of the training rows, as many as a row has on average",
        "tfidf": "a logistic regression for each label over TF-IDF of words and pairs of words, trained on the same "
        "training rows, with thresholds chosen as the model's are",
    },
    baselines_load_model=False,
    rows_asked_at_once=64,
    steps_drawn_together=1,
    preparation="agents.tasks.multi_label.preparation:LabelSetPreparation",
    objective="agents.tasks.multi_label.objective:make_objective",
    measure="agents.tasks.multi_label.measure:LabelSetMeasure",
    golden="agents.tasks.multi_label.golden:GoldenLabelSets",
    pairs="agents.tasks.multi_label.baselines:label_set_pairs",
)
