"""An endpoint of OpenAI's form: one question at a time, no faster than allowed, waiting when it says so."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from pydantic import SecretStr
from tenacity import RetryCallState, Retrying, retry_if_exception_type, retry_if_result, stop_after_attempt

from agents.base.dot_env import stands_in_dot_env
from agents.base.errors import InvalidSpec, NotAllowed, TunelineError, Unavailable
from agents.data.types import Message
from agents.generate.settings import EndpointSettings
from agents.generate.types import LanguageModel

TRIES = 6
LONGEST_WAIT_S = 300.0
TIMEOUT_S = 120.0
ANSWER_BYTES_MOST = 16 << 20
#: Headers that say how an answer was sent, which is no longer so once it was read.
OF_THE_WAY = ("content-encoding", "content-length", "transfer-encoding")
#: No model writes so many tokens in one answer.
TOKENS_MOST = 1 << 30
#: Statuses below 500 that may come right by themselves: timeout, conflict, too many requests.
PASSING_STATUSES = (408, 409, 429)


@dataclass(frozen=True)
class Answer:
    """What the model wrote, and what that took. `cost_usd`: None where it is not known."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None


class ChatEndpoint:
    """Asks a model. `wait`: called with seconds in place of sleeping; what it raises, such as a cancel, ends `ask`."""

    def __init__(
        self, settings: EndpointSettings, config: LanguageModel, http: httpx.Client, wait: Callable[[float], None]
    ) -> None:
        self.model = _model(settings, config)
        self._key = _key(settings)
        self._url = f"{settings.gen_base_url.rstrip('/')}/chat/completions"
        self._config = config
        self._http = http
        self._wait = wait
        self._next_at = 0.0

    def ask(self, messages: Sequence[Message], seed: int) -> Answer:
        """Return the answer to `messages`, after as many tries as it takes and is allowed.

        Raises:
            NotAllowed: the key is refused, or its credit is spent.
            InvalidSpec: the endpoint can't take such a request.
            Unavailable: it doesn't answer, or goes on asking to wait.
        """
        body = {
            "model": self.model,
            "messages": list(messages),
            "temperature": self._config.temperature,
            "seed": seed,
            "response_format": {"type": "json_object"},
            "usage": {"include": True},
        }
        retrying = Retrying(
            sleep=self._wait,
            stop=stop_after_attempt(TRIES),
            wait=_pause_s,
            retry=retry_if_exception_type(httpx.TransportError) | retry_if_result(_may_pass),
            retry_error_callback=self._give_up,
        )
        response: httpx.Response = retrying(self._post, body)
        if not response.is_success:
            raise self._refusal(response)
        return self._answer(response)

    def _post(self, body: dict[str, Any]) -> httpx.Response:
        self._keep_pace()
        headers = {"Authorization": f"Bearer {self._key.get_secret_value()}"}
        with self._http.stream("POST", self._url, json=body, headers=headers, timeout=TIMEOUT_S) as response:
            return self._whole(response)

    def _whole(self, response: httpx.Response) -> httpx.Response:
        """Return an answer with its content, which is read as far as an answer may be long and may take."""
        content, until = bytearray(), time.monotonic() + TIMEOUT_S
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > ANSWER_BYTES_MOST:
                raise InvalidSpec(
                    f"{self._url} answers with more than {ANSWER_BYTES_MOST >> 20} MiB.",
                    cure="Lower `llm.rows_per_request`, or check GEN_BASE_URL of the workers.",
                )
            if time.monotonic() > until:
                raise httpx.ReadTimeout(f"the answer took longer than {TIMEOUT_S:g} s")
        kept = {name: value for name, value in response.headers.items() if name not in OF_THE_WAY}
        return httpx.Response(response.status_code, headers=kept, content=bytes(content))

    def _keep_pace(self) -> None:
        pause = self._next_at - time.monotonic()
        if pause > 0:
            self._wait(pause)
        self._next_at = max(self._next_at, time.monotonic()) + 60 / self._config.requests_per_minute

    def _give_up(self, state: RetryCallState) -> None:
        response = _response(state)
        what = "doesn't answer" if response is None else f"answers {response.status_code}"
        raise Unavailable(f"{self._url} {what} after {TRIES} tries.", cure="Lower `llm.requests_per_minute`, or wait.")

    def _answer(self, response: httpx.Response) -> Answer:
        try:
            found = response.json()
            text = found["choices"][0]["message"]["content"] or ""
        except (ValueError, KeyError, IndexError, TypeError, RecursionError) as fault:
            raise InvalidSpec(
                f"{self._url} doesn't answer in OpenAI's form.", cure="Check GEN_BASE_URL of the workers."
            ) from fault
        usage = found.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        prompt, completion = _tokens(usage.get("prompt_tokens")), _tokens(usage.get("completion_tokens"))
        return Answer(str(text), prompt, completion, self._cost_usd(usage.get("cost"), prompt, completion))

    def _cost_usd(self, reported: Any, prompt_tokens: int, completion_tokens: int) -> float | None:
        # What is less than nothing, or no number, says nothing: it would give the limit back.
        if isinstance(reported, int | float) and 0 <= reported <= sys.float_info.max:
            return float(reported)
        prices = self._config.prompt_price_usd, self._config.completion_price_usd
        if prices[0] is None or prices[1] is None:
            return None
        return (prompt_tokens * prices[0] + completion_tokens * prices[1]) / 1e6

    def _refusal(self, response: httpx.Response) -> TunelineError:
        try:
            said = str(response.json()["error"]["message"])[:300]
        except (ValueError, KeyError, TypeError, RecursionError):
            said = response.reason_phrase
        said = said.replace(self._key.get_secret_value(), "***")
        if response.status_code in (401, 402, 403):
            cure = "Check OPENROUTER_API_KEY of the workers, and its credit."
            return NotAllowed(f"{self._url} refuses the key: {response.status_code} {said}.", cure=cure)
        cure = "Check `llm.model` and GEN_BASE_URL."
        return InvalidSpec(f"{self._url} refuses the request: {response.status_code} {said}.", cure=cure)


