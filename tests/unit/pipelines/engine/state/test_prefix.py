"""Where the keys of a command are, so that every one of them gets the prefix."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import DataError

from pipelines.engine.state.prefix import prefixed, without

COMMANDS = {
    ("GET", "a"): ["GET", "p:a"],
    ("hset", "a", "field", "a"): ["hset", "p:a", "field", "a"],
    ("DEL", "a", b"b"): ["DEL", "p:a", b"p:b"],
    ("WATCH", "a", "b"): ["WATCH", "p:a", "p:b"],
    ("BLMOVE", "a", "b", 5, "LEFT", "RIGHT"): ["BLMOVE", "p:a", "p:b", 5, "LEFT", "RIGHT"],
    ("BLPOP", "a", "b", 5): ["BLPOP", "p:a", "p:b", 5],
    ("EVAL", "return 1", 2, "a", "b", "c"): ["EVAL", "return 1", 2, "p:a", "p:b", "c"],
    ("EVALSHA", "sha", 0, "c"): ["EVALSHA", "sha", 0, "c"],
    ("XREAD", "COUNT", 5, "BLOCK", 9, "STREAMS", "a", "b", "0-0", "$"): [
        *("XREAD", "COUNT", 5, "BLOCK", 9, "STREAMS", "p:a", "p:b", "0-0", "$")
    ],
    ("KEYS", "a*"): ["KEYS", "p:a*"],
    ("SCAN", "0", "MATCH", "match", "COUNT", 9): ["SCAN", "0", "MATCH", "p:match", "COUNT", 9],
    ("SCAN", "0", b"MATCH", b"a*", b"COUNT", 9): ["SCAN", "0", b"MATCH", b"p:a*", b"COUNT", 9],
    (b"XREAD", b"STREAMS", "a", "$"): [b"XREAD", b"STREAMS", "p:a", "$"],
    ("SCAN", "0"): ["SCAN", "0", "MATCH", "p:*"],
    ("XINFO STREAM", "a"): ["XINFO STREAM", "p:a"],
    ("MEMORY USAGE", "a"): ["MEMORY USAGE", "p:a"],
    ("SCRIPT LOAD", "return 1"): ["SCRIPT LOAD", "return 1"],
    ("PING",): ["PING"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_key_gets_the_prefix_and_nothing_else_does(command: tuple[object, ...]) -> None:
    assert prefixed("p:", command) == COMMANDS[command]


@pytest.mark.parametrize("command", ["FLUSHALL", "FLUSHDB", "MIGRATE", "SORT", "PUBLISH", "SWAPDB", "ZUNIONSTORE", ""])
def test_a_command_that_nobody_knows_is_refused(command: str) -> None:
    with pytest.raises(DataError, match="not a command that is known"):
        prefixed("p:", [command, "a", "b"])


@given(st.lists(st.binary(), max_size=4))
def test_answers_have_the_names_that_were_asked_for(names: list[bytes]) -> None:
    answered = [b"p:" + name for name in names]
    assert without("p:", "KEYS", answered) == names
    assert without("p:", "SCAN", (7, answered)) == (7, names)
    if names:
        assert without("p:", "BLPOP", (answered[0], b"p:value")) == (names[0], b"p:value")
    assert without("p:", "LRANGE", answered) == answered
