"""Config of generation: what rows are about, and which of the two kinds of source makes them."""

from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from agents.base.records import Config
from agents.data.files.records import whole_characters
from agents.generate.answer_check import check_schema
from agents.generate.rules import check_rules


class Example(Config):
    """A row as it should be. `label`: a label, or the answer to the prompt `text`."""

    text: str
    label: str

    @field_validator("text", "label")
    @classmethod
    def _whole_characters(cls, value: str) -> str:
        return whole_characters(value)


class LanguageModel(Config):
    """A language model behind any endpoint of OpenAI's form; its address and key are settings of the workers."""

    instruction: str = Field(description="What the texts are, in plain words.")
    examples: list[Example] = Field([], max_length=50, description="Rows to write more of.")
    model: str | None = Field(None, description="Model's name at the endpoint; unset: GEN_MODEL of the workers.")
    rows_per_request: int = Field(10, ge=1, le=100, description="Rows asked for at once.")
    temperature: float = Field(1.0, ge=0, le=2, description="Higher: more different rows, more refused ones.")
    maximum_cost_usd: float = Field(
        1.0, ge=0, description="No request that would probably go beyond is sent; 0: only free endpoints are asked."
    )
    prompt_price_usd: float | None = Field(
        None, ge=0, description="Per million tokens, where the endpoint doesn't say what a request costs."
    )
    completion_price_usd: float | None = Field(None, ge=0, description="The same for what the model writes.")
    requests_per_minute: float = Field(20.0, gt=0, description="Requests sent at most; a 429 waits longer.")
    barren_requests: int = Field(10, ge=1, description="So many requests without a new row end the generation.")


class Grammar(Config):
    """A context-free grammar: `rules` name what may stand for `<name>`; each row is one of `patterns`, filled."""

    patterns: list[Example] = Field(
        min_length=1, description="Text and label; a `<name>` in both is filled with the same."
    )
    rules: dict[str, list[str]] = Field({}, description="Name -> what may stand for `<name>`; may name others.")

    @model_validator(mode="after")
    def _rules_can_be_filled(self) -> Self:
        check_rules(self.rules, [(pattern.text, pattern.label) for pattern in self.patterns])
        return self


class GenerateConfig(Config):
    """How many rows of what; exactly one of `llm` and `grammar`."""

    rows: int = Field(ge=2, le=200_000, description="Different rows wanted.")
    labels: dict[str, str] | None = Field(
        None,
        description="Label -> what it means; each gets as many rows. Unset: answers in place of labels.",
    )
    answer_schema: dict[str, Any] | None = Field(
        None, description="JSON Schema that every answer must be JSON of; only without `labels`."
    )
    llm: LanguageModel | None = Field(None, description="Rows are written by a language model.")
    grammar: Grammar | None = Field(None, description="Rows are made of a grammar, offline.")
    seed: int = Field(13, description="Another seed, other rows.")

    @field_validator("labels", mode="before")
    @classmethod
    def _listed_labels(cls, value: object) -> object:
        # A list of labels is enough where their names need no explanation.
        return {str(label): "" for label in value} if isinstance(value, list) else value

    @field_validator("answer_schema")
    @classmethod
    def _is_a_schema(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None:
            try:
                check_schema(value)
            except ValueError as fault:
                raise ValueError(f"is not a JSON Schema that can be followed: {fault}") from fault
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.llm is None) == (self.grammar is None):
            raise ValueError("set either `llm` or `grammar`")
        if self.labels is not None and len(self.labels) < 2:
            raise ValueError("labels: two or more, or none at all")
        if self.labels is not None and self.answer_schema is not None:
            raise ValueError("answer_schema is for answers; with labels there are none")
        given = [*(self.llm.examples if self.llm else ()), *(self.grammar.patterns if self.grammar else ())]
        if self.labels is not None and (odd := sorted({row.label for row in given} - set(self.labels))):
            raise ValueError(f"not among the labels: {', '.join(odd)}")
        return self
