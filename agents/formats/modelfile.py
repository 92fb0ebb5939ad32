"""Ollama's Modelfile: which file, which template, where answers stop."""

from dataclasses import dataclass

from agents.base.markdown import one_line
from agents.base.names import is_unseen
from agents.models.gguf_file import MODEL_FILE

#: Ollama keeps memory for all of these tokens; a model that was trained on short texts needs no more.
COMMON_CONTEXT = 2048
NO_TEMPLATE = (
    "# This chat template is more than turns one after the other, so Ollama looks for one that is like it.\n"
    "# llama.cpp takes the one in the file: llama-server -m model.gguf --jinja"
)

NO_STOP = (
    "# The token that ends an answer has quotes or line ends in it, which can't be written here.\n"
    "# llama.cpp takes the one in the file: llama-server -m model.gguf --jinja"
)


@dataclass(frozen=True)
class Answering:
    """How the model is asked. `template`: in Ollama's language, None where it has no form there."""

    template: str | None
    stop: str
    max_new_tokens: int
    max_tokens: int
    """The longest conversation in training."""
    context_length: int
    """The longest that the model takes."""

    @property
    def context_tokens(self) -> int:
        """Tokens of prompt and answer together."""
        return min(self.context_length, max(COMMON_CONTEXT, self.max_tokens + self.max_new_tokens))


def modelfile(name: str, answering: Answering) -> str:
    """Return the Modelfile that lies beside `model.gguf`: `ollama create NAME -f Modelfile`.

    Its language has no escapes: a template or an end of answers that would end its own quotes is left out.
    """
    return "\n".join(
        [
            f"# ollama create {one_line(name)} -f Modelfile",
            f"FROM ./{MODEL_FILE}",
            _template(answering.template),
            _stop(answering.stop),
            f"PARAMETER num_ctx {answering.context_tokens}",
            f"PARAMETER num_predict {answering.max_new_tokens}",
            "PARAMETER temperature 0",
            "",
        ]
    )


def _template(template: str | None) -> str:
    if template is None or '"""' in f'{template}"' or _has_unseen(template.replace("\n", "")):
        return NO_TEMPLATE
    return f'TEMPLATE """{template}"""'


def _stop(token: str) -> str:
    return NO_STOP if '"' in token or _has_unseen(token) else f'PARAMETER stop "{token}"'


def _has_unseen(text: str) -> bool:
    return any(is_unseen(character) for character in text)
