"""A decoder as GGUF in memory, run by llama.cpp: it gets the same token ids as in training, never text.

llama.cpp has a template code and a tokenizer of its own; neither is used, so that prompts are those of the training.
"""

import json
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from agents.base.errors import InvalidModel, InvalidRequest
from agents.base.schema_bounds import SPACED, bounded_schema
from agents.chat.answers import Prompt, as_conversation
from agents.chat.renderer import Renderer, matching_renderer
from agents.models import gguf_file
from agents.models.files import ModelFiles
from agents.models.generators.base import Completion, FinishReason, OnText, SamplingParams
from agents.models.tokenizers import load_tokenizer

#: Memory for so many tokens is kept for each answer that is written at the same time.
CONTEXT_MOST_TOKENS = 4096
#: llama.cpp runs a file's template when it loads it, to see what it can: a program of whoever made the model.
UNUSED_TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
#: Answers that are written at the same time share each pass through the weights.
AT_ONCE = 2
#: Only Linux knows of fewer cores than there are.
CORES = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


@dataclass(frozen=True)
class LlamaGenerator:
    """A GGUF file in memory, with the template that its model learned."""

    server: Any
    renderer: Renderer
    max_new_tokens: int
    context_tokens: int
    at_once: int
    makes_json: bool = True

    def answer(
        self,
        prompts: Sequence[Prompt],
        progress: Callable[[int], None] = lambda _: None,
        *,
        max_new_tokens: int | None = None,
        json_schema: dict[str, Any] | None = None,
    ) -> list[str]:
        """Return the answer to each conversation, in order: always the likeliest token, to the end of the answer or
        `max_new_tokens`; with `json_schema` only tokens that the schema allows.

        Raises:
            InvalidRequest: a prompt is longer than the context, or the schema has no grammar.
        """
        held = json_schema is not None
        sampling = SamplingParams(max_new_tokens or self.max_new_tokens, json_schema=json_schema, with_markup=not held)
        answers: list[str] = []
        for asked in map(as_conversation, prompts):
            written = self.generate(self.renderer.prompt_ids(*asked, with_lead=held), sampling).text
            answers.append(self.renderer.read(written, asked.tools).text.strip())
            progress(len(answers))
        return answers

    def generate(
        self, prompt_ids: Sequence[int], sampling: SamplingParams, on_text: OnText = lambda _: True
    ) -> Completion:
        """Return the answer to a prompt of token ids; `on_text` gets each piece of it.

        Raises: as `answer`.
        """
        written = _Written(on_text)
        request = _request(prompt_ids, sampling)
        if sampling.with_markup and self.renderer.form.needs_special:
            # Otherwise llama.cpp leaves special tokens out of the text.
            request["preserved_tokens"] = sorted(self.renderer.form.special)
        self.server.handle_completions(request, written.take)
        if written.fault:
            raise InvalidRequest(f"llama.cpp refuses the request: {written.fault.rstrip('.')}.")
        text = "".join(written.pieces)
        # For a schema that it can't make a grammar of, llama.cpp lets the model write whatever it likes.
        ended = written.was_ended or bool(sampling.stop) or written.finish_reason == "length"
        if sampling.json_schema is not None and text and not _may_be_json(text, whole=not ended):
            raise InvalidRequest("llama.cpp can't hold an answer to this JSON schema.", cure="Use a simpler one.")
        return Completion(text, written.finish_reason, len(prompt_ids), written.tokens)


class _Written:
    """What llama.cpp has sent of an answer so far."""

    def __init__(self, on_text: OnText) -> None:
        self.pieces: list[str] = []
        self.tokens = 0
        self.finish_reason: FinishReason = "stop"
        self.fault: str | None = None
        self.was_ended = False
        self._on_text = on_text

    def take(self, chunk: Any) -> bool:
        """Take one message of llama.cpp; True tells it to stop."""
        for part in chunk if isinstance(chunk, list) else [chunk]:
            if "error" in part or "choices" not in part:
                fault = part.get("error", part)
                self.fault = str(fault.get("message", fault))
                return True
            usage = part.get("usage")
            self.tokens = usage["completion_tokens"] if usage else self.tokens + 1
            for choice in part["choices"]:
                if choice["finish_reason"]:
                    self.finish_reason = choice["finish_reason"]
                if choice["text"]:
                    self.pieces.append(choice["text"])
                    if not self._on_text(choice["text"]):
                        self.was_ended = True
                        return True
        return False


def load_llama(
    file: Path,
    renderer: Renderer,
    max_new_tokens: int,
    *,
    context_tokens: int | None = None,
    at_once: int = AT_ONCE,
    threads: int = CORES,
) -> LlamaGenerator:
    """Load a GGUF file onto the CPU. `context_tokens`: of prompt and answer together, at most what the model knows.

    Whoever loads an export asks `check_prompt_format` first, or calls `load`.

    Raises:
        InvalidModel: llama.cpp can't load it, or it is not installed.
    """
    known = gguf_file.context_tokens(file)
    context = min(context_tokens or CONTEXT_MOST_TOKENS, known or CONTEXT_MOST_TOKENS)
    server = start_llama(file, context, at_once=at_once, threads=threads, template=UNUSED_TEMPLATE)
    return LlamaGenerator(server, renderer, max_new_tokens, context, at_once)


