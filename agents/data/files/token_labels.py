"""Token labels, one for each word, which no task learns: told by their form and refused by their name."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from agents.base.errors import InvalidData

#: The tags of IOB, IOBES and BILOU: `B-person`, `I-LOC`, `O`.
SPAN_TAG = re.compile(r"(?:[BIESLU][-_]\S+|O)$")
#: Parts of speech, as Universal Dependencies and the Penn Treebank call them.
WORD_TAGS = frozenset(
    {
        *(
            "ADJ",
            "ADP",
            "ADV",
            "AUX",
            "CCONJ",
            "DET",
            "INTJ",
            "NOUN",
            "NUM",
            "PART",
            "PRON",
            "PROPN",
            "PUNCT",
            "SCONJ",
            "SYM",
        ),
        *(
            "VERB",
            "X",
            "CC",
            "CD",
            "DT",
            "EX",
            "FW",
            "IN",
            "JJ",
            "JJR",
            "JJS",
            "MD",
            "NN",
            "NNS",
            "NNP",
            "NNPS",
            "PRP",
            "RB",
        ),
        *(
            "RP",
            "TO",
            "UH",
            "VB",
            "VBD",
            "VBG",
            "VBN",
            "VBP",
            "VBZ",
            "WDT",
            "WP",
            "WRB",
            ".",
            ",",
            ":",
            "PRP$",
            "POS",
            "-NONE-",
        ),
    }
)
FEWEST_LINES, SHARE = 4, 0.9
TAGS_NAME = re.compile(r"(?:^|_)(?:tags?|labels?|ner|pos|iob|bio|entities|spans)(?:$|_)", re.IGNORECASE)
CURE = (
    "Give each text one label (classification), or write rows with the text as `input` and its entities, as JSON, as "
    "`output` (sft)."
)


def refuse_token_lines(name: str, lines: Sequence[str]) -> None:
    """Refuse a file of a word and its tag a line, as CoNLL writes them.

    Raises:
        InvalidData: with what to do instead.
    """
    rows = [cells for line in lines if not line.startswith(("#", "-DOCSTART-")) and (cells := line.split())]
    if len(rows) < FEWEST_LINES or not _is_tagged(lines, rows):
        return
    tag = next((cells[-1] for cells in rows if cells[-1] != "O"), rows[0][-1])
    raise InvalidData(
        f"'{name}' has token labels: a word and its tag, such as '{rows[0][0]}' and '{tag}', on each line. No task "
        "learns token labels.",
        cure=CURE,
    )


def _is_tagged(lines: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    universal = [line for line in lines if line.count("\t") == 9 and re.match(r"\d+([-.]\d+)?\t", line)]
    if len(universal) >= SHARE * len(rows):
        return True
    width = len(rows[0])
    if width < 2 or sum(len(cells) == width for cells in rows) < SHARE * len(rows):
        return False
    tags = [cells[-1] for cells in rows]
    spans = [tag for tag in tags if SPAN_TAG.match(tag)]
    if len(spans) >= SHARE * len(rows):
        return any(tag != "O" for tag in spans) and (width > 2 or "O" in spans or len({tag[0] for tag in spans}) > 1)
    return width <= 3 and sum(tag in WORD_TAGS for tag in tags) >= SHARE * len(rows) and len(set(tags)) > 2


def refuse_token_rows(place: str, sample: Sequence[Mapping[str, Any]]) -> None:
    """Refuse rows with a list of words and one of their tags, or with the places of entities in the text.

    Raises:
        InvalidData: with what to do instead.
    """
    lists = {name for row in sample for name, cell in row.items() if isinstance(cell, list) and cell}
    for name in sorted(lists):
        cells = [row[name] for row in sample if isinstance(row.get(name), list) and row[name]]
        if not TAGS_NAME.search(name):
            continue
        words = next((other for other in sorted(lists - {name}) if _are_words(sample, other, name)), None)
        if words or all(_is_span(one) for cell in cells for one in cell):
            what = f"one for each word of '{words}'" if words else "places in the text with a label each"
            raise InvalidData(
                f"{place} has token labels: '{name}' holds {what}. No task learns token labels.", cure=CURE
            )


def _are_words(sample: Sequence[Mapping[str, Any]], words: str, tags: str) -> bool:
    """Say whether a column has as many words in each row as another one has tags."""
    pairs = [(row.get(words), row.get(tags)) for row in sample if row.get(tags)]
    return any(len(tag) > 1 for _, tag in pairs if isinstance(tag, list)) and all(
        isinstance(word, list)
        and isinstance(tag, list)
        and len(word) == len(tag)
        and all(isinstance(one, str) for one in word)
        and all(isinstance(one, str | int) for one in tag)
        for word, tag in pairs
    )


def _is_span(value: Any) -> bool:
    """Say whether a value is the place of an entity: `[0, 4, "person"]`, or an object with `start` and `end`."""
    if isinstance(value, list):
        return len(value) == 3 and [type(one) for one in value] == [int, int, str]
    return isinstance(value, dict) and any({begin, end} <= set(value) for begin, end in SPAN_KEYS)


SPAN_KEYS = (("start", "end"), ("start_offset", "end_offset"), ("begin", "end"))
