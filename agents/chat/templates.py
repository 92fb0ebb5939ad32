"""The tokenizer's own chat template, and what it does with tools and reasoning, read off what it writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from agents.chat.answer_form import HERMES_CALLS, AnswerForm, Thought
from agents.chat.answers import Conversation, Tools
from agents.chat.deriving import (
    KEY,
    NAME,
    PROBE_TOOLS,
    RESULT,
    SAID,
    THOUGHT,
    VALUE,
    TurnForm,
    calls_of,
    common_start,
    lead_of,
    thought_of,
)
from agents.chat.exported import source_of
from agents.chat.hermes import plain_turns, with_thought_as_text
from agents.chat.layout_template import LayoutTemplate, layout_template
from agents.chat.native import as_parts, native_turns
from agents.chat.pieces import NoForm, Piece, Template
from agents.chat.template_process import FIXED_DATE, Refused, TemplateProcess
from agents.data.types import Message, ToolCall

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

#: What chat templates that name today's date are told, so that a rendering is the same every day.
DATE_STRING = "26 Jul 2024"
#: By which many templates of thinking models are told to write an answer without reasoning.
THINKING_SWITCH = "enable_thinking"
ASKED: Message = {"role": "user", "content": "Qzasked"}
Turn = Mapping[str, Any]


@dataclass(frozen=True)
class ChatTemplate:
    """The tokenizer's own template. It is run in a sandbox, which has no files and no imports, in a process of its own,
    which has no keys and bounded memory and time.

    What it does with tools and reasoning is read off what it writes; where it has no form for them they are text.
    """

    tokenizer: "PreTrainedTokenizerFast"
    name: str = "tokenizer"
    keeps_reasoning: bool = False
    process: TemplateProcess = field(default_factory=TemplateProcess, compare=False, repr=False)

    def pieces(self, messages: Sequence[Message], tools: Tools | None = None) -> list[Piece]:
        ends_with_answer = messages[-1]["role"] == "assistant"
        full = self.text(messages, tools, opens_answer=False) if ends_with_answer else self.prompt(messages, tools)
        found: list[Piece] = []
        done = 0
        for at, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            is_last = at == len(messages) - 1
            before = self.prompt(messages[:at], tools)
            after = full if is_last else self.text(messages[: at + 1], tools, opens_answer=False)
            end = len(after.rstrip())
            if not (after.startswith(before) and full.startswith(after[:end]) and done <= len(before) < end):
                if is_last:
                    raise NoForm("the tokenizer's chat template writes earlier turns anew when another turn follows")
                continue
            found += [
                Piece(full[done : len(before)], False),
                Piece(full[len(before) : end], message.get("learned", True), at),
            ]
            done = end
        found.append(Piece(full[done:], False))
        return found

    def facts(self) -> dict[str, Any]:
        own = self.tokenizer.chat_template
        own = source_of(own) if isinstance(own, str) else own
        found: dict[str, Any] = {"chat_template": own, "date": DATE_STRING}
        if self.keeps_reasoning or THINKING_SWITCH in str(own):
            found["reasoning"] = self.keeps_reasoning
        return found

    def prompt(self, messages: Sequence[Message], tools: Tools | None = None) -> str:
        """Return messages up to where the next answer begins.

        Raises: as `text`.
        """
        opened = self.text(messages, tools, opens_answer=True)
        return opened if self._opens_answers else self._cut(messages, tools, opened)

    def text(self, messages: Sequence[Message], tools: Tools | None = None, *, opens_answer: bool) -> str:
        """Return messages as the tokenizer writes them; `opens_answer`: with what it writes before an answer.

        Raises:
            NoForm: the template refuses them.
            InvalidModel: it takes more memory or time, or writes more, than a template may.
        """
        messages, tools = self.as_text(Conversation(messages, tools))
        native = native_turns(messages, self._turns, reasoning=self.keeps_reasoning)
        return self._written(native, tools, opens_answer=opens_answer)

    def as_text(self, asked: Conversation) -> Conversation:
        messages, tools = asked
        if self._reasoning_is_text:
            messages = [with_thought_as_text(message) for message in messages]
        uses_tools = bool(tools) or any(message.get("tool_calls") for message in messages)
        if not uses_tools or self._turns.has_tools:
            return Conversation(messages, tools)
        roles = {"tool_role": self._has_tool_role, "system_role": self._has_system_role}
        return Conversation(plain_turns(messages, tools, reasoning=False, **roles))

    @cached_property
    def form(self) -> AnswerForm:
        """Raises: as `text`."""
        known = {str(token) for token in self.tokenizer.special_tokens_map.values()}
        own = str(self.tokenizer.chat_template)
        special = frozenset(text for text in self._ends if text in known or text in own)
        thought = (Thought() if self._reasoning_is_text else self._thought) if self.keeps_reasoning else None
        led = self._calls is None or self._calls_follow_lead
        return AnswerForm(self._lead, thought, self._calls or HERMES_CALLS, special, led)

    @cached_property
    def depends_on_date(self) -> bool:
        """Whether the template writes today's date. Raises: as `text`."""
        texts = {
            self._written([ASKED], None, opens_answer=True, date=date, date_string=text)
            for date, text in ((FIXED_DATE, DATE_STRING), ("2031-11-05", "05 Nov 2031"))
        }
        return len(texts) > 1

    @property
    def own_opening(self) -> str | None:
        """What is written here before an answer, where the template itself would write something else; else None.

        Raises: as `text`.
        """
        if self._opens_answers:
            return None
        return self.prompt([ASKED]).removeprefix(self._written([ASKED], None, opens_answer=False))

    @property
    def has_tools(self) -> bool:
        """Whether tools and calls are written by the template; else as text. Raises: as `text`."""
        return self._turns.has_tools

    # -- read off what the template writes -------------------------------------------------------------

    @cached_property
    def _opens_answers(self) -> bool:
        """Whether what the template writes before an answer that is to come is what stands before a given one."""
        opened = self._written([ASKED], None, opens_answer=True)
        given = self._written([ASKED, {"role": "assistant", "content": SAID}], None, opens_answer=False)
        return given.startswith(opened)

    @cached_property
    def _lead(self) -> str:
        return lead_of(lambda said, _, __: self._probed({"role": "assistant", "content": said}, None))

    @cached_property
    def _reasoning_key(self) -> str | None:
        for key in ("reasoning_content", "thinking", "reasoning"):
            turn = {"role": "assistant", "content": SAID, key: THOUGHT}
            if THOUGHT in (self._probed(turn, None) or ""):
                return key
        return None

    @cached_property
    def _calls_follow_lead(self) -> bool:
        turn = _probe_turn("", "", [{"name": NAME, "arguments": {KEY: VALUE}}], self._turns, None)
        return (self._probed(turn, PROBE_TOOLS) or "").startswith(self._lead)

    @cached_property
    def _thought(self) -> Thought | None:
        key = self._reasoning_key
        if key is None:
            return None
        tools = PROBE_TOOLS if self._turns.has_tools else None
        return thought_of(
            lambda said, reasoning, calls: self._probed(
                _probe_turn(said, reasoning, calls, self._turns, key), tools if calls else None
            ),
            has_tools=self._turns.has_tools,
        )

    @property
    def _reasoning_is_text(self) -> bool:
        return self.keeps_reasoning and self._reasoning_key is None

    @cached_property
    def _turns(self) -> TurnForm:
        return self._tool_forms[0]

    @property
    def _calls(self) -> Any:
        return self._tool_forms[1]

    @cached_property
    def _tool_forms(self) -> tuple[TurnForm, Any]:
        """Return how turns are given, and how calls are written; without tools where the template lacks any part."""
        key = self._reasoning_key
        shown = self._attempt([ASKED], PROBE_TOOLS, opens_answer=True) or ""
        if NAME in shown and KEY in shown:
            for content in ("", None):
                for as_text in (False, True):
                    turns = TurnForm(key, as_text, content, has_tools=True)
                    calls = calls_of(
                        lambda said, thought, calls, turns=turns: self._probed(  # type: ignore[misc]
                            _probe_turn(said, thought, calls, turns, key), PROBE_TOOLS
                        ),
                        self._lead,
                    )
                    if calls is not None and self._shows_results(turns):
                        return turns, calls
        return TurnForm(key), None

    def _shows_results(self, turns: TurnForm) -> bool:
        call = _probe_turn("", "", [{"name": NAME, "arguments": {KEY: VALUE}}], turns, None)
        result = {"role": "tool", "content": RESULT, "name": NAME, "tool_call_id": call["tool_calls"][0]["id"]}
        return RESULT in (self._attempt([ASKED, call, result], PROBE_TOOLS, opens_answer=True) or "")

    @cached_property
    def _has_tool_role(self) -> bool:
        turns = [ASKED, {"role": "assistant", "content": SAID}, {"role": "tool", "content": RESULT}]
        return RESULT in (self._attempt(turns, None, opens_answer=True) or "")

    @cached_property
    def _has_system_role(self) -> bool:
        turns = [{"role": "system", "content": RESULT}, ASKED]
        return RESULT in (self._attempt(turns, None, opens_answer=True) or "")

    @cached_property
    def _wants_parts(self) -> bool:
        """Whether a turn's text is left out unless it is given as a list of parts."""
        if ASKED["content"] in (self._attempt([ASKED], None, opens_answer=True, in_parts=False) or ""):
            return False
        return ASKED["content"] in (self._attempt([ASKED], None, opens_answer=True, in_parts=True) or "")

    def _cut(self, messages: Sequence[Message], tools: Tools | None, opened: str) -> str:
        """Return the prompt of a template that opens an answer otherwise than it writes one: what both have in common.

        Raises:
            NoForm: how it writes earlier turns depends on what follows.
        """
        ways = [opened]
        for reasoning in ("", THOUGHT) if self.keeps_reasoning else ("",):
            said: Message = {"role": "assistant", "content": SAID}
            if reasoning:
                said["reasoning"] = reasoning
            written = self.text([*messages, said], tools, opens_answer=False)
            ways.append(written[: max(0, written.rfind(SAID))].partition(THOUGHT)[0])
        if tools and self._turns.has_tools:
            calls: list[ToolCall] = [{"name": NAME, "arguments": {KEY: VALUE}}]
            calling: Message = {"role": "assistant", "content": "", "tool_calls": calls}
            ways.append(self.text([*messages, calling], tools, opens_answer=False))
        prompt = common_start(ways)
        if not prompt.startswith(self.text(messages, tools, opens_answer=False)):
            raise NoForm("the tokenizer's chat template writes earlier turns anew when another turn follows")
        return prompt

    def _probed(self, turn: Turn, tools: Tools | None) -> str | None:
        """Return what stands behind the prompt for a turn, without the token that ends it; None where refused."""
        opened = self._attempt([ASKED], tools, opens_answer=True)
        written = self._attempt([ASKED, turn], tools, opens_answer=False)
        if opened is None or written is None:
            return None
        if not self._opens_answers:
            opened = common_start([opened, written])
        if not written.startswith(opened) or not opened:
            return None
        text = written[len(opened) :].rstrip()
        for special in sorted(self._ends, key=len, reverse=True):
            text = text.removesuffix(special)
        return text

    @cached_property
    def _ends(self) -> frozenset[str]:
        tokens = self.tokenizer.added_tokens_decoder.values()
        texts = {str(token.content) for token in tokens if token.special} | {str(self.tokenizer.eos_token or "")}
        return frozenset(texts - {""})

    def _attempt(
        self, turns: Sequence[Turn], tools: Tools | None, *, opens_answer: bool, in_parts: bool | None = None
    ) -> str | None:
        try:
            return self._written(turns, tools, opens_answer=opens_answer, in_parts=in_parts)
        except NoForm:
            return None

    def _written(
        self,
        turns: Sequence[Turn],
        tools: Tools | None,
        *,
        opens_answer: bool,
        date: str = FIXED_DATE,
        date_string: str = DATE_STRING,
        in_parts: bool | None = None,
    ) -> str:
        if self._wants_parts if in_parts is None else in_parts:
            turns = [as_parts(turn) for turn in turns]
        try:
            template = source_of(self.tokenizer.get_chat_template(tools=list(tools) if tools else None))
            variables = {**self.tokenizer.special_tokens_map, "date_string": date_string}
            variables[THINKING_SWITCH] = self.keeps_reasoning
            return self.process.render(template, variables, turns, tools, opens_answer=opens_answer, date=date)
        except (Refused, ValueError) as fault:
            raise NoForm(f"the tokenizer's chat template refuses it: {fault}") from fault


def _probe_turn(
    said: str, reasoning: str, calls: Sequence[ToolCall], turns: TurnForm, key: str | None
) -> dict[str, Any]:
    message: Message = {"role": "assistant", "content": said}
    if reasoning:
        message["reasoning"] = reasoning
    if calls:
        message["tool_calls"] = list(calls)
    given = TurnForm(key, turns.arguments_as_text, turns.content_beside_calls, turns.has_tools)
    return native_turns([message], given, reasoning=bool(reasoning))[0]


__all__ = ["ChatTemplate", "LayoutTemplate", "NoForm", "Piece", "Template", "layout_template"]
