"""The barest loop that trains: no progress, validation, checkpoint or stop; batches drawn by length. A limit."""

import math
import time
from typing import Any

import numpy as np

from agents.base.system import keep_freed_memory
from agents.data.batches import Rows, collate, length_batches


def adapted(model: Any, task_type: str, r: int, alpha: float) -> Any:
    """Return a model with LoRA on all linear modules, its frozen matrices in bfloat16, without PEFT's input casts."""
    import torch
    from peft import LoraConfig, get_peft_model

    whole = ["classifier"] if task_type == "SEQ_CLS" else None
    settings = LoraConfig(
        task_type=task_type, r=r, lora_alpha=alpha, target_modules="all-linear", modules_to_save=whole
    )
    model = get_peft_model(model, settings)
    for module in model.modules():
        if hasattr(module, "cast_input_dtype_enabled"):
            module.cast_input_dtype_enabled = False
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        frozen = isinstance(module, torch.nn.Linear) and not module.weight.requires_grad
        if frozen and module.weight.is_floating_point():
            module.weight = torch.nn.Parameter(module.weight.to(torch.bfloat16), requires_grad=False)
    return model


def train(model: Any, rows: Rows, steps: int, recipe: dict[str, Any], seed: int) -> float:
    """Train for `steps` and return the seconds they took."""
    import torch
    from transformers import get_scheduler

    keep_freed_memory()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters, lr=recipe["learning_rate"], weight_decay=recipe["weight_decay"], fused=True
    )
    warmup = math.ceil(recipe["warmup_ratio"] * steps)
    schedule = get_scheduler(recipe["scheduler"], optimizer, num_warmup_steps=warmup, num_training_steps=steps)
    batches, draw = length_batches(rows.lengths, recipe["batch_size"]), np.random.default_rng(seed)
    order = np.concatenate([draw.permutation(len(batches)) for _ in range(steps // len(batches) + 1)])[:steps]
    model.train()
    started = time.perf_counter()
    for index in order:
        batch = collate(rows, batches[index], 0, torch.device("cpu"))
        with torch.autocast("cpu", torch.bfloat16):
            loss = _loss(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
    return time.perf_counter() - started


def _loss(model: Any, batch: Any) -> Any:
    from torch.nn.functional import cross_entropy

    if batch.targets.ndim == 1:
        answer = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
        return cross_entropy(answer.logits.float(), batch.targets)
    learned = batch.targets != -100
    decoder = model.get_base_model()
    hidden = decoder.model(batch.input_ids, attention_mask=batch.attention_mask, use_cache=False).last_hidden_state
    return cross_entropy(decoder.lm_head(hidden[learned]).float(), batch.targets[learned])
