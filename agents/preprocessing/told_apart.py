"""What tells near texts apart, however few characters it has: numbers, signs beside them, negations, letters."""

import re

#: Numbers in any script's digits, superscripts, fractions and circled ones.
DIGIT = r"\d\u00b2\u00b3\u00b9\u00bc-\u00be\u2070-\u2079\u2080-\u2089\u2150-\u218b\u2460-\u249b\u24ea-\u24ff"
SIGN = r"+*/^=<>%\u2212\u2013\u00d7\u00f7\u00b1\u221a"
DIGITS = re.compile(f"[{DIGIT}]+")
#: A number keeps the signs beside it: `12 - 7`, `1.5`, `50%`.
NUMBERS = re.compile(rf"[-{SIGN}]?[ ]?[{DIGIT}](?:[.,:/]?[{DIGIT}])*(?:[ ]?[-{SIGN}!])?")
WORDS = re.compile(r"[^\W\d_]+(?:['\u2019]t\b)?")
NUMBER_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion half "
    "first second third once twice"
)
#: Of languages that write words apart.
NEGATIONS = (
    "no not never none nor neither nothing nobody nowhere cannot without hardly unless except only "
    "nicht nie niemals kein keine keinen keinem keiner nichts ohne "
    "ne pas jamais rien aucun aucune sans personne "
    "nunca jam\u00e1s nada nadie ning\u00fan ninguno ninguna sin "
    "n\u00e3o nem nenhum nenhuma sem non mai nessuno senza niente "
    "niet geen nooit zonder ikke aldri uden ingen inte aldrig utan "
    "nie bez nigdy ne nen\u00ed de\u011fil yok asla tidak bukan tanpa jangan "
    "\u043d\u0435 \u043d\u0435\u0442 \u043d\u0438 \u043d\u0438\u043a\u043e\u0433\u0434\u0430 \u0431\u0435\u0437 "
    "\u043d\u0435\u043b\u044c\u0437\u044f \u043d\u0456 \u043d\u0435\u043c\u0430\u0454 "
    "\u03b4\u03b5\u03bd \u03bc\u03b7 \u03cc\u03c7\u03b9 \u03c7\u03c9\u03c1\u03af\u03c2 "
    "\u0928\u0939\u0940\u0902 \u092e\u0924 "
    "\u0644\u0627 \u0644\u0645 \u0644\u0646 \u0644\u064a\u0633 \u0644\u064a\u0633\u062a \u063a\u064a\u0631 "
    "\u0628\u062f\u0648\u0646 \u05dc\u05d0 \u05d0\u05d9\u05df \u05d1\u05dc\u05d9"
)
#: Chinese and Japanese numerals, and what negates in scripts without blanks and in Korean, where it is part of a word.
PARTS = re.compile(
    "[〇零一二三四五六七八九十百千万億亿两]|[不没沒无無未非勿别別莫]|ない|なかっ|ません|않|못|없|아니|안 |ไม่|อย่า|មិន"
)
#: Letters that name things, as in "option b"; those that are words of their own only where a text ends.
LETTERS = re.compile(r"\b[b-df-hj-np-xz]\b|\b[a-z](?=\W*$)")
TELLING = frozenset((NUMBER_WORDS + " " + NEGATIONS).split())


def telling_parts(text: str) -> list[str]:
    """Return the parts of a text in lower case that duplicates must have in common: numbers with the signs beside
    them, then words that count or negate, then single letters, each in its order."""
    found = [part.replace(" ", "") for part in NUMBERS.findall(text)]
    found += [word for word in WORDS.findall(text) if word in TELLING or (word[-1] == "t" and word[-2:-1] in "'\u2019")]
    found += LETTERS.findall(text)
    return found if text.isascii() else found + PARTS.findall(text)
