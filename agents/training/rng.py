"""The random number generators of Python, NumPy and torch: seeded, saved as tensors and numbers, restored."""

import random
from typing import Any

import numpy as np
import torch


def seed_all(seed: int) -> None:
    """Start every generator that a training may draw from."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def generator_states() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the states of all generators: the large parts as tensors, the rest as JSON values."""
    version, words, next_gauss = random.getstate()
    _, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    tensors = {
        "python": torch.tensor(words, dtype=torch.int64),
        "numpy": torch.from_numpy(np.asarray(keys, dtype=np.int64)),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        tensors["cuda"] = torch.cuda.get_rng_state()
    numbers = {
        "python": [version, next_gauss],
        "numpy": [int(position), int(has_gauss), float(gauss)],
    }
    return tensors, numbers


def set_generator_states(tensors: dict[str, torch.Tensor], numbers: dict[str, Any]) -> None:
    """Set every generator back to where `generator_states` found it."""
    version, next_gauss = numbers["python"]
    random.setstate((version, tuple(tensors["python"].tolist()), next_gauss))
    position, has_gauss, gauss = numbers["numpy"]
    np.random.set_state(("MT19937", tensors["numpy"].numpy().astype(np.uint32), position, has_gauss, gauss))
    torch.set_rng_state(tensors["torch"])
    if "cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["cuda"])
