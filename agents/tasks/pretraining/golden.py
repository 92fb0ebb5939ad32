"""What exports of decoders that have read on are proven on: how they continue the beginnings of held-out texts."""

from dataclasses import replace
from functools import cached_property
from pathlib import Path

from agents.base.agent import inputs_from
from agents.chat.answers import Conversation
from agents.data.types import Message
from agents.models.files import ModelFiles
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.golden import OWN_TEXTS
from agents.tasks.pretraining.measure import read_documents
from agents.tasks.sft.golden import PROMPTS_MOST, GoldenPrompts

#: Of a text that is to be continued, and tokens that are written. After the first token that differs all others may:
#: with many of them rounding alone would tell two formats apart.
PROMPT_CHARACTERS, NEW_TOKENS = 400, 4


class GoldenContinuations(GoldenPrompts):
    """Beginnings of the test split's texts, then, if these are few, of the others'."""

    def files(self, folder: Path) -> ModelFiles:
        found = super().files(folder)
        return replace(found, prompt=found.prompt_format.model_copy(update={"max_new_tokens": NEW_TOKENS}))

    @cached_property
    def _rows(self) -> tuple[list[Conversation], list[str]]:
        texts: list[str] = []
        for data in inputs_from(self.context, "preprocessing", PreprocessingOutput)[-1:]:
            for split in ("test", "validation", "train"):
                if len(texts) < PROMPTS_MOST:
                    texts += [_beginning(text) for text in read_documents(self.context, data, split).texts]
        asked = [text for text in texts if text][:PROMPTS_MOST] or list(OWN_TEXTS)
        return [Conversation([Message(role="user", content=text)]) for text in asked], []


def _beginning(text: str) -> str:
    """Return the first half of a text, at most so many characters, up to the end of a word."""
    half = text[: min(PROMPT_CHARACTERS, len(text) // 2)]
    return half.rpartition(" ")[0].strip() or half.strip()
