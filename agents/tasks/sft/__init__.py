"""Supervised fine-tuning: each conversation ends with the answer that the model is to learn."""

from agents.tasks.base import Task

SFT = Task(
    name="sft",
    kind="decoder",
    rows="conversations",
    shapes=("messages", "sharegpt", "alpaca", "prompt_completion", "input_output", "text_label", "text_labels"),
    target="loss_mask",
    options=("label_smoothing", "loss", "reasoning", "template"),
    pipeline_tag="text-generation",
    does="A model that answers prompts of the template {template}",
    example='generate = pipeline("text-generation", model="{folder}", do_sample=False, '
    "max_new_tokens={max_new_tokens}, return_full_text=False)\n"
    'print(generate([{{"role": "user", "content": "a question"}}])){note}',
    max_tokens=1024,
    metrics=("exact_match", "slot_f1", "rouge_l", "tool_call", "tool_name", "tool_arguments"),
    validation_metrics=("loss", "exact_match"),
    baselines={"base": "the base model, asked by the same template"},
    baselines_load_model=True,
    rows_asked_at_once=32,
    steps_drawn_together=50,
    preparation="agents.tasks.sft.preparation:ConversationPreparation",
    objective="agents.tasks.sft.objective:make_objective",
    measure="agents.tasks.sft.measure:AnswerMeasure",
    golden="agents.tasks.sft.golden:GoldenPrompts",
    pairs="agents.tasks.sft.baselines:answer_pairs",
)
