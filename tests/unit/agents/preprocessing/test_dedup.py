"""Cleaning, duplicates and splits: what preprocessing makes of rows before it makes tokens."""
# ruff: noqa: RUF001 -- texts of other scripts are what is tested.

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import networkx
import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.data.cleaning import clean_content, clean_label, clean_text, exact_key, spelling_key
from agents.data.row_keys import seen_text
from agents.data.types import SPLITS, Message, Row
from agents.preprocessing.boilerplate import Boilerplate, find_boilerplate
from agents.preprocessing.dedup import Near, bands, drop_exact, find_near, join_documents, join_templates
from agents.preprocessing.leaks import find_leaks
from agents.preprocessing.shingles import NO_BOILERPLATE, ShingleSets, compared, jaccard, shingles
from agents.preprocessing.split import TooFewGroups, split_rows
from agents.preprocessing.work_rows import WorkRows
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
def sets_of(texts: list[str], boilerplate: Boilerplate = NO_BOILERPLATE) -> Iterator[ShingleSets]:
    with TemporaryDirectory() as folder, closing(ShingleSets(Path(folder) / "x.bin", texts, boilerplate)) as sets:
        yield sets


def near(rows: list[Row], threshold: float = 0.8, *, drop: bool) -> Near:
    with at_work(rows) as work, sets_of([row.text for row in rows]) as sets:
        return find_near(sets, work.labels, threshold, drop=drop, progress=quiet)


def split(rows: list[Row], groups: Sequence[int] | None = None, seed: int = 13) -> dict[str, list[int]]:
    labels = sorted({row.label for row in rows})
    strata = numpy.array([labels.index(row.label) for row in rows])
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
        ("\uff26\uff32\uff25\uff25 \ufb01nd \uff11\uff12", "FREE find 12"),
        ("我很好，谢谢！（真的）：请坐。", "我很好，谢谢！（真的）：请坐。"),
        ("ﾃｽﾄ 「はい」～￥100／個", "ﾃｽﾄ 「はい」～￥100／個"),
        ("cafe\u0301", "caf\u00e9"),
        ("½ price ™ x²", "½ price ™ x²"),
        ("family 👨\u200d👩\u200d👧 WIN £1000!", "family 👨\u200d👩\u200d👧 WIN £1000!"),
    ],
)
def test_cleaning_changes_forms_and_blanks_and_nothing_else(text: str, cleaned: str) -> None:
    assert clean_text(text) == cleaned


@given(st.text(max_size=80))
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    for clean in (clean_text, clean_content, clean_label, exact_key):
        assert clean(clean(text)) == clean(text)


@pytest.mark.parametrize("answer", ["我很好，谢谢！（真的）：请坐。", "Ａ社は１００％です！", "ﬁrst ½ x²", "a\n\n  b"])
def test_an_answer_is_learned_as_it_is_written(answer: str) -> None:
    assert clean_content(f" {answer}\u200b \n") == answer


@pytest.mark.parametrize(
    "written",
    [
        "ham\u00a0",
        "\u3000ham",
        "\ufeffham\u200b",
        "h\u00adam",
        "ham\u200d",
        "\u2800ham\u3164 ",
        "\u2066ham\u2069",
        "\t ham\r\n",
    ],
)
def test_blanks_and_marks_that_nobody_sees_are_no_part_of_a_label(written: str) -> None:
    assert clean_label(written) == "ham"


@pytest.mark.parametrize("label", ["not urgent", "👨\u200d👩\u200d👧", "Ham", "ｈａｍ", "می\u200cخواهم", "two\nlines"])
def test_a_label_is_else_as_it_is_written(label: str) -> None:
    assert clean_label(label) == label


@pytest.mark.parametrize("other", ["Ham", "ＨＡＭ", "ham\ufe0f", "h am", "HAM "])
def test_spellings_of_one_label_have_one_key(other: str) -> None:
    assert (spelling_key(other) == spelling_key("ham")) is (other != "h am")


# -- duplicates ----------------------------------------------------------------------------------


