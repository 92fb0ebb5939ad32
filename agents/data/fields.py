"""Fields of rows and turns: which are known to be harmless, and the count of those that were not used."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from agents.data.files.records import shortened

#: Fields that tell where a row is from, and nothing that a model could learn: they are left unused without a word.
HARMLESS = frozenset(
    {
        *(
            "id",
            "ids",
            "uid",
            "uuid",
            "guid",
            "idx",
            "index",
            "row",
            "number",
            "no",
            "nr",
            "key",
            "hash",
            "sha256",
            "md5",
        ),
        *(
            "source",
            "origin",
            "dataset",
            "data_source",
            "dataset_name",
            "subset",
            "file",
            "file_name",
            "filename",
            "path",
        ),
        *("url", "link", "uri", "license", "version", "revision", "fold", "lang", "language", "locale", "domain"),
        *("timestamp", "time", "date", "datetime", "created", "updated", "modified", "year"),
        *(
            "author",
            "user",
            "user_name",
            "username",
            "annotator",
            "annotators",
            "worker",
            "model",
            "generator",
            "provider",
        ),
        *("meta", "metadata", "length", "token_count", "num_tokens", "n_tokens", "num_turns", "turns", "hashes"),
        *("__index_level_0__", "unnamed: 0", "finish_reason", "usage", "parallel_tool_calls", "cache_control"),
        *("tool_choice", "temperature", "top_p", "max_tokens", "max_completion_tokens", "stream", "seed"),
    }
)
#: Ends of such names: `tweet_id`, `created_at`.
HARMLESS_ENDS = ("_id", "_ids", "_idx", "_index", "_at", "_url", "_hash", "_sha256", "_date", "_time", "_timestamp")
CAMEL_CASE = re.compile("(?<=[a-z])(?=[A-Z])")
#: Fields that hold what is no text: a row with something in them can't be learned as text alone.
MEDIA_FIELDS = frozenset(
    {
        *("image", "images", "image_url", "image_urls", "image_path", "image_paths", "image_file", "img", "img_path"),
        *("audio", "audios", "audio_url", "audio_path", "video", "videos", "video_url", "video_path"),
        *("pixel_values", "pictures"),
    }
)
#: Names that are counted, so that rows with names without end don't fill the memory; the others are counted as one.
COUNTED_NAMES, OTHER_NAMES = 1000, "other fields"


def is_harmless(name: str) -> bool:
    """Say whether a field is known to tell nothing that a model could learn; `createdAt` is `created_at`."""
    plain = CAMEL_CASE.sub("_", name.strip()).casefold().replace("-", "_")
    return plain in HARMLESS or plain.endswith(HARMLESS_ENDS)


def is_empty(value: Any) -> bool:
    """Say whether a field holds nothing: rows of one table have the fields of all others."""
    if isinstance(value, dict):
        return all(map(is_empty, value.values()))
    return value is None or (isinstance(value, str | list) and not value)


class Notes:
    """What reading has found beside the rows themselves."""

    def __init__(self) -> None:
        self.unused_fields: Counter[str] = Counter()
        """Field -> rows or turns that have something in it which is not used; a turn's as `messages.<field>`."""
        self.unlearned: Counter[str] = Counter()
        """Why answers carry no loss -> how many."""

    def unused(self, names: Iterable[str]) -> None:
        """Count fields that hold something which is not used."""
        for name in names:
            short = shortened(name)
            known = short in self.unused_fields or len(self.unused_fields) < COUNTED_NAMES
            self.unused_fields[short if known else OTHER_NAMES] += 1
