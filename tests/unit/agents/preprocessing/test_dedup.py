"""Cleaning, duplicates and splits: what preprocessing makes of rows before it makes tokens."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import networkx
import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.base.errors import InvalidData
from agents.cleaning import clean_text
from agents.outputs import SPLITS
from agents.preprocessing.dedup import Near, bands, drop_exact, find_near, join_documents
from agents.preprocessing.leaks import find_leaks
from agents.preprocessing.shingles import ShingleSets, jaccard, shingles
from agents.preprocessing.split import split_rows
from agents.preprocessing.work_rows import WorkRows
from agents.rows import Row
from tests.support.rows import TEMPLATE, WORDS, as_rows, labelled, sentences

FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}


def quiet(_: int) -> None:
    """Progress that nobody asked for."""


@contextmanager
def at_work(rows: list[Row], seed: int = 13) -> Iterator[WorkRows]:
    with TemporaryDirectory() as folder, WorkRows(Path(folder) / "work.jsonl", seed, named_labels=True) as work:
        for number, row in enumerate(rows):
            work.add(row, number)
        yield work


@contextmanager
def sets_of(texts: list[str]) -> Iterator[ShingleSets]:
    with TemporaryDirectory() as folder, closing(ShingleSets(Path(folder) / "shingles.bin", texts)) as sets:
        yield sets


def near(rows: list[Row], threshold: float = 0.8, *, drop: bool) -> Near:
    with at_work(rows) as work, sets_of([row["text"] for row in rows]) as sets:
        return find_near(sets, work.labels, threshold, drop=drop, progress=quiet)


def split(rows: list[Row], groups: Sequence[int] | None = None, seed: int = 13) -> dict[str, list[int]]:
    labels = sorted({row["label"] for row in rows})
    strata = numpy.array([labels.index(row["label"]) for row in rows])
    numbers = numpy.array(range(len(rows)) if groups is None else groups)
    with at_work(rows, seed) as work:
        placed = split_rows(numbers, work.ranks, FRACTIONS, strata, labels)
    return {name: indices.tolist() for name, indices in placed.items()}


# -- cleaning ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("  two\t\n blanks\u00a0here ", "two blanks here"),
        ("zero\u200bwidth\ufeff and\x00control", "zerowidth and control"),
        ("\uff26\uff32\uff25\uff25 \ufb01nd", "FREE find"),
        ("cafe\u0301", "caf\u00e9"),
        ("½ price ™ x²", "½ price ™ x²"),
        ("family 👨\u200d👩\u200d👧 WIN £1000!", "family 👨\u200d👩\u200d👧 WIN £1000!"),
    ],
)
def test_cleaning_changes_forms_and_blanks_and_nothing_else(text: str, cleaned: str) -> None:
    assert clean_text(text) == cleaned


@given(st.text(max_size=80))
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    assert clean_text(clean_text(text)) == clean_text(text)


# -- duplicates ----------------------------------------------------------------------------------


def test_exact_duplicates_go_and_contradictions_go_altogether() -> None:
    rows = as_rows([("Hello  you", "a"), ("hello you", "a"), ("maybe", "a"), ("MAYBE", "b"), ("other", "b")])
    with at_work(rows) as work:
        kept, dropped = drop_exact(work.keys, work.labels)
        assert [row["row"] for row in work.read(kept)] == [1, 5]
        assert dropped == {"exact_duplicate": 1, "conflicting_label": 2}
        kept, dropped = drop_exact(work.keys, work.labels, several_answers=True)
        assert [row["row"] for row in work.read(kept)] == [1, 3, 4, 5]
        assert dropped == {"exact_duplicate": 1}


def test_messages_that_differ_only_in_numbers_are_near_duplicates() -> None:
    one, other = TEMPLATE.format(100, "09061701461", 7), TEMPLATE.format(25000, "0871 230", 12345)
    assert jaccard(shingles(one), shingles(TEMPLATE.format(99999, "08700621170", 31))) == 1
    assert jaccard(shingles(one), shingles(other)) > 0.8


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.text(alphabet="ab c", min_size=1, max_size=24), min_size=2, max_size=25),
    st.sampled_from([0.5, 0.7, 0.8, 1.0]),
)
def test_the_leak_report_finds_exactly_the_pairs_that_comparing_all_finds(texts: list[str], threshold: float) -> None:
    middle, sets = len(texts) // 2, [shingles(text) for text in texts]
    test, train = sets[:middle], sets[middle:]
    expected = [(i, j) for i, one in enumerate(test) for j, two in enumerate(train) if jaccard(one, two) >= threshold]
    with sets_of(texts) as kept:
        assert [kept[index].tolist() for index in range(len(texts))] == [one.tolist() for one in sets]
        found = find_leaks(kept, numpy.arange(middle), numpy.arange(middle, len(texts)), threshold)
    assert found == expected


@pytest.mark.parametrize("threshold", [0.5, 0.65, 0.8, 0.9, 1.0])
def test_lsh_overlooks_less_than_one_pair_in_ten_thousand(threshold: float) -> None:
    count, rows = bands(threshold)
    assert count >= 2
    assert count * rows <= 128
    assert (1 - threshold**rows) ** count <= 1e-4


def test_groups_are_made_of_the_pairs_above_the_threshold_and_no_others() -> None:
    texts = list(sentences(60)) + [f"{text} {WORDS[n % 15]}" for n, text in enumerate(sentences(60))] + ["a 1", "a 2"]
    sets = [shingles(text) for text in texts]
    graph = networkx.Graph()
    graph.add_nodes_from(range(len(texts)))
    graph.add_edges_from((i, j) for j in range(len(texts)) for i in range(j) if jaccard(sets[i], sets[j]) >= 0.8)
    expected = [min(networkx.node_connected_component(graph, index)) for index in range(len(texts))]
    found = near(as_rows([(text, "x") for text in texts]), drop=False)
    assert found.groups.tolist() == expected
    assert found.kept.all()
    assert len(set(expected)) < len(texts)


def test_of_near_duplicates_the_first_stays_and_those_of_another_label_stay_in_its_group() -> None:
    texts = [(TEMPLATE.format(n, n, n), "ham" if n == 3 else "spam") for n in range(5)] + [("something else", "ham")]
    found = near(as_rows(texts), drop=True)
    assert numpy.flatnonzero(found.kept).tolist() == [0, 3, 5]
    assert found.groups[0] == found.groups[3] != found.groups[5]


def test_parts_of_a_document_are_in_one_group_and_so_is_what_is_near_them() -> None:
    groups = numpy.array([7, 8, 9, 8, 10])
    documents = numpy.array([1, 1, 2, 3, 4], dtype=numpy.uint64)
    assert join_documents(groups, documents).tolist() == [0, 0, 2, 0, 4]


# -- split ---------------------------------------------------------------------------------------


def test_each_label_is_shared_out_by_the_fractions() -> None:
    rows = labelled(500)
    placed = split(rows)
    counts = {name: sum(rows[index]["label"] == "spam" for index in placed[name]) for name in SPLITS}
    assert {name: len(placed[name]) for name in SPLITS} == {"train": 400, "validation": 50, "test": 50}
    assert counts == {"train": 80, "validation": 10, "test": 10}
    assert sorted(index for indices in placed.values() for index in indices) == list(range(500))


@given(st.lists(st.tuples(st.integers(0, 12), st.sampled_from("ab")), min_size=1, max_size=60), st.integers(0, 9))
def test_no_group_is_ever_split_and_every_split_has_rows(drawn: list[tuple[int, str]], seed: int) -> None:
    drawn = drawn + [(100 + n, "ab"[n // 3]) for n in range(6)]
    rows = as_rows([(f"text {n}", label) for n, (_, label) in enumerate(drawn)])
    groups = [group for group, _ in drawn]
    placed = split(rows, groups, seed)
    sides = {name: {groups[index] for index in placed[name]} for name in SPLITS}
    assert not sides["train"] & sides["test"]
    assert not sides["train"] & sides["validation"]
    assert not sides["validation"] & sides["test"]
    assert all(placed.values())


def test_the_split_depends_on_seed_and_texts_but_not_on_the_order_of_rows() -> None:
    rows = labelled(200)
    backwards = rows[::-1]

    def test_texts(given: list[Row], seed: int) -> set[str]:
        return {given[index]["text"] for index in split(given, seed=seed)["test"]}

    assert test_texts(rows, 13) == test_texts(backwards, 13)
    assert test_texts(rows, 13) != test_texts(rows, 14)


def test_a_label_of_too_few_rows_is_refused_by_name() -> None:
    rows = as_rows([(f"text {n}", "odd" if n < 2 else "even") for n in range(20)])
    with pytest.raises(InvalidData, match="Label 'odd' has 2 different rows: too few to be in train, validation, test"):
        split(rows)