def test_exact_duplicates_go_and_contradictions_go_altogether() -> None:
    rows = as_rows([("Hello  you", "a"), ("hello you", "a"), ("maybe", "a"), ("MAYBE", "b"), ("other", "b")])
    with at_work(rows) as work:
        kept, dropped = drop_exact(work.keys, work.labels)
        assert [row.number for row in work.read(kept)] == [1, 5]
        assert dropped == {"exact_duplicate": 1, "conflicting_label": 2}
        kept, dropped = drop_exact(work.keys, work.labels, several_answers=True)
        assert [row.number for row in work.read(kept)] == [1, 3, 4, 5]
        assert dropped == {"exact_duplicate": 1}


TOOL = "Answers with the weather of a city as the office of meteorology has it at this hour."
CHINESE = "请看客户昨天晚上写给我们的消息并决定今天要回复" * 2
LONG = "please read what the customer wrote to us yesterday evening and decide {} it has to be answered today"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is 12 + 7?", "What is 12 + 8?"),
        (LONG.format("whether 12 + 7 or"), LONG.format("whether 12 - 7 or")),
        (LONG.format("after 3 days that"), LONG.format("after 30 days that")),
        (LONG.format("after ٣ days that"), LONG.format("after ٤ days that")),
        (LONG.format("if 5² is more"), LONG.format("if 5³ is more")),
        (LONG.format("that"), LONG.format("not that")),
        (LONG.format("that"), LONG.format("never that")),
        (LONG.format("does that"), LONG.format("doesn't that")),
        (LONG.format("after two days"), LONG.format("after ten days")),
        (LONG.format("1.5 that"), LONG.format("15 that")),
        (LONG.format("for option b that"), LONG.format("for option c that")),
        (f"{LONG} a", f"{LONG} b"),
        (
            CHINESE,
            CHINESE.replace("要", "不要", 1),
        ),
    ],
)
def test_texts_that_differ_in_a_number_or_a_negation_are_never_near(one: str, other: str) -> None:
    assert jaccard(shingles(one), shingles(other)) == 0
    assert jaccard(shingles(one), shingles(one.upper())) == 1


@given(
    st.lists(
        st.text(alphabet="物流太慢客服好用坏差很真的不", min_size=2, max_size=12), min_size=2, max_size=2, unique=True
    )
)
def test_short_texts_without_blanks_that_differ_are_not_near(texts: list[str]) -> None:
    one, other = texts
    if one not in other * 2 and other not in one * 2:
        assert jaccard(shingles(one), shingles(other)) < 0.8


def test_rows_are_compared_without_what_many_share_though_their_answers_differ() -> None:
    fixed = "You are given a message that a customer sent to the desk of an online shop. Say who must answer it: "
    texts = [f"{fixed}{text}" for text in sentences(60)]
    rows = as_rows([(text, "abc"[n % 3]) for n, text in enumerate(texts)])
    plain = near(rows, drop=True)
    assert plain.kept.sum() < 60
    found = find_boilerplate([compared(exact_key(text)) for text in texts], numpy.arange(60, dtype=numpy.uint64) % 3)
    with at_work(rows) as work, sets_of(texts, found) as sets:
        told_apart = find_near(sets, work.labels, 0.8, drop=True, progress=quiet)
    assert told_apart.kept.all()
    assert len(set(told_apart.groups.tolist())) == 60


def test_rows_are_compared_by_their_system_turn_and_their_tools_and_not_by_what_these_have_in_common() -> None:
    tools = [[{"type": "function", "function": {"name": f"look_{n}", "description": TOOL * 3}}] for n in range(4)]
    asked = [f"{one} {two} {three}" for one in WORDS[:4] for two in WORDS[4:8] for three in WORDS[8:12]]
    rows = [conversation(f"You are a helpful assistant. {TOOL}", text, f"call {n}") for n, text in enumerate(asked)]
    rows = [replace(row, tools=tools[n % 4]) for n, row in enumerate(rows)]
    same = [replace(rows[0], tools=other) for other in tools[1:]]
    keys = [compared(exact_key(seen_text(row))) for row in rows]
    found = find_boilerplate(keys, numpy.arange(len(rows), dtype=numpy.uint64))
    with at_work([*rows, *same, rows[3]]) as work:
        kept, dropped = drop_exact(work.keys, work.labels, several_answers=True)
        assert (len(kept), dict(dropped)) == (len(rows) + 3, {"exact_duplicate": 1})
        assert [row.tools for row in work.read(kept[-3:])] == tools[1:]
        with sets_of([seen_text(row) for row in work.read(kept[: len(rows)])], found) as sets:
            near_ones = find_near(sets, work.labels[: len(rows)], 0.8, drop=True, progress=quiet)
    assert len(set(near_ones.groups.tolist())) == len(rows)


