"""Rows for tests, drawn by a seed: sentences that have nothing in common, and a template that all spam shares."""

import random
from collections.abc import Iterator

from agents.rows import Row

WORDS = ["river", "stone", "cloud", "paper", "green", "quick", "silent", "market", "window", "garden", "yellow"]
WORDS += ["number", "simple", "mother", "winter"]
TEMPLATE = "Congratulations! You won £{} today. Call {} now to claim your prize, code {}."


def sentences(count: int, seed: int = 1) -> Iterator[str]:
    chance = random.Random(seed)
    return (" ".join(chance.choices(WORDS, k=9)) for _ in range(count))


def as_rows(texts: list[tuple[str, str]]) -> list[Row]:
    return [{"row": n, "text": text, "label": label} for n, (text, label) in enumerate(texts, start=1)]


def labelled(count: int) -> list[Row]:
    return as_rows([(text, "spam" if n % 5 == 0 else "ham") for n, text in enumerate(sentences(count))])
