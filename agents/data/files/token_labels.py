"""Token labels, one for each word, which no task learns: told by their form and refused by their name."""

import re
from collections.abc import Sequence

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
