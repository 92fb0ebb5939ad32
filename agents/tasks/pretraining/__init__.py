"""Continued pretraining: a decoder reads on in plain text, and learns every token of it."""

from agents.tasks.base import Task

PRETRAINING = Task(
    name="pretraining",
    kind="decoder",
    rows="texts",
    shapes=("text",),
    read_as="text",
    target="loss_mask",
    options=("label_smoothing",),
    pipeline_tag="text-generation",
    does="A model that continues text",
    example='generate = pipeline("text-generation", model="{folder}", do_sample=False, '
    'max_new_tokens={max_new_tokens}, return_full_text=False)\nprint(generate("a text"))',
    max_tokens=1024,
    metrics=("perplexity_drop",),
    intervals=("perplexity_drop", "perplexity"),
    validation_metrics=("loss",),
    baselines={"base": "the base model on the same texts"},
    baselines_load_model=False,
    rows_asked_at_once=32,
    steps_drawn_together=50,
    preparation="agents.tasks.pretraining.preparation:TextPreparation",
    objective="agents.tasks.pretraining.objective:make_objective",
    measure="agents.tasks.pretraining.measure:TextMeasure",
    golden="agents.tasks.pretraining.golden:GoldenContinuations",
    pairs="agents.tasks.pretraining.baselines:text_pairs",
)
