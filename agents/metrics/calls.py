"""Figures of tools that are called: whether the names are right, the arguments, and both.

An answer with calls is JSON text with the key `tool_calls` (`agents/chat/answers.py`). Arguments are compared as JSON
values: the order of keys and the way numbers are written don't count. Nor does the order of several calls.
"""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

CALL_METRICS = ("tool_call", "tool_name", "tool_arguments")


def call_scores(expected: Sequence[str], answers: Sequence[str]) -> np.ndarray:
    """Return int64 of shape (rows, 4): whether a row is judged, and whether both, names and arguments are right.

    A row is judged where a call is expected or made: one that is made where none is expected is wrong.
    """
    rows = [_scored(_calls(text), _calls(answer)) for text, answer in zip(expected, answers, strict=True)]
    return np.array(rows, dtype=np.int64).reshape(-1, 4)


def call_value(scores: np.ndarray, metric: str, rows: np.ndarray) -> float:
    """Return a metric of some rows, given as int64 indices: the share of judged rows that are right."""
    judged, right = scores[rows, 0].sum(), scores[rows, 1 + CALL_METRICS.index(metric)].sum()
    return float(right / max(1, judged))


def call_metrics(scores: np.ndarray) -> dict[str, float]:
    """Return the metrics of all rows; nothing where no row is judged."""
    every = np.arange(len(scores))
    return {name: call_value(scores, name, every) for name in CALL_METRICS} if scores[:, 0].any() else {}


def has_calls(text: str) -> bool:
    """Say whether an answer's text is that of calls."""
    return bool(_calls(text))


def _scored(expected: list[tuple[str, str]], made: list[tuple[str, str]]) -> tuple[int, int, int, int]:
    if not expected and not made:
        return 0, 0, 0, 0
    names, arguments = ([Counter(call[part] for call in calls) for calls in (expected, made)] for part in (0, 1))
    both = Counter(expected) == Counter(made)
    return 1, int(both), int(names[0] == names[1]), int(arguments[0] == arguments[1])


def _calls(text: str) -> list[tuple[str, str]]:
    """Return the calls of an answer: each its name, and its arguments in one form."""
    if '"tool_calls"' not in text:
        return []
    try:
        value = json.loads(text)
        calls = value.get("tool_calls") if isinstance(value, dict) else None
        return [(str(call["name"]), _in_one_form(call["arguments"])) for call in calls or ()]
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        return []


def _in_one_form(value: Any) -> str:
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    """Return a JSON value whose whole numbers are written without a point."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
