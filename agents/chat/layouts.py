"""The templates that are text: what stands before, between and after the turns of a conversation.

Sources: Alpaca, Taori et al. 2023 (the prompt without input); ChatML, OpenAI 2023; Llama 2, Touvron et al. 2023;
Llama 3, its model card.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """A template's pieces; `{content}` is a turn's text, `{bos}` and `{eos}` the tokenizer's own tokens.

    `opening` comes first where no system message does. `answer_end` is the token that ends an answer and is learned
    with it; `after_answer` stands between an answer and the next turn.
    """

    turns: Mapping[str, str]
    answer_start: str
    answer_end: str
    opening: str = ""
    after_answer: str = ""
    user_after_system: str | None = None
    special_tokens: tuple[str, ...] = ()
    """Must be tokens of their own in the tokenizer, or the template doesn't fit the model."""


ALPACA_SYSTEM = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request."
)
LAYOUTS: dict[str, Layout] = {
    "alpaca": Layout(
        opening="{bos}" + ALPACA_SYSTEM + "\n\n",
        turns={"system": "{bos}{content}\n\n", "user": "### Instruction:\n{content}\n\n"},
        answer_start="### Response:\n",
        answer_end="{eos}",
        after_answer="\n\n",
    ),
    "chatml": Layout(
        opening="{bos}",
        turns={
            "system": "{bos}<|im_start|>system\n{content}<|im_end|>\n",
            "user": "<|im_start|>user\n{content}<|im_end|>\n",
            "tool": "<|im_start|>tool\n{content}<|im_end|>\n",
        },
        answer_start="<|im_start|>assistant\n",
        answer_end="<|im_end|>",
        after_answer="\n",
        special_tokens=("<|im_start|>", "<|im_end|>"),
    ),
    "llama2": Layout(
        turns={"system": "{bos}[INST] <<SYS>>\n{content}\n<</SYS>>\n\n", "user": "{bos}[INST] {content} "},
        user_after_system="{content} ",
        answer_start="[/INST]",
        answer_end="{eos}",
    ),
    "llama3": Layout(
        opening="{bos}",
        turns={
            "system": "{bos}<|start_header_id|>system<|end_header_id|>\n\n{content}<|eot_id|>",
            "user": "<|start_header_id|>user<|end_header_id|>\n\n{content}<|eot_id|>",
            "tool": "<|start_header_id|>ipython<|end_header_id|>\n\n{content}<|eot_id|>",
        },
        answer_start="<|start_header_id|>assistant<|end_header_id|>\n\n",
        answer_end="<|eot_id|>",
        special_tokens=("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    ),
    "completion": Layout(
        opening="{bos}",
        turns={"system": "{bos}{content}\n", "user": "{content}\n"},
        answer_start="",
        answer_end="{eos}",
        after_answer="\n",
    ),
}
