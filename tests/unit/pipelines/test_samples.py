"""The shipped samples: enough rows of every kind, none twice, and a frozen test part that training never sees."""

import json
import re
from collections import Counter

import pytest

from pipelines import SHIPPED

#: What anybody types first; a sample that had them would prove nothing.
FIRST_TRIED = (
    "WIN a prize now, txt 80082",
    "Free entry in 2 a wkly comp",
    "Cheap viagra, order now",
    "BUY NOW 50% OFF",
)


def rows(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (SHIPPED / "data" / f"{name}.jsonl").read_text("utf-8").splitlines()]


def pieces(text: str) -> frozenset[str]:
    plain = re.sub(r"\d+", "0", " ".join(text.casefold().split()))
    return frozenset(plain[place : place + 5] for place in range(max(1, len(plain) - 4)))


@pytest.fixture(scope="module")
def spam() -> dict[str, list[dict[str, str]]]:
    return {name: rows(name) for name in ("spam", "spam_test")}


def test_there_are_rows_of_every_kind_in_both_parts(spam: dict[str, list[dict[str, str]]]) -> None:
    counts = {name: Counter((row["label"], row["subset"]) for row in found) for name, found in spam.items()}

    assert (len(spam["spam"]) >= 1500, len(spam["spam_test"])) == (True, 300)
    assert counts["spam"].keys() == counts["spam_test"].keys()
    assert min(counts["spam"].values()) >= 10
    for found in spam.values():
        assert 0.4 < sum(row["label"] == "spam" for row in found) / len(found) < 0.6
        assert {frozenset(row) for row in found} == {frozenset({"text", "label", "subset"})}


def test_no_message_has_a_twin(spam: dict[str, list[dict[str, str]]]) -> None:
    texts = [row["text"] for found in spam.values() for row in found]
    sets, by_piece, twins = [pieces(text) for text in texts], dict[str, list[int]](), []
    for number, found in enumerate(sets):
        shared = Counter(other for piece in found for other in by_piece.get(piece, ()))
        twins += [
            (texts[number], texts[other])
            for other, count in shared.items()
            if count >= 0.7 * (len(found) + len(sets[other]) - count)
        ]
        for piece in found:
            by_piece.setdefault(piece, []).append(number)

    assert twins == []
    assert set(texts).isdisjoint(FIRST_TRIED)
