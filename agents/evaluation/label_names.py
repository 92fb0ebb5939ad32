"""How labels are written in pictures: by name where a font here has all its characters, else by number with a key."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from matplotlib import font_manager

#: matplotlib's own font, which is always there.
FIRST_FONT = "DejaVu Sans"
#: Fonts that draw a sign in place of every character.
SIGNS_ONLY = "Last Resort"
#: Labels are named on the axes up to so many.
NAMED_LABELS_MOST = 40
NAME_CHARACTERS = 24
#: They say how the character before is drawn, and are nothing themselves.
SELECTORS = dict.fromkeys(range(0xFE00, 0xFE10))


@dataclass(frozen=True)
class LabelNames:
    """`shown`: of each label its name, or `#` and its number from 1; `fonts`: families that names are drawn with."""

    shown: list[str]
    told: list[str]
    """The same where they stand in a sentence: by name also where labels are many."""
    fonts: list[str]
    numbered: bool
    """Whether any is a number, so that a key is needed."""


def label_names(labels: Sequence[str]) -> LabelNames:
    """Return how labels are written so that each can be read."""
    names = [_short(label) for label in labels]
    fonts, lacking = fonts_for("".join(names))
    often, many = Counter(names), len(labels) > NAMED_LABELS_MOST
    readable = [
        bool(name) and not name.startswith("#") and often[name] == 1 and lacking.isdisjoint(name) for name in names
    ]
    told = [
        _escaped(name) if by_name else f"#{number}"
        for number, (name, by_name) in enumerate(zip(names, readable, strict=True), start=1)
    ]
    shown = [f"#{number}" for number in range(1, len(names) + 1)] if many else told
    return LabelNames(shown, told, fonts, many or not all(readable))


def key_of(labels: Sequence[str], confusion: Sequence[Sequence[int]], pairs_most: int = 50) -> str:
    """Return the key of the numbers as text: number and label on each line, then the pairs that are confused most."""
    lines = [f"#{number}\t{' '.join(label.split())}" for number, label in enumerate(labels, start=1)]
    pairs = confused_pairs(confusion)[:pairs_most]
    if pairs:
        lines += ["", "Most confused: rows, true label, predicted label"]
        lines += [f"{rows}\t#{true + 1}\t#{predicted + 1}" for rows, true, predicted in pairs]
    return "\n".join(lines) + "\n"


def confused_pairs(confusion: Sequence[Sequence[int]]) -> list[tuple[int, int, int]]:
    """Return rows, true and predicted label of each pair that was confused, the commonest first."""
    found = [(n, i, j) for i, row in enumerate(confusion) for j, n in enumerate(row) if n and i != j]
    return sorted(found, key=lambda pair: (-pair[0], pair[1:]))


def fonts_for(text: str) -> tuple[list[str], set[str]]:
    """Return families of installed fonts that have the characters of a text, matplotlib's own first, and the characters
    that none of them has."""
    fonts, lacking = [FIRST_FONT], {character for character in text if ord(character) not in _characters(FIRST_FONT)}
    for family in _families() if lacking else ():
        found = {character for character in lacking if ord(character) in _characters(family)}
        if found:
            fonts.append(family)
            lacking -= found
        if not lacking:
            break
    return fonts, lacking


@cache
def _families() -> tuple[str, ...]:
    """Return the families that are installed, those with most characters first."""
    names = {font.name for font in font_manager.fontManager.ttflist} - {FIRST_FONT}
    usable = [name for name in names if not name.startswith(SIGNS_ONLY)]
    return tuple(sorted(usable, key=lambda name: (-len(_characters(name)), name)))


@cache
def _characters(family: str) -> frozenset[int]:
    """Return the code points that a family draws; none for fonts that can't be read or are made of bitmaps."""
    try:
        path = font_manager.findfont(font_manager.FontProperties(family=[family]), fallback_to_default=False)
        font = font_manager.get_font(path)
    except (OSError, RuntimeError, ValueError):
        return frozenset()
    return frozenset(font.get_charmap()) if font.scalable else frozenset()


def _short(label: str) -> str:
    label = " ".join(label.translate(SELECTORS).split())
    return label if len(label) <= NAME_CHARACTERS else f"{label[: NAME_CHARACTERS - 1]}…"


def _escaped(name: str) -> str:
    """Return a name as text: not as a formula, which is what matplotlib takes `$` for."""
    return name.replace("$", r"\$")
