"""Each fuzzer takes its first inputs, and the harness finds what it is there to find."""

from collections.abc import Callable
from pathlib import Path

import pytest

from agents.base.errors import InvalidRequest
from tests.fuzz.fuzzers import FUZZERS
from tests.fuzz.fuzzing import Found, Fuzzer, Tally, run_examples


@pytest.mark.parametrize("name", FUZZERS)
def test_the_first_seed_is_taken_and_others_are_taken_or_refused_with_a_sentence(name: str, tmp_path: Path) -> None:
    tally = Tally()
    FUZZERS[name].parse(FUZZERS[name].seeds[0], tmp_path)
    run_examples(FUZZERS[name], 40, 1, tmp_path, tmp_path / "kept", tally)
    assert tally.taken + tally.refused >= 40


def fail(content: bytes, _: Path) -> object:
    return content.index(b"b")


def refuse_without_a_word(content: bytes, _: Path) -> object:
    if b"b" in content:
        raise InvalidRequest("b is not taken.")
    raise InvalidRequest("")


@pytest.mark.parametrize(("parse", "why"), [(fail, "ValueError"), (refuse_without_a_word, "without a sentence")])
def test_what_a_parser_can_not_stand_is_found_and_kept(
    parse: Callable[[bytes, Path], object], why: str, tmp_path: Path
) -> None:
    fuzzer = Fuzzer("planted", (b"", b"a"), parse)
    with pytest.raises(Found, match=why) as found:
        run_examples(fuzzer, 40, 1, tmp_path, tmp_path / "kept", Tally())
    kept = Path(str(found.value).split("The input: ")[1].split("\n")[0])
    assert kept.name.startswith("planted-")
    assert b"b" not in kept.read_bytes()
