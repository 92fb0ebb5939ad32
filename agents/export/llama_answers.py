"""A GGUF file's answers by llama.cpp, asked as its users ask: messages in, by the template that the file carries."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.base.errors import InvalidModel
from agents.gguf_file import check_prompt_format
from agents.outputs import PromptFormat
from agents.prompts.pieces import FIXED_DATE

#: llama.cpp's own scale; one less would hide what makes a file unreadable.
ERRORS_ONLY = 1


@dataclass(frozen=True)
class LoadedGguf:
    """A model in llama.cpp, on the CPU."""

    server: Any
    max_new_tokens: int

    def answer(self, prompts: Sequence[Sequence[dict[str, str]]]) -> list[str]:
        """Return the likeliest answer to each conversation, in order, one at a time and without what was cached."""
        return [self._answer(prompt) for prompt in prompts]

    def _answer(self, messages: Sequence[dict[str, str]]) -> str:
        found = self.server.handle_chat_completions(
            {
                "messages": list(messages),
                "max_tokens": self.max_new_tokens,
                "temperature": 0,
                "cache_prompt": False,
                "chat_template_kwargs": {"date_string": FIXED_DATE},
            }
        )
        if "choices" not in found:
            raise InvalidModel(f"llama.cpp can't answer with this model: {found}")
        return str(found["choices"][0]["message"]["content"] or "").strip()


def load_gguf(file: Path, prompt: PromptFormat, context_tokens: int) -> LoadedGguf:
    """Load a GGUF file whose template is the one that its model learned.

    Raises:
        InvalidModel: it is of another template, or no model that llama.cpp runs.
    """
    check_prompt_format(file, prompt)
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = str(file)
    settings.n_ctx = context_tokens
    settings.n_parallel = 1
    settings.n_gpu_layers = 0
    settings.warmup = False
    settings.use_jinja = True
    # Answers are taken as they are: nothing in them is a call of a tool, or thought aloud.
    settings.force_pure_content_parser = True
    settings.verbosity = ERRORS_ONLY
    try:
        return LoadedGguf(xllamacpp.Server(settings), prompt.max_new_tokens)
    except (RuntimeError, ValueError) as fault:
        raise InvalidModel(f"llama.cpp can't load '{file}': {fault}") from fault