def start_llama(
    file: Path, context_tokens: int, *, at_once: int = 1, threads: int = CORES, template: str | None = None
) -> Any:
    """Return llama.cpp's server, in this process, with a GGUF file on the CPU; `context_tokens`: for each of `at_once`
    answers, its prompt included. `template`: in place of the file's.

    Raises:
        InvalidModel: llama.cpp can't load it, or it is not installed.
    """
    try:
        # Of an extra; the error below names it.
        import xllamacpp

        found = _parameters(xllamacpp.CommonParams(), file, context_tokens, at_once, threads)
        if template is not None:
            found.chat_template = template
        return xllamacpp.Server(found)
    except ImportError as fault:
        raise InvalidModel("llama.cpp is not installed.", cure="Run: pip install 'tuneline[gguf]'.") from fault
    except (RuntimeError, ValueError) as fault:
        raise InvalidModel(
            f"llama.cpp can't load '{file}'.", cure="Check that it is a whole GGUF file of a decoder, and the memory."
        ) from fault


def load(files: ModelFiles) -> LlamaGenerator:
    """Load an exported GGUF with the tokenizer of its training, which lies beside it.

    Raises:
        InvalidModel: a file can't be loaded, or was made for another template than the model learned.
    """
    prompt = files.prompt_format
    file = next(iter(sorted(files.folder.rglob("*.gguf"))), files.folder / gguf_file.MODEL_FILE)
    gguf_file.check_prompt_format(file, prompt)
    renderer = matching_renderer(load_tokenizer(files.folder), prompt)
    return load_llama(file, renderer, prompt.max_new_tokens)


def _parameters(found: Any, file: Path, context: int, at_once: int, threads: int) -> Any:
    found.model.path = str(file)
    found.n_ctx = context * at_once
    found.n_parallel = at_once
    found.cpuparams.n_threads = threads
    found.cpuparams_batch.n_threads = threads
    found.n_gpu_layers = 0
    found.fit_params = False
    found.verbosity = 0
    # Answers are taken as they are: nothing in them is a call of a tool, or thought aloud.
    found.use_jinja = True
    found.force_pure_content_parser = True
    # Beside the calls from here llama.cpp answers HTTP on a port of loopback: nobody has the key.
    found.hostnames = ["127.0.0.1"]
    found.api_keys = [secrets.token_urlsafe(32)]
    found.ui = False
    # Otherwise it keeps up to 8 GiB of former prompts.
    found.cache_ram_mib = 0
    return found


def _request(prompt_ids: Sequence[int], sampling: SamplingParams) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "prompt": list(prompt_ids),
        "max_tokens": sampling.max_new_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        # llama.cpp's own further filters, off: `sampling` says all.
        "top_k": 0,
        "min_p": 0.0,
        "stop": list(sampling.stop),
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if sampling.seed is not None:
        asked["seed"] = sampling.seed
    if sampling.json_schema is not None:
        asked["grammar"] = _grammar(sampling.json_schema)
    if sampling.grammar is not None:
        asked["grammar"] = _checked_grammar(sampling.grammar)
    return asked


def _grammar(schema: dict[str, Any]) -> str:
    """Return a schema as a grammar of llguidance. JSON is written as Python writes it, unless the schema says
    otherwise: with free blanks a model that is at a loss writes nothing else.

    Raises:
        InvalidRequest: the schema can't be followed in full.
    """
    try:
        bounded = bounded_schema(schema)
    except ValueError as fault:
        raise InvalidRequest(f"The JSON schema can't be followed: {fault}.", cure="Use a simpler one.") from fault
    return _checked_grammar(f"%llguidance {{}}\nstart: %json {json.dumps({'x-guidance': SPACED, **bounded})}")


@lru_cache(maxsize=64)
def _checked_grammar(grammar: str) -> str:
    """Return a grammar, checked here: for one that it can't follow llama.cpp lets a model write whatever it likes.

    Raises:
        InvalidRequest: it can't be followed.
    """
    from llguidance import LLMatcher

    if fault := LLMatcher.validate_grammar(grammar):
        # Behind the reason it lists the grammar, line by line.
        reason = " ".join(fault.partition("\n   1 |")[0].split())
        raise InvalidRequest(f"The JSON schema can't be followed: {reason[:300]}.", cure="Use a simpler one.")
    return grammar


def _may_be_json(text: str, *, whole: bool) -> bool:
    if not whole:
        return text.lstrip()[:1] in '{["-0123456789tfn'
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
