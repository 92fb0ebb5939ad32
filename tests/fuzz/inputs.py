"""Inputs for fuzzers: bytes made from seeds by small and large changes."""

from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

#: A change that repeats a piece makes at most this many bytes.
REPEATED_MOST_BYTES = 1 << 20
#: What parsers have stumbled over.
ODD = (
    *(
        b"\0",
        b"\r",
        b"\n",
        b"\r\n",
        b"\t",
        b'"',
        b"'",
        b"\\",
        b",",
        b";",
        b"|",
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b"-",
        b"#",
    ),
    *(b"&a ", b"*a", b"<<: *a\n", b"NaN", b"-Infinity", b"1e999", b"-0", b"9" * 400, b"1:1:1:1", b"${params.p}"),
    *(
        b"../",
        b"/",
        b"//",
        b"\xff\xfe",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\x1b]0;x\x07",
        b"a@b.cd ",
        b"(a+)+$",
        b"x" * 5000,
    ),
    *(character.encode() for character in ("\u00b2", "\u0661", "\u2028", "\u202e", "\ufeff", "\U0001f600")),
    *(b'"$ref": "#"', b'{"$ref": "file:///etc/passwd"}', b"!!python/object:os.system ", b"__proto__"),
)


@st.composite
def mutated(draw: DrawFn, seeds: Sequence[bytes], pieces: Sequence[bytes] = ()) -> bytes:
    """Draw one of the seeds with up to eight changes; `pieces`: what is put in besides `ODD`."""
    found = draw(st.sampled_from(list(seeds)))
    for _ in range(draw(st.integers(0, 8))):
        found = draw(_changed(found, (*ODD, *pieces)))
    return found


@st.composite
def _changed(draw: DrawFn, content: bytes, pieces: Sequence[bytes]) -> bytes:
    start = draw(st.integers(0, len(content)))
    end = min(len(content), start + draw(st.integers(0, 64)))
    kind = draw(st.sampled_from(["put", "replace", "remove", "repeat", "cut", "noise"]))
    piece = draw(st.sampled_from(list(pieces)))
    if kind == "put":
        return content[:start] + piece + content[start:]
    if kind == "replace":
        return content[:start] + piece + content[end:]
    if kind == "remove":
        return content[:start] + content[end:]
    if kind == "cut":
        return content[:start]
    if kind == "noise":
        return content[:start] + draw(st.binary(max_size=32)) + content[end:]
    repeated = content[start:end] or piece
    times = draw(st.sampled_from([2, 10, 100, 1_000, 10_000, 100_000]))
    return content[:start] + repeated * min(times, REPEATED_MOST_BYTES // len(repeated)) + content[end:]


def lines_of(*lines: str) -> bytes:
    """Return lines as a file has them."""
    return "".join(f"{line}\n" for line in lines).encode()
