"""Names of columns: those by which text and label are known, the surest first, and how names are told."""

from collections.abc import Sequence
from difflib import get_close_matches

from agents.data.files.records import shortened

#: Names that are told in a sentence.
TOLD_NAMES = 20
#: Names that one is compared with, and characters of each: what a comparison takes grows with their square.
COMPARED_NAMES, COMPARED_CHARACTERS = 1000, 64
TEXT_NAMES = (
    *("text", "message", "sms", "sentence", "review", "content", "body", "comment", "tweet", "utterance"),
    *("v2", "input", "prompt", "query", "question", "email", "document", "description", "text_raw"),
)
LABEL_NAMES = (
    *("label", "labels", "category", "class", "target", "sentiment", "intent", "topic", "tag", "type"),
    *("v1", "output", "is_spam", "spam", "rating", "stars", "y"),
)
#: The names that say what a column is for beyond doubt: they go before all others.
SURE_TEXTS, SURE_LABELS = ("text",), ("label", "labels")
#: Columns about a row, which are neither its text nor its label.
ABOUT_NAMES = frozenset(
    {
        *(
            "id",
            "idx",
            "index",
            "uid",
            "uuid",
            "guid",
            "number",
            "no",
            "nr",
            "row",
            "key",
            "hash",
            "fold",
            "split",
            "set",
        ),
        *("date", "datetime", "time", "timestamp", "created_at", "updated_at", "created", "updated", "year", "month"),
        *(
            "author",
            "user",
            "username",
            "user_id",
            "name",
            "e-mail",
            "phone",
            "source",
            "url",
            "link",
            "file",
            "filename",
        ),
        *("path", "lang", "language", "locale", "license", "version", "country", "city", "weight", "confidence"),
        *("annotator", "worker", "worker_id", "agreement", "length", "tokens", "likes", "retweets", "gender", "age"),
    }
)
KNOWN_NAMES = frozenset({*TEXT_NAMES, *LABEL_NAMES, *ABOUT_NAMES})


def listed_names(names: Sequence[str]) -> str:
    """Return names of columns for a sentence."""
    shown = ", ".join(f"'{shortened(name)}'" for name in names[:TOLD_NAMES]) or "none"
    return shown if len(names) <= TOLD_NAMES else f"{shown} and {len(names) - TOLD_NAMES} more"


def listed_labels(labels: Sequence[str]) -> str:
    """Return labels for a sentence: a few, long ones cut."""
    shown = ", ".join(shortened(label) for label in labels[:TOLD_NAMES]) or "none"
    return shown if len(labels) <= TOLD_NAMES else f"{shown} and {len(labels) - TOLD_NAMES} more"


def close_name(wanted: str, names: Sequence[str]) -> str | None:
    """Return the name that one was probably meant to be; None: nothing comes close."""
    if len(wanted) > COMPARED_CHARACTERS:
        return None
    compared = [name for name in names[:COMPARED_NAMES] if len(name) <= COMPARED_CHARACTERS]
    return next(iter(get_close_matches(wanted, compared, 1)), None)
