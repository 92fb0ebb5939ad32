"""Rows of a context-free grammar: row n depends on the seed and n alone, so a generation can go on anywhere."""

import re
from collections.abc import Callable, Mapping
from random import Random

from agents.base.budgets import GRAMMAR
from agents.generate.rules import REFERENCE, Shortest, shortest
from agents.generate.types import Example, Grammar

#: From this depth on the shortest choices are taken, so that every row comes to an end.
DEEP = 12


class GrammarSource:
    """Fills patterns. Of one row, every `<name>` of text and label is the same; `<name:2>` is another one."""

    def __init__(self, grammar: Grammar, seed: int) -> None:
        self._grammar = grammar
        self._seed = seed
        self._shortest = shortest(grammar.rules)

    def row(self, number: int) -> Example | None:
        """Return the row of a number; None where its choices make it too long."""
        try:
            return _Filling(self._grammar, self._shortest, Random(f"{self._seed}:{number}")).row()
        except _TooLong:
            return None


class _TooLong(Exception):
    """The row has more characters, or took more rules, than a row may."""


class _Filling:
    """One row on the way."""

    def __init__(self, grammar: Grammar, ways: Mapping[str, Shortest], chance: Random) -> None:
        self._grammar, self._ways, self._chance = grammar, ways, chance
        self._bound: dict[str, str] = {}
        self._rules_left = GRAMMAR.row_rules

    def row(self) -> Example:
        pattern = self._chance.choice(self._grammar.patterns)
        return Example(text=self._filled(pattern.text, self._bind), label=self._filled(pattern.label, self._bind))

    def _bind(self, match: re.Match[str]) -> str:
        if match[0] not in self._bound:
            self._bound[match[0]] = self._expand(match["rule"], 1)
        return self._bound[match[0]]

    def _expand(self, rule: str, depth: int) -> str:
        choices = [self._ways[rule].choice] if depth >= DEEP else self._grammar.rules[rule]
        self._rules_left -= 1
        if self._rules_left < 0:
            raise _TooLong
        return self._filled(self._chance.choice(choices), lambda match: self._expand(match["rule"], depth + 1))

    def _filled(self, text: str, fill: Callable[[re.Match[str]], str]) -> str:
        """Replace the rules in a text, while the whole is no longer than a row may be."""
        pieces, length, end = [], 0, 0
        for match in REFERENCE.finditer(text):
            pieces += [text[end : match.start()], fill(match)]
            length += sum(map(len, pieces[-2:]))
            end = match.end()
            if length > GRAMMAR.row_characters:
                raise _TooLong
        pieces.append(text[end:])
        return "".join(pieces)
