"""A decoder in memory: files become `answer(conversations)`. Evaluation measures with it what export proves with it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from agents.base.errors import InvalidRequest
from agents.chat.answers import Prompt, as_conversation
from agents.chat.renderer import Renderer, matching_renderer
from agents.data.batches import NOT_LEARNED
from agents.models.files import ADAPTER_CONFIG, AdapterBase, ModelFiles
from agents.models.generators.base import Completion, OnText, SamplingParams
from agents.models.generators.loss import learned_logits
from agents.models.generators.streaming import Watch
from agents.models.loading import attach_adapter, load_decoder, ready
from agents.models.tokenizers import load_tokenizer


@dataclass(frozen=True)
class LoadedGenerator:
    """A decoder on its device, in evaluation mode, with the template that it learned."""

    model: PreTrainedModel
    renderer: Renderer
    max_new_tokens: int
    at_once: int = 1
    makes_json: bool = False
    base: AdapterBase | None = None
    """What keeps the weights in memory that are not this model's alone."""

    @property
    def context_tokens(self) -> int:
        return int(self.model.config.get_text_config().max_position_embeddings)

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        return self.renderer.tokenizer

    def answer(
        self, prompts: Sequence[Prompt], batch_size: int = 32, progress: Callable[[int], None] = lambda _: None
    ) -> list[str]:
        """Return the answer to each conversation, in order: always the likeliest token, to the end of the answer or
        `max_new_tokens`."""
        asked = [as_conversation(prompt) for prompt in prompts]
        token_ids = [self.renderer.prompt_ids(*one) for one in asked]
        # Prompts of like length share a batch, so that little of it is padding.
        order = sorted(range(len(prompts)), key=lambda row: len(token_ids[row]))
        answers = [""] * len(prompts)
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            for row, ids in zip(rows, self._generate([token_ids[row] for row in rows]), strict=True):
                answers[row] = self.renderer.answer(ids, asked[row].tools)
            progress(start + len(rows))
        return answers

    def generate(
        self, prompt_ids: Sequence[int], sampling: SamplingParams, on_text: OnText = lambda _: True
    ) -> Completion:
        """Return the answer to a prompt of token ids; `on_text` gets each piece of it.

        Raises:
            InvalidRequest: the prompt is too long, or the answer is to be held to a JSON schema.
        """
        if sampling.json_schema is not None or sampling.grammar is not None:
            raise InvalidRequest(
                "This model is served by torch, which can't hold it to a JSON schema or a tool.",
                cure="Export it as gguf_q8_0.",
            )
        if len(prompt_ids) >= self.context_tokens:
            raise InvalidRequest(f"The prompt has {len(prompt_ids)} tokens; the model takes {self.context_tokens}.")
        watch = Watch(self.renderer, len(prompt_ids), sampling, on_text)
        drawn = (
            {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
            if sampling.temperature > 0
            else {}
        )
        with torch.inference_mode(), self.precision(), torch.random.fork_rng(enabled=sampling.seed is not None):
            if sampling.seed is not None:
                torch.manual_seed(sampling.seed)
            self.model.generate(
                input_ids=torch.tensor([list(prompt_ids)], device=self.model.device),
                max_new_tokens=sampling.max_new_tokens,
                do_sample=sampling.temperature > 0,
                eos_token_id=list(self.renderer.end_token_ids),
                pad_token_id=self._padding(),
                stopping_criteria=[watch],
                **drawn,
            )
        return watch.end(len(prompt_ids))

    def loss(self, conversations: Sequence[Prompt], batch_size: int = 32) -> float:
        """Return the mean cross-entropy of the answers' tokens, each given all that stands before it."""
        rendered = sorted(
            (self.renderer.render(*as_conversation(one)) for one in conversations), key=lambda one: len(one.input_ids)
        )
        loss_sum, count = 0.0, 0
        for start in range(0, len(rendered), batch_size):
            batch = rendered[start : start + batch_size]
            ids, mask = self._padded([one.input_ids for one in batch], left=False)
            learned, _ = self._padded([[int(bit) for bit in one.loss_mask] for one in batch], left=False, filler=0)
            targets = torch.full_like(ids, NOT_LEARNED)
            targets[:, :-1] = torch.where(learned[:, 1:].bool(), ids[:, 1:], NOT_LEARNED)
            with torch.inference_mode(), self.precision():
                logits = learned_logits(self.model, ids, mask, targets)
            chosen = targets[targets != NOT_LEARNED]
            loss_sum += float(torch.nn.functional.cross_entropy(logits, chosen, reduction="sum"))
            count += len(chosen)
        return loss_sum / max(1, count)

    def _generate(self, token_ids: list[list[int]]) -> list[list[int]]:
        # On the left, so that the last token of every prompt is where the first of its answer is worked out.
        ids, mask = self._padded(token_ids, left=True)
        with torch.inference_mode(), self.precision():
            found = self.model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=self.max_new_tokens,
                do_sample=False,
                eos_token_id=list(self.renderer.end_token_ids),
                pad_token_id=self._padding(),
            )
        generated: list[list[int]] = found[:, ids.shape[1] :].tolist()
        return generated

    def _padded(
        self, rows: list[list[int]], *, left: bool, filler: int | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return rows as int64 of shape (rows, longest row), and 1 where they are, 0 where padding is."""
        width = max(map(len, rows))
        values = torch.full((len(rows), width), self._padding() if filler is None else filler)
        mask = torch.zeros_like(values)
        for index, row in enumerate(rows):
            where = slice(width - len(row), width) if left else slice(0, len(row))
            values[index, where] = torch.tensor(row)
            mask[index, where] = 1
        return values.to(self.model.device), mask.to(self.model.device)

    def _padding(self) -> int:
        padding = self.renderer.tokenizer.pad_token_id
        return self.renderer.end_token_id if padding is None else int(padding)

    def precision(self) -> torch.autocast:
        """On a GPU bfloat16; on a CPU float32 keeps answers the same everywhere."""
        device = self.model.device.type
        half = device == "cuda" and torch.cuda.is_bf16_supported()
        return torch.autocast(device, dtype=torch.bfloat16, enabled=half)


def load_merged(files: ModelFiles, *, device: str | None = None) -> LoadedGenerator:
    """Load a whole model: `config.json`, safetensors and the tokenizer's files.

    `device`: where to; unset: a GPU where there is one.

    Raises:
        InvalidModel: the files can't be loaded, or its prompts are of another format than it learned.
    """
    return _loaded(files, files.folder, device)


def load_shared(files: ModelFiles) -> LoadedGenerator:
    """Load an adapter in PEFT's layout over the weights of a base that others may hold too.

    Raises:
        InvalidModel: the files can't be loaded, don't fit the base, or its prompts are of another format.
    """
    prompt, base = files.prompt_format, files.shared_base
    renderer = matching_renderer(load_tokenizer(files.folder), prompt)
    model = base.with_adapter(files.folder, None, renderer.tokenizer.pad_token_id)
    return LoadedGenerator(model, renderer, prompt.max_new_tokens, base=base)


def load_trained_generator(files: ModelFiles, base: Callable[[], Path]) -> LoadedGenerator:
    """Load what a training left: a whole model, or an adapter onto its base that is never quantised.

    `base`: gives the base model's folder or file; only asked for an adapter.

    Raises: as `load_merged`; or the adapter doesn't fit the base.
    """
    if not (files.folder / ADAPTER_CONFIG).exists():
        return load_merged(files)
    loaded = _loaded(files, base())
    return replace(loaded, model=ready(attach_adapter(loaded.model, files.folder)))


def load_base_generator(files: ModelFiles, base: Path) -> LoadedGenerator:
    """Load a base model without any adapter, with the tokenizer and the template of a training.

    Raises: as `load_merged`.
    """
    return _loaded(files, base)


def _loaded(files: ModelFiles, weights: Path, device: str | None = None) -> LoadedGenerator:
    """Load a decoder whose weights lie elsewhere than its tokenizer."""
    prompt = files.prompt_format
    renderer = matching_renderer(load_tokenizer(files.folder), prompt)
    model = load_decoder(weights, "float32", cache_dir=files.cache_dir, pad_token_id=renderer.tokenizer.pad_token_id)
    return LoadedGenerator(ready(model, device), renderer, prompt.max_new_tokens)
