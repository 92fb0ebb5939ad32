"""Ollama's Modelfile: which file, which template, where answers stop."""

from dataclasses import dataclass

from agents.models.gguf_file import MODEL_FILE

#: Ollama keeps memory for all of these tokens; a model that was trained on short texts needs no more.
COMMON_CONTEXT = 2048
NO_TEMPLATE = (
    "# This chat template is more than turns one after the other, so Ollama looks for one that is like it.\n"
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
    """Return the Modelfile that lies beside `model.gguf`: `ollama create NAME -f Modelfile`."""
    template = NO_TEMPLATE if answering.template is None else f'TEMPLATE """{answering.template}"""'
    return "\n".join(
        [
            f"# ollama create {name} -f Modelfile",
            f"FROM ./{MODEL_FILE}",
            template,
            f'PARAMETER stop "{answering.stop}"',
            f"PARAMETER num_ctx {answering.context_tokens}",
            f"PARAMETER num_predict {answering.max_new_tokens}",
            "PARAMETER temperature 0",
            "",
        ]
    )
