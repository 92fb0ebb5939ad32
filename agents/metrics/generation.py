"""Figures of written answers against the expected ones: whole, by JSON key, and by their words."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU

from agents.metrics.calls import CALL_METRICS, call_metrics, call_scores, call_value, has_calls
from agents.metrics.f1 import f1_score
from agents.metrics.text import as_json, same_answer

#: Keys with a figure of their own; rows with ever new keys would fill pages.
KEYS_MOST = 20
Slot = tuple[str, str]


@dataclass(frozen=True)
class AnswerScores:
    """Each row's part in the figures.

    `hits`: int64 of shape (rows,), 1 where the answer is the expected one; `slots`: int64 of shape (rows, 3), key and
    value pairs that are right, answered and expected; `rouge_l`: float64 of shape (rows,); `calls`: as `call_scores`.
    """

    hits: np.ndarray
    slots: np.ndarray
    rouge_l: np.ndarray
    calls: np.ndarray

    def value(self, metric: str, rows: np.ndarray) -> float:
        """Return `exact_match`, `slot_f1`, `rouge_l` or a metric of calls of some rows, given as int64 indices."""
        if metric in CALL_METRICS:
            return call_value(self.calls, metric, rows)
        if metric == "slot_f1":
            return float(f1_score(*self.slots[rows].sum(axis=0).tolist()))
        per_row = self.hits if metric == "exact_match" else self.rouge_l
        return float(per_row[rows].mean())


def score_answers(expected: Sequence[str], answers: Sequence[str]) -> AnswerScores:
    """Return how each answer did beside the expected one."""
    scorer = RougeScorer(["rougeL"], tokenizer=_Words())
    pairs = list(zip(expected, answers, strict=True))
    slots = [_slot_counts(_slots(text), _slots(answer)) for text, answer in pairs]
    return AnswerScores(
        hits=np.array([same_answer(*pair) for pair in pairs], dtype=np.int64),
        slots=np.array(slots, dtype=np.int64).reshape(-1, 3),
        rouge_l=np.array([scorer.score(*pair)["rougeL"].fmeasure for pair in pairs], dtype=np.float64),
        calls=call_scores(expected, answers),
    )


def answer_metrics(expected: Sequence[str], answers: Sequence[str], scores: AnswerScores) -> dict[str, float]:
    """Return `exact_match`, `rouge_l`, `bleu` (0 to 100), and where JSON is expected `json_validity` and slot figures.

    `rouge_l`: the mean of ROUGE-L's F of each row (Lin 2004). `bleu`: of the whole split, as sacreBLEU defines it
    (Post 2018). `slot_f1`: over all key and value pairs of all rows (micro); a wrong value is both an error and a miss.
    """
    return {
        "exact_match": float(scores.hits.mean()),
        "rouge_l": float(scores.rouge_l.mean()),
        "bleu": _bleu(expected, answers),
        **json_validity(expected, answers),
        **_slot_metrics(expected, answers, scores),
        **call_metrics(scores.calls),
    }


def perplexity(loss: float) -> float:
    """Return the perplexity that a mean cross-entropy comes to; beyond a loss of 700 there is no number for it."""
    return math.exp(min(loss, 700.0))


def loss_metrics(loss: float) -> dict[str, float]:
    """Return `loss` and `perplexity`."""
    return {"loss": loss, "perplexity": perplexity(loss)}


def json_validity(expected: Sequence[str], answers: Sequence[str]) -> dict[str, float]:
    """Return the share of answers that are JSON where JSON is expected; nothing where it never is."""
    pairs = [(text, answer) for text, answer in zip(expected, answers, strict=True) if not has_calls(text)]
    wanted = [as_json(answer) is not None for text, answer in pairs if as_json(text)]
    return {"json_validity": sum(wanted) / len(wanted)} if wanted else {}


def _slot_metrics(expected: Sequence[str], answers: Sequence[str], scores: AnswerScores) -> dict[str, float]:
    right, named, wanted = scores.slots.sum(axis=0).tolist()
    if not wanted:
        return {}
    by_key = _counts_by_key(zip(map(_slots, expected), map(_slots, answers), strict=True))
    return {
        "slot_precision": right / max(1, named),
        "slot_recall": right / wanted,
        "slot_f1": f1_score(right, named, wanted),
        **{f"slot_f1.{key}": f1_score(*counts) for key, counts in by_key.items()},
    }


def _counts_by_key(pairs: Iterator[tuple[set[Slot] | None, set[Slot] | None]]) -> dict[str, tuple[int, int, int]]:
    """Return right, answered and expected pairs of each of the commonest keys that are expected."""
    right: Counter[str] = Counter()
    named: Counter[str] = Counter()
    wanted: Counter[str] = Counter()
    for expected, answered in pairs:
        if expected is not None:
            wanted.update(key for key, _ in expected)
            named.update(key for key, _ in answered or ())
            right.update(key for key, _ in expected & (answered or set()))
    return {key: (right[key], named[key], count) for key, count in wanted.most_common(KEYS_MOST)}


def _slots(text: str) -> set[Slot] | None:
    """Return the keys of a JSON object, each with its value in one form; None for any other text, and for calls."""
    try:
        if has_calls(text):
            return None
        value = json.loads(text)
        if not isinstance(value, dict):
            return None
        return {(key, json.dumps(found, sort_keys=True)) for key, found in value.items()}
    except (ValueError, RecursionError):
        return None


def _slot_counts(expected: set[Slot] | None, answered: set[Slot] | None) -> tuple[int, int, int]:
    """Return how many pairs are right, answered and expected; rows that expect no JSON object don't count."""
    if expected is None:
        return 0, 0, 0
    given = answered or set()
    return len(expected & given), len(given), len(expected)


def _bleu(expected: Sequence[str], answers: Sequence[str]) -> float:
    return float(BLEU().corpus_score(list(answers), [list(expected)]).score)


class _Words:
    """Splits into words of any script; ROUGE's own splitter knows a to z and digits alone."""

    def tokenize(self, text: str) -> list[str]:
        return re.findall(r"[^\W_]+", text.lower())
