"""Rows of a context-free grammar: row n depends on the seed and n alone, so a generation can go on anywhere."""

import re
from random import Random

from agents.generate.types import REFERENCE, Example, Grammar, depths

#: From this depth on the shortest choices are taken, so that every row comes to an end.
DEEP = 12


class GrammarSource:
    """Fills patterns. Of one row, every `<name>` of text and label is the same; `<name:2>` is another one."""

    def __init__(self, grammar: Grammar, seed: int) -> None:
        self._grammar = grammar
        self._seed = seed
        self._depths = depths(grammar.rules)

    def row(self, number: int) -> Example:
        """Return the row of a number."""
        chance = Random(f"{self._seed}:{number}")
        pattern = chance.choice(self._grammar.patterns)
        bound: dict[str, str] = {}

        def bind(match: re.Match[str]) -> str:
            if match[0] not in bound:
                bound[match[0]] = self._expand(match["rule"], chance, 1)
            return bound[match[0]]

        return Example(text=REFERENCE.sub(bind, pattern.text), label=REFERENCE.sub(bind, pattern.label))

    def _expand(self, rule: str, chance: Random, depth: int) -> str:
        choices = self._grammar.rules[rule]
        if depth >= DEEP:
            choices = [min(choices, key=self._longest)]
        return REFERENCE.sub(lambda match: self._expand(match["rule"], chance, depth + 1), chance.choice(choices))

    def _longest(self, text: str) -> int:
        return max((self._depths[match["rule"]] for match in REFERENCE.finditer(text)), default=0)
