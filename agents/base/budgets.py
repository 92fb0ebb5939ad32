"""Budgets: how large what comes from outside may be, before anything is built of it. All of them stand here.

What an operator may want otherwise is a setting instead (`app/settings.py`): a job's nodes and cost, retries, timeouts.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class SpecBudget:
    """A spec, and the values of its parameters: as written, and with aliases, parameters and matrix in place."""

    characters: int = 1 << 20
    """Of the text, and of its texts and numbers with aliases in place."""
    path_characters: int = 4 << 20
    """Of all values together with the dotted paths to them."""
    values: int = 100_000
    """Aliases and merge keys of YAML count as what they stand for."""
    depth: int = 50
    key_characters: int = 1_000
    number_characters: int = 100
    integer_bits: int = 64
    config_characters: int = 4 << 20
    """Of the configs of all nodes together, each value with its dotted path, and of the nodes' names wherever they
    stand; with parameters and matrix in place."""
    config_values: int = 200_000
    needs: int = 50_000
    """Of all nodes together, after the matrix."""
    faults: int = 100
    """After so many the judge stops."""


@dataclass(frozen=True)
class SchemaBudget:
    """A JSON schema, and what one answer's check by it may take."""

    characters: int = 20_000
    values: int = 2_000
    depth: int = 32
    pattern_characters: int = 1_000
    pattern_bytes: int = 1 << 20
    """Memory of one compiled pattern."""
    count: int = 1_000_000
    """Of `maxItems`, `minLength` and the like."""
    multiple: int = 10_000
    """Of what a number may have to be a multiple, by all `multipleOf`: grammars have a state for each rest."""
    expansions: int = 10_000
    """Schemas that apply to one value, with all references in place."""
    chain: int = 64
    """Schemas that apply to one value, each by a reference or an applicator of the one before."""
    steps: int = 50_000
    """Keywords that are looked at for one answer."""
    answer_characters: int = 100_000


@dataclass(frozen=True)
class GrammarBudget:
    """A grammar of `generate`, and the rows that it makes."""

    chain: int = 64
    """Rules that must follow each other before a text has no rule left."""
    row_characters: int = 100_000
    """Text and label of a row together."""
    row_rules: int = 10_000
    """Rules that are filled in for one row."""
    all_characters: int = 256 << 20
    """Of all rows together."""


@dataclass(frozen=True)
class TemplateBudget:
    """A model's own chat template, and one rendering by it."""

    template_characters: int = 200_000
    rendered_characters: int = 1_000_000
    """Beside four times those of the conversation."""
    memory_mib: int = 256
    cpu_s: int = 2
    wall_s: float = 30.0


SPEC = SpecBudget()
SCHEMA = SchemaBudget()
GRAMMAR = GrammarBudget()
TEMPLATE = TemplateBudget()
