"""A GGUF file's answers by llama.cpp, asked as its users ask: messages in, by the template that the file carries."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.base.errors import InvalidModel
from agents.chat.answers import Prompt, Tools, as_conversation
from agents.chat.deriving import TurnForm
from agents.chat.format import PromptFormat
from agents.chat.native import native_turns
from agents.chat.templates import DATE_STRING
from agents.data.types import Message
from agents.models.files import ModelFiles
from agents.models.generators.llama_cpp import start_llama
from agents.models.gguf_file import MODEL_FILE, check_prompt_format

#: How llama.cpp takes turns, whatever the template.
OF_OPENAI = TurnForm("reasoning_content", arguments_as_text=True, has_tools=True)


@dataclass(frozen=True)
class LoadedGguf:
    """A model in llama.cpp, on the CPU."""

    server: Any
    max_new_tokens: int

    def answer(self, prompts: Sequence[Prompt]) -> list[str]:
        """Return the likeliest answer to each conversation, in order, one at a time and without what was cached."""
        return [self._answer(*as_conversation(prompt)) for prompt in prompts]

    def _answer(self, messages: Sequence[Message], tools: Tools | None) -> str:
        found = self.server.handle_chat_completions(
            {
                "messages": native_turns(messages, OF_OPENAI, reasoning=True),
                **({"tools": list(tools)} if tools else {}),
                "max_tokens": self.max_new_tokens,
                "temperature": 0,
                "cache_prompt": False,
                "chat_template_kwargs": {"date_string": DATE_STRING},
            }
        )
        if "choices" not in found:
            raise InvalidModel(f"llama.cpp can't answer with this model: {found}")
        return str(found["choices"][0]["message"]["content"] or "").strip()


def load(files: ModelFiles) -> LoadedGguf:
    """Load an export to be asked for as many tokens as in training. Raises: as `load_gguf`."""
    prompt = files.prompt_format
    return load_gguf(files.folder / MODEL_FILE, prompt, files.max_tokens + prompt.max_new_tokens)


def load_gguf(file: Path, prompt: PromptFormat, context_tokens: int) -> LoadedGguf:
    """Load a GGUF file whose template is the one that its model learned.

    Raises:
        InvalidModel: it is of another template, or no model that llama.cpp runs.
    """
    check_prompt_format(file, prompt)
    return LoadedGguf(start_llama(file, context_tokens), prompt.max_new_tokens)
