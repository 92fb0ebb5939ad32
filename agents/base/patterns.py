"""Regular expressions that come from outside: run by RE2, in time that is linear in the text, with bounded memory.

Texts that come from outside, one of which is looked for as it is, need nothing but `any_of`.
"""

import re
from collections.abc import Iterable
from typing import Any

import re2

from agents.base.budgets import SCHEMA

SHOWN_CHARACTERS = 60
#: JSON Schema writes a character by its number as JavaScript does, RE2 as Perl does.
ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|.)", re.DOTALL)


def any_of(texts: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern of texts as they are, the longest first, as its one group. `texts`: one at least."""
    return re.compile(f"({'|'.join(map(re.escape, sorted(texts, key=len, reverse=True)))})")


def compiled_pattern(pattern: str) -> Any:
    """Return a pattern of RE2, whose `search` takes a text.

    Raises:
        ValueError: it is too long, or has what RE2 lacks; the message names the pattern.
    """
    if len(pattern) > SCHEMA.pattern_characters:
        raise ValueError(
            f"the pattern {_shown(pattern)} has {len(pattern):,} characters, at most {SCHEMA.pattern_characters:,} "
            "are allowed; shorten it"
        )
    options = re2.Options()
    options.max_mem = SCHEMA.pattern_bytes
    options.log_errors = False
    try:
        return re2.compile(ESCAPE.sub(_escaped, pattern), options)
    except (re2.error, UnicodeError) as fault:
        reason = fault.args[0] if fault.args else fault
        reason = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(
            f"the pattern {_shown(pattern)} can't be used ({reason[:100]}); write it in RE2's syntax, which has no "
            "lookaheads, lookbehinds and backreferences, and repeats at most 1,000 times"
        ) from fault


def _escaped(found: re.Match[str]) -> str:
    return f"\\x{{{found[1]}}}" if found[1] else found[0]


def _shown(pattern: str) -> str:
    cut = pattern if len(pattern) <= SHOWN_CHARACTERS else pattern[: SHOWN_CHARACTERS - 3] + "..."
    return f"'{cut}'"
