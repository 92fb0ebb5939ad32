"""The format of prompts: which template a model learned, and its fingerprint."""

from typing import Literal, get_args

from agents.base.names import Digest
from agents.base.records import Record

Reasoning = Literal["keep", "drop"]


class PromptFormat(Record):
    """How conversations become token ids; a model answers right only to prompts of the format it learned."""

    template: str
    fingerprint: Digest
    """sha256 over the template's text, the special tokens and the token that ends an answer."""
    max_new_tokens: int
    """Where an answer is cut off at the latest: twice the longest answer in training."""
    clean: bool = True
    """Whether turns were cleaned (`clean_content`)."""
    reasoning: Reasoning = "drop"
    """Whether the model learned to write its reasoning before an answer."""


TemplateName = Literal["tokenizer", "alpaca", "chatml", "llama2", "llama3", "completion"]


TEMPLATES: tuple[TemplateName, ...] = get_args(TemplateName)
