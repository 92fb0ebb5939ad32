"""The form in which a model writes its answers, and what such a text says."""

import re
from dataclasses import dataclass
from functools import cached_property

from agents.base.patterns import any_of
from agents.chat.answers import Answer, Tools
from agents.chat.calls import CallForm, EnvelopedCalls
from agents.chat.hermes import CALL_ENDS, CALL_OPENS, THOUGHT_ENDS, THOUGHT_OPENS

HERMES_CALLS = EnvelopedCalls(
    CALL_OPENS,
    CALL_ENDS,
    "name",
    "arguments",
    (f'{CALL_OPENS}{{"name": "', '", "arguments": ', f"}}{CALL_ENDS}"),
)


@dataclass(frozen=True)
class Thought:
    """What stands before and behind reasoning. `opens`: "" where the prompt ends with it."""

    opens: str = THOUGHT_OPENS
    closes: str = THOUGHT_ENDS


@dataclass(frozen=True)
class AnswerForm:
    """What a model writes behind its prompt. `lead`: markup before what is said; `special`: texts of special tokens."""

    lead: str = ""
    thought: Thought | None = None
    calls: CallForm = HERMES_CALLS
    special: frozenset[str] = frozenset()
    """Texts of special tokens of the template's own markup."""
    lead_before_calls: bool = True
    """Whether calls stand behind `lead`, too."""

    def read(self, text: str, tools: Tools | None = None) -> Answer:
        """Return what a text says that was written up to, and without, the token that ends an answer."""
        reasoning, rest = self._without_thought(text)
        found = self.calls.read(rest, tools)
        said = found.content if found else rest
        return Answer(self._plain(said), self._plain(reasoning).strip(), found.calls if found else ())

    def read_part(self, text: str, tools: Tools | None = None) -> Answer:
        """Return what is certain of a text that goes on: nothing from where a call may begin."""
        reasoning, rest = self._without_thought(text)
        starts = self.calls.starts
        if starts and starts in rest:
            rest = rest[: rest.index(starts)]
        elif (tools and not starts and rest.lstrip()[:1] in ("{", "[")) or self._may_be_lead(text):
            rest = ""
        return Answer(self._plain(rest), self._plain(reasoning).strip())

    def _may_be_lead(self, text: str) -> bool:
        begun = text.strip()
        opens = self.thought.opens.strip() if self.thought else ""
        return any(mark.startswith(begun) for mark in (self.lead.strip(), opens) if mark)

    def _without_thought(self, text: str) -> tuple[str, str]:
        reasoning, rest = self._thought(text)
        stripped, lead = rest.lstrip(), self.lead.strip()
        if self.lead.isspace():
            return reasoning, rest.removeprefix(self.lead)
        return reasoning, stripped[len(lead) :].lstrip() if lead and stripped.startswith(lead) else rest

    @cached_property
    def needs_special(self) -> bool:
        """Whether texts of special tokens tell the parts of an answer apart."""
        around = self.calls.around("name") or (self.calls.starts, "")
        marks = (self.lead, *around, *((self.thought.opens, self.thought.closes) if self.thought else ()))
        return any(special in mark for special in self.special for mark in marks)

    @cached_property
    def marks(self) -> tuple[str, ...]:
        """Texts of which a part, at the end of what is written so far, may become markup."""
        thought = (self.thought.opens, self.thought.closes) if self.thought else ()
        kept = self.special if self.needs_special else ()
        return tuple(mark.strip() for mark in (self.lead, self.calls.starts, *thought, *kept) if mark.strip())

    def _thought(self, text: str) -> tuple[str, str]:
        if self.thought is None:
            return "", text
        opens, closes = self.thought.opens.strip(), self.thought.closes.strip()
        stripped = text.lstrip()
        if not stripped.startswith(opens):
            return "", text
        reasoning, closed, rest = stripped[len(opens) :].partition(closes)
        return reasoning, rest.lstrip() if closed else ""

    def _plain(self, text: str) -> str:
        return self._specials.sub("", text) if self._specials else text

    @cached_property
    def _specials(self) -> re.Pattern[str] | None:
        return any_of(self.special) if self.special else None