def conversation(system: str, asked: str, said: str) -> Row:
    turns: list[Message] = [{"role": "system", "content": system}, {"role": "user", "content": asked}]
    return Row(1, asked, said, [*turns, {"role": "assistant", "content": said}])


def test_rows_that_are_boilerplate_altogether_have_nothing_in_common() -> None:
    texts = ["one fixed sentence that all rows have in common", "another fixed sentence that all rows have in common"]
    found = find_boilerplate([compared(text) for text in texts * 20], numpy.arange(40, dtype=numpy.uint64) % 7)
    with sets_of(texts, found) as sets:
        assert jaccard(sets[0], sets[1]) == 0
    # What goes with one answer is a template, whose rows are near duplicates.
    assert not find_boilerplate([compared(texts[0])] * 12, numpy.zeros(12, dtype=numpy.uint64))


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
    texts = [
        (f"you have won a lovely prize today, and more are to come{'!' * n}", "ham" if n == 3 else "spam")
        for n in range(5)
    ]
    texts += [("something else", "ham")]
    found = near(as_rows(texts), drop=True)
    assert numpy.flatnonzero(found.kept).tolist() == [0, 3, 5]
    assert found.groups[0] == found.groups[3] != found.groups[5]


def test_parts_of_a_document_are_in_one_group_and_so_is_what_is_near_them() -> None:
    groups = numpy.array([7, 8, 9, 8, 10])
    documents = numpy.array([1, 1, 2, 3, 4], dtype=numpy.uint64)
    assert join_documents(groups, documents).tolist() == [0, 0, 2, 0, 4]


@pytest.mark.parametrize(
    ("answers", "joined", "shared_out"),
    [
        ("s" * 4 + "s" * 46 + "h" * 50, True, 0),  # A few of many rows of their label.
        ("s" * 4 + "s" * 6 + "h" * 90, False, 4),  # Too many of their label.
        ("shsh" + "s" * 46 + "h" * 50, False, 0),  # The numbers tell the label.
    ],
)
def test_rows_of_one_template_share_a_side_where_that_can_be(answers: str, joined: bool, shared_out: int) -> None:
    texts = [TEMPLATE.format(n * 37, n, n * 7) for n in range(4)] + list(sentences(96))
    with at_work(as_rows(list(zip(texts, answers, strict=True)))) as work, sets_of(texts) as sets:
        found = join_templates(numpy.arange(100), sets.templates, work.labels, has_labels=True)
    assert (len(set(found.groups[:4].tolist())) == 1) is joined
    assert len(set(found.groups[4:].tolist())) == 96
    assert found.shared_out == shared_out


# -- split ---------------------------------------------------------------------------------------


def test_each_label_is_shared_out_by_the_fractions() -> None:
    rows = labelled(500)
    placed = split(rows)
    counts = {name: sum(rows[index].label == "spam" for index in placed[name]) for name in SPLITS}
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
        return {given[index].text for index in split(given, seed=seed)["test"]}

    assert test_texts(rows, 13) == test_texts(backwards, 13)
    assert test_texts(rows, 13) != test_texts(rows, 14)


def test_a_label_of_too_few_rows_is_refused_by_name() -> None:
    rows = as_rows([(f"text {n}", "odd" if n < 2 else "even") for n in range(20)])
    with pytest.raises(TooFewGroups) as raised:
        split(rows)
    assert (raised.value.label, raised.value.groups) == ("odd", 2)
