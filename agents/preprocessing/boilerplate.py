"""Boilerplate: text that many rows share, such as a fixed instruction. Rows are compared by what differs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy
from numpy.typing import NDArray

from agents.preprocessing.windows import points_of, rolling_hashes

#: Characters before one that say whether it was to be expected: longer than what a language repeats.
CONTEXT_CHARACTERS = 16
#: A context counts from so many rows of the sample on, and from this share of them.
ROWS_LEAST, SHARE_LEAST = 10, 0.01
#: Above this share of one answer among the rows that have a context, it goes with the answer: such rows are of one
#: template, and near duplicates.
ONE_ANSWER_SHARE = 0.9
#: A character that follows a context in this share of places is to be expected there.
EXPECTED_SHARE = 0.95


def _hashes() -> NDArray[numpy.uint64]:
    return numpy.zeros(0, dtype=numpy.uint64)


def _points() -> NDArray[numpy.uint32]:
    return numpy.zeros(0, dtype=numpy.uint32)


class Seen(NamedTuple):
    """What is known of each character of texts: `contexts` uint64, hashes of what stands before it; `known`: many rows
    have that, and other answers; `expected`: they have this character there, too."""

    contexts: NDArray[numpy.uint64]
    known: NDArray[numpy.bool_]
    expected: NDArray[numpy.bool_]


@dataclass(frozen=True)
class Boilerplate:
    """`contexts`: sorted hashes of those that many rows have; `following`: what is expected there, 0 for nothing."""

    contexts: NDArray[numpy.uint64] = field(default_factory=_hashes)
    following: NDArray[numpy.uint32] = field(default_factory=_points)

    def __bool__(self) -> bool:
        return bool(len(self.contexts))

    def look(self, points: NDArray[numpy.uint32], lengths: NDArray[numpy.int64]) -> Seen:
        """Return what is known of each point of texts that lie end to end. There must be contexts."""
        contexts = _contexts_of(points, lengths)
        place = numpy.minimum(numpy.searchsorted(self.contexts, contexts), len(self.contexts) - 1)
        known = self.contexts[place] == contexts
        return Seen(contexts, known, known & (self.following[place] == points))


def find_boilerplate(texts: Sequence[str], answers: NDArray[numpy.uint64]) -> Boilerplate:
    """Return what many rows of a sample have in common though their answers differ: it can't tell the answer.

    `texts`: as they are compared; `answers`: digests of what is to be learned of each. What can be expected after what
    stands before it is found as repeated substrings are in Lee et al., "Deduplicating training data makes language
    models better" (2022); there they are taken out of texts, here they are left out of comparisons.
    """
    points, lengths = points_of(texts)
    contexts = _contexts_of(points, lengths)
    owners = numpy.repeat(numpy.arange(len(texts)), lengths)
    least = max(ROWS_LEAST, int(SHARE_LEAST * len(texts)))
    found, number, places = numpy.unique(contexts, return_inverse=True, return_counts=True)
    often = places[number] >= least
    number, owners, points = number[often], owners[often], points[often]
    _, answer = numpy.unique(answers, return_inverse=True)
    pairs = numpy.unique(number * len(texts) + owners)
    number_of, owner = numpy.divmod(pairs, max(1, len(texts)))
    rows, one_answer, _ = _commonest(number_of, answer[owner], len(found))
    _, share, following = _commonest(number, points.astype(numpy.int64), len(found))
    kept = numpy.flatnonzero((rows >= least) & (one_answer <= ONE_ANSWER_SHARE * rows))
    expected = share[kept] >= EXPECTED_SHARE * places[kept]
    return Boilerplate(found[kept], numpy.where(expected, following[kept], 0).astype(numpy.uint32))


def _commonest(
    numbers: NDArray[numpy.int64], values: NDArray[numpy.int64], count: int
) -> tuple[NDArray[numpy.int64], NDArray[numpy.int64], NDArray[numpy.int64]]:
    """Return for each number below `count` how many values it has, how many of them are its commonest, and that."""
    width = int(values.max(initial=0)) + 1
    keys, times = numpy.unique(numbers * width + values, return_counts=True)
    owner, value = numpy.divmod(keys, width)
    total, most, commonest = (numpy.zeros(count, dtype=numpy.int64) for _ in range(3))
    numpy.add.at(total, owner, times)
    order = numpy.argsort(times, kind="stable")
    # The last one that is written for an owner is its commonest.
    most[owner[order]], commonest[owner[order]] = times[order], value[order]
    return total, most, commonest


def _contexts_of(points: NDArray[numpy.uint32], lengths: NDArray[numpy.int64]) -> NDArray[numpy.uint64]:
    """Return for each point the hash of those before it in its text, with nothing where the text begins."""
    room = numpy.zeros(len(points) + CONTEXT_CHARACTERS * len(lengths), dtype=numpy.uint32)
    places = numpy.arange(len(points)) + CONTEXT_CHARACTERS * (1 + numpy.repeat(numpy.arange(len(lengths)), lengths))
    room[places] = points
    found: NDArray[numpy.uint64] = rolling_hashes(room, CONTEXT_CHARACTERS)[places - CONTEXT_CHARACTERS]
    return found
