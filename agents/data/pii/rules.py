"""Personal data in text: e-mail, card, IBAN, IP address and phone number, found and masked.

Cards and IBANs count only with a right checksum, IP addresses only when they parse.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import NamedTuple


class Found(NamedTuple):
    """One finding: `text[start:end]` is a piece of personal data of `kind`."""

    kind: str
    start: int
    end: int


def is_card(text: str) -> bool:
    """Say whether 13 to 19 digits have a right checksum.

    Source: ISO/IEC 7812-1, annex B (Luhn's formula).
    """
    digits = [int(character) for character in text if character.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and len(set(digits)) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def is_iban(text: str) -> bool:
    """Say whether an account number has a right checksum. Source: ISO 13616 (modulus 97)."""
    plain = re.sub(r"\s", "", text).upper()
    return 15 <= len(plain) <= 34 and int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def is_ip(text: str) -> bool:
    """Say whether a text is an IPv4 or IPv6 address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_phone(text: str) -> bool:
    """Say whether digits with separators can be a phone number: 9 to 15 digits, and not a date or time."""
    digits = re.sub(r"\D", "", text)
    return 9 <= len(digits) <= 15 and not DATE.search(text)


DATE = re.compile(r"(?<!\d)(?:\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./]\d{4})(?!\d)")
#: Kind, pattern, further test; in the order in which they take characters away from each other.
DETECTORS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("email", re.compile(r"(?<![\w.+-])[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])"), lambda _: True),
    ("iban", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"), is_iban),
    ("card", re.compile(r"(?<![\d+.-])\d(?:[ -]?\d){12,18}(?![\d.-]\d|\d)"), is_card),
    ("ip", re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)"), is_ip),
    ("ip", re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{1,4}(?![\w:])"), is_ip),
    # International, national with its leading zero, or in North America's groups: other digits are just numbers.
    ("phone", re.compile(r"(?<![\d.,£$€])(?:\+ ?|\(?0)\d?(?:[ ().-]{0,2}\d){7,14}(?!\d)"), is_phone),
    ("phone", re.compile(r"(?<![\w.-])(?:1[ -.])?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(?![\w-])"), is_phone),
)
KINDS = tuple(dict.fromkeys(kind for kind, _, _ in DETECTORS))


def find_pii(text: str) -> list[Found]:
    """Return the personal data in a text, from left to right, no two overlapping."""
    found: list[Found] = []
    for kind, pattern, is_real in DETECTORS:
        matches = (Found(kind, *match.span()) for match in pattern.finditer(text))
        found = with_others(found, (one for one in matches if is_real(text[one.start : one.end])))
    return found


def with_others(found: Sequence[Found], others: Iterable[Found]) -> list[Found]:
    """Return findings and of others those that overlap none of them; both go from left to right, and so does this."""
    added: list[Found] = []
    place = 0
    for other in others:
        while place < len(found) and found[place].end <= other.start:
            place += 1
        if place == len(found) or other.end <= found[place].start:
            added.append(other)
    return sorted([*found, *added], key=lambda one: one.start) if added else list(found)


def mask_pii(text: str, found: Sequence[Found]) -> str:
    """Return the text with each finding replaced by its kind, such as `[PHONE]`. Findings go from left to right."""
    if not found:
        return text
    pieces, done = [], 0
    for one in found:
        pieces += [text[done : one.start], f"[{one.kind.upper()}]"]
        done = one.end
    return "".join([*pieces, text[done:]])