def _tokens(reported: Any) -> int:
    return int(reported) if isinstance(reported, int | float) and 0 <= reported <= TOKENS_MOST else 0


def _key(settings: EndpointSettings) -> SecretStr:
    if settings.openrouter_api_key is None:
        raise NotAllowed(
            "Generating with a language model needs a key.", cure="Set OPENROUTER_API_KEY for the workers."
        )
    if stands_in_dot_env(settings, "gen_base_url") and not stands_in_dot_env(settings, "openrouter_api_key"):
        raise NotAllowed(
            "GEN_BASE_URL comes from the .env of the workers' folder, OPENROUTER_API_KEY from elsewhere: a key is only "
            "sent to an address that was set beside it.",
            cure="Set GEN_BASE_URL in the environment, or the key in that .env.",
        )
    return settings.openrouter_api_key


def _model(settings: EndpointSettings, config: LanguageModel) -> str:
    model = config.model or settings.gen_model
    if model is None:
        raise InvalidSpec("No language model is named.", cure="Set `llm.model`, or GEN_MODEL for the workers.")
    return model


def _may_pass(response: httpx.Response) -> bool:
    return response.status_code in PASSING_STATUSES or response.status_code >= 500


def _pause_s(state: RetryCallState) -> float:
    """Return how long to wait before the next try: as the answer asks, else twice as long each time."""
    return min(LONGEST_WAIT_S, retry_after_s(_response(state)) or 2.0**state.attempt_number)


def _response(state: RetryCallState) -> httpx.Response | None:
    """Return the last try's answer; None where there was none."""
    found: httpx.Response | None = None if state.outcome is None or state.outcome.failed else state.outcome.result()
    return found


def retry_after_s(response: httpx.Response | None) -> float | None:
    """Return how long an answer asks to wait: `Retry-After` in seconds or as a date."""
    value = response.headers.get("Retry-After") if response is not None else None
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
