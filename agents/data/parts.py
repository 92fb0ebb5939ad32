"""Long texts as parts: cut at ends of sentences so that each fits the model, the next one repeating a little."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from transformers import PreTrainedTokenizerFast

#: After which characters a sentence may be over: a stop and what closes after it, then a blank; or a line's end.
SENTENCE_END = re.compile(r"[.!?\u2026][\"'\u2019\u201d)\]]*\s+|[\u3002\uff01\uff1f]|\n+")


class Parter:
    """Cuts texts for one tokenizer. `max_tokens`: of a part, with the special tokens around it."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, max_tokens: int, overlap_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._room = max_tokens - tokenizer.num_special_tokens_to_add()
        self._overlap = min(overlap_tokens, self._room // 2)

    def parts(self, text: str) -> list[str]:
        """Return the text itself where it fits, else its parts."""
        spans = self.spans(text)
        return [text] if len(spans) == 1 else [text[begin:end].strip() for begin, end in spans]

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return where each part begins and ends.

        A part ends with a sentence, or where one sentence alone is too long between two words. The next part starts
        with the sentences that fill `overlap_tokens` at most, or with as many words of a sentence that is too long.
        """
        # No token is shorter than a byte.
        if len(text.encode("utf-8", "surrogatepass")) <= self._room:
            return [(0, len(text))]
        return list(self._spans(text, self._token_starts(text)))

    def _token_starts(self, text: str) -> list[int]:
        offsets = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        return [start for start, _ in offsets]

    def _spans(self, text: str, starts: Sequence[int]) -> Iterator[tuple[int, int]]:
        sentences = [match.end() for match in SENTENCE_END.finditer(text)]
        words = [match.end() for match in re.finditer(r"\s+", text)]
        begin = end = 0
        while (limit := self._limit(text, starts, begin)) < len(text):
            end = _last(sentences, end, limit) or _last(words, end, limit) or limit
            yield begin, end
            begin = self._next_begin(text, starts, sentences, words, (begin, end))
        yield begin, len(text)

    def _limit(self, text: str, starts: Sequence[int], begin: int) -> int:
        """Return up to where a part that begins there may go."""
        last = bisect_left(starts, begin) + self._room
        return starts[last] if last < len(starts) else len(text)

    def _next_begin(
        self, text: str, starts: Sequence[int], sentences: Sequence[int], words: Sequence[int], part: tuple[int, int]
    ) -> int:
        """Return where the part after `part` begins: so that it repeats some of it, never all, but still ends well."""
        begin, end = part
        back = max(starts[bisect_left(starts, end) - self._overlap], begin + 1) if self._overlap else end
        repeating = _next(sentences, back, end) or _next(words, back, end) or end
        for ends in (sentences, words):
            for begin in (repeating, end):
                limit = self._limit(text, starts, begin)
                if limit == len(text) or _last(ends, end, limit):
                    return begin
        return end


def _last(ends: Sequence[int], begin: int, limit: int) -> int | None:
    """Return the last of `ends` after `begin` and up to `limit`."""
    place = bisect_right(ends, limit) - 1
    return ends[place] if place >= 0 and ends[place] > begin else None


def _next(ends: Sequence[int], begin: int, limit: int) -> int | None:
    """Return the first of `ends` from `begin` on and before `limit`."""
    place = bisect_left(ends, begin)
    return ends[place] if place < len(ends) and ends[place] < limit else None
