"""What a person types at a shell to give a parameter a value."""

import json
import re
import shlex

#: Texts that YAML reads as they are, but for its words.
PLAIN = re.compile(r"[^\W\d_](?:[\w .()/%+-]*[\w)])?")
WORDS = {"true", "false", "null", "none", "yes", "no", "on", "off", "y", "n", "inf", "nan"}


def as_typed(param: str, value: str) -> str:
    """Return `-p param=value` for a text, quoted where YAML or the shell would read it otherwise."""
    plain = PLAIN.fullmatch(value) and value.casefold() not in WORDS
    return f"-p {shlex.quote(f'{param}={value if plain else json.dumps(value)}')}"
