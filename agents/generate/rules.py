"""Rules of a grammar: how many must follow each other until a text has none left, and how long it is then."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from agents.base.budgets import GRAMMAR

#: A rule's name in a pattern: `<name>`, or `<name:2>` for a second one that may differ.
REFERENCE = re.compile(r"<(?P<rule>[a-z][a-z0-9_]*)(?::\d+)?>")
#: Names that a fault lists before it says that there are more.
LISTED_MOST = 5
#: Nobody needs to know how much longer than this a text is; lengths double with each rule.
ENDLESS_CHARACTERS = 10**12


class Shortest(NamedTuple):
    """What a rule becomes by the choices that lead to the end in the fewest steps."""

    steps: int
    choice: str
    characters: int


def named_in(text: str) -> Iterator[str]:
    """Yield the rules that a text names, as often as it does."""
    return (match["rule"] for match in REFERENCE.finditer(text))


def shortest(rules: Mapping[str, Sequence[str]]) -> dict[str, Shortest]:
    """Return for each rule its shortest way to an end; rules without an end are not there.

    Takes time in proportion to the grammar: a choice is looked at again once for each rule that it names.
    """
    waits: dict[str, list[_Choice]] = {}
    ready = []
    for rule, texts in rules.items():
        for place, text in enumerate(texts):
            choice = _Choice(rule, place, text, set(named_in(text)))
            for name in choice.lacking:
                waits.setdefault(name, []).append(choice)
            if not choice.lacking:
                ready.append(choice)
    found: dict[str, Shortest] = {}
    steps = 0
    while ready:
        steps += 1
        new = _first_of_each(ready, found)
        ready = []
        for rule, choice in new.items():
            found[rule] = Shortest(steps, choice.text, filled_characters(choice.text, found))
        for rule in new:
            for choice in waits.get(rule, ()):
                choice.lacking.discard(rule)
                if not choice.lacking:
                    ready.append(choice)
    return found


@dataclass(frozen=True)
class _Choice:
    """A text that may stand for a rule, with the rules in it whose end is not known yet."""

    rule: str
    place: int
    text: str
    lacking: set[str]


def _first_of_each(ready: Iterable[_Choice], found: Mapping[str, Shortest]) -> dict[str, _Choice]:
    new: dict[str, _Choice] = {}
    for choice in ready:
        known = new.get(choice.rule)
        if choice.rule not in found and (known is None or choice.place < known.place):
            new[choice.rule] = choice
    return new


def filled_characters(text: str, found: Mapping[str, Shortest]) -> int:
    """Return how long a text is once all its rules are replaced in the shortest way."""
    length = len(REFERENCE.sub("", text)) + sum(found[name].characters for name in named_in(text))
    return min(length, ENDLESS_CHARACTERS)


def check_rules(rules: Mapping[str, Sequence[str]], patterns: Iterable[tuple[str, str]]) -> None:
    """See that every pattern, a text and a label, can be filled to a row of bounded length.

    Raises:
        ValueError: a rule is lacking, has no end or one too far off, or a row would be too long.
    """
    rows = list(patterns)
    named = {name for row in rows for text in row for name in named_in(text)}
    named |= {name for choices in rules.values() for text in choices for name in named_in(text)}
    if lacking := sorted(named - rules.keys()):
        raise ValueError(f"no rule for {_listed(lacking)}")
    found = shortest(rules)
    if endless := sorted(rules.keys() - found.keys()):
        raise ValueError(f"never comes to an end: {_listed(endless)}")
    if deep := sorted(name for name, way in found.items() if way.steps > GRAMMAR.chain):
        raise ValueError(
            f"comes to an end only after more than {GRAMMAR.chain} rules: {_listed(deep)}; make the chain shorter"
        )
    longest = max((sum(filled_characters(text, found) for text in row) for row in rows), default=0)
    if longest > GRAMMAR.row_characters:
        raise ValueError(
            f"a row would have {longest:,} characters or more, at most {GRAMMAR.row_characters:,} are allowed; shorten "
            "what its rules stand for"
        )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED_MOST:,} more" if len(names) > LISTED_MOST else ""
    return ", ".join(f"<{name}>" for name in names[:LISTED_MOST]) + more
