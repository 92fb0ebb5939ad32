"""ValidationAgent: everything wrong with the rows is found, counted, shown masked, and stops the job where it must."""
# ruff: noqa: RUF001 -- labels of other widths are what is tested.

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.base.errors import InvalidData
from agents.data.pii.rules import find_pii, is_card, is_iban, mask_pii
from agents.dataset.types import DatasetOutput
from agents.validation import ValidationAgent
from agents.validation.findings import Findings
from agents.validation.sample import SAMPLE_ROWS, Sample
from agents.validation.types import ValidationConfig, ValidationOutput
from tests.conftest import MINILM, AgentBench

Validate = Callable[..., tuple[ValidationOutput, list[dict[str, Any]]]]
GOOD = [(f"message number {n} of many", "spam" if n % 4 == 0 else "ham") for n in range(40)]


@pytest.fixture
def validate(bench: AgentBench) -> Validate:
    """Run the agent on `(text, label)` rows, and return its output and the rows that passed."""

    def run(rows: list[tuple[str, str]], dropped: dict[str, int] | None = None, **options: Any) -> Any:
        lines = [{"row": n, "text": text, "label": label} for n, (text, label) in enumerate(rows, start=1)]
        artifact = bench.objects.put_artifact("".join(json.dumps(line) + "\n" for line in lines).encode())
        dataset = DatasetOutput(
            rows=artifact,
            row_count=len(rows),
            columns=["text", "label"],
            text_column="text",
            label_column="label",
            label_counts={},
            dropped=dropped or {},
            statistics={},
            source="rows.csv",
            source_sha256="0" * 64,
        )
        output = ValidationAgent().run(ValidationConfig(**options), bench.context("validation", {"dataset": dataset}))
        passed = bench.objects.get_artifact(output.rows).decode()
        return output, [json.loads(line) for line in passed.splitlines()]

    return run


def finding(bench: AgentBench, output: ValidationOutput, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(f for f in bench.objects.get_json(output.report)["findings"] if f["kind"] == kind)
    return found


def test_clean_rows_pass_unchanged_and_without_findings(validate: Validate) -> None:
    output, rows = validate(GOOD)
    assert [(row["text"], row["label"]) for row in rows] == GOOD
    assert output.findings == {}
    assert output.label_counts == {"ham": 30, "spam": 10}


def test_every_kind_of_fault_is_counted_with_its_rows(bench: AgentBench, validate: Validate) -> None:
    faults = [("  ", "ham"), ("Message  NUMBER 3 of many", "ham"), ("message number 4 of many", "ham")]
    faults += [("caf\ufffd", "ham"), ("x" * 31, "ham"), ("another one", "Ham"), ("a third", "Ham"), ("a fourth", "Ham")]
    output, rows = validate(GOOD + faults, {"missing_label": 2, "over_limit": 5}, maximum_characters=30)
    expected = {"empty": 1, "duplicate": 1, "conflicting_label": 1, "encoding_damage": 1, "too_long": 1}
    warned = {record["fields"]["kind"] for record in bench.records if record.get("event") == "finding"}
    assert warned == {"conflicting_label", "encoding_damage", "label_spelling"}
    assert output.findings == {**expected, "label_spelling": 1, "missing_label": 2}
    places = {"empty": [41], "duplicate": [42], "conflicting_label": [43], "encoding_damage": [44], "too_long": [45]}
    assert {kind: finding(bench, output, kind)["rows"] for kind in places} == places
    assert finding(bench, output, "conflicting_label")["examples"][0]["text"].startswith("'ham', but row 5 'spam': ")
    assert len(rows) == len(GOOD) + len(faults) - 1


PERSONAL = (
    "mail jo.doe@example.org, call +44 7911 123456, pay 4111 1111 1111 1111 or DE89370400440532013000 at 10.0.0.1"
)
MASKED = "mail [EMAIL], call [PHONE], pay [CARD] or [IBAN] at [IP]"


def test_personal_data_is_counted_and_masked_in_both_reports(bench: AgentBench, validate: Validate) -> None:
    output, rows = validate([*GOOD, (PERSONAL, "ham")])
    assert output.findings == {f"pii.{kind}": 1 for kind in ("card", "email", "iban", "ip", "phone")}
    assert finding(bench, output, "pii.phone")["examples"] == [{"row": 41, "text": MASKED}]
    for report in (output.report, output.report_markdown):
        text = bench.objects.get_artifact(report).decode()
        assert "[PHONE]" in text.replace("\\", "")
        assert "7911" not in text
        assert "jo.doe" not in text
    assert rows[-1]["text"] == PERSONAL


def test_personal_data_is_masked_dropped_or_fatal_as_configured(bench: AgentBench, validate: Validate) -> None:
    rows = [*GOOD, (PERSONAL, "ham")]
    assert validate(rows, pii="mask")[1][-1]["text"] == MASKED
    assert len(validate(rows, pii="drop")[1]) == len(GOOD)
    assert "rows_dropped" in bench.events()
    with pytest.raises(InvalidData, match=r"1 rows hold personal data \(1 x pii.card, 1 x pii.email"):
        validate(rows, pii="fail")


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (GOOD[:19], {}, r"19 rows are left, `minimum_rows` is 20\."),
        ([(text, "ham") for text, _ in GOOD], {}, r"All rows have the label 'ham'\."),
        ([*GOOD, ("one", "odd")], {}, r"Label 'odd' has 1 rows, `minimum_label_rows` is 3\."),
        ([*GOOD, *GOOD[:3]], {"minimum_label_share": 0.3}, r"Label 'spam' has 25.58% of the rows, less than 30.00%\."),
        ([(text, text) for text, _ in GOOD], {"maximum_labels": 9}, r"There are 40 different labels"),
        ([*GOOD, ("\ufffd 1", "ham"), ("\ufffd 2", "ham"), ("\ufffd 3", "ham")], {}, r"3 of 43 rows have damaged"),
        ([*GOOD, *[(t, "other") for t, _ in GOOD]], {}, r"40 of 80 rows conflict with another row's label"),
    ],
)
def test_rows_that_can_not_be_learnt_from_stop_the_job_for_good(
    bench: AgentBench, validate: Validate, rows: list[tuple[str, str]], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidData, match=message) as raised:
        validate(rows, **options)
    assert not raised.value.retryable
    assert raised.value.details
    # The report is there all the same, and the log says where.
    assert "validation_report" in bench.events()


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("call 09061701461 now", ["phone"]),
        ("call09050000327.", ["phone"]),
        ("(555) 123-4567 or 555-123-4567", ["phone", "phone"]),
        ("on 2012-10-12 12:30:00 or 12.10.2012", []),
        ("order 1234567890123, £1000000000, 87077", []),
        ("card 4111 1111 1111 1112", []),
        ("GB82 WEST 1234 5698 7654 32", ["iban"]),
        ("GB82 WEST 1234 5698 7654 33", []),
        ("192.168.1.300 and v1.2.3.4.5", []),
        ("fe80::1 at 12:30:45", ["ip"]),
        ("a@b.co, not a@b", ["email"]),
    ],
)
def test_only_what_is_personal_data_is_taken_for_it(text: str, kinds: list[str]) -> None:
    assert [found.kind for found in find_pii(text)] == kinds


@given(st.text(alphabet="0123456789 @.-+:aZ", max_size=60))
def test_findings_never_overlap_and_a_masked_text_holds_none_of_them(text: str) -> None:
    found = find_pii(text)
    assert all(one.end <= other.start for one, other in pairwise(found))
    masked = mask_pii(text, found)
    assert masked.count("[") == len(found)


@given(st.integers(0, 10**14))
def test_one_checksum_digit_and_no_other_makes_a_card(number: int) -> None:
    digits = f"{number:015d}"
    right = [check for check in "0123456789" if is_card(digits + check)]
    # Digits that are all the same are no card, whatever the checksum.
    assert len(right) == 1 or len(set(digits)) == 1


def test_an_iban_with_two_characters_swapped_is_none() -> None:
    assert is_iban("DE89 3704 0044 0532 0130 00")
    assert not is_iban("DE89 3704 0044 0523 0130 00")


OTHERS = [
    ("Bitte rufen Sie mich morgen an, wenn Sie Zeit haben.", "ham"),
    ("Vous avez gagn\u00e9 un voyage, r\u00e9pondez avant demain soir.", "spam"),
]


def test_languages_are_counted_and_rows_in_another_than_most_are_shown_masked(
    validate: Validate, bench: AgentBench
) -> None:
    english = [(f"I will come home at {n} and bring some bread with me, if that is fine", "ham") for n in range(30)]
    output, _ = validate(
        [*english, *[(f"{text} +49 170 1234567", label) for text, label in OTHERS], ("lol k", "spam")],
        minimum_label_rows=1,
    )
    sample = bench.objects.get_json(output.report)["sample"]
    assert sample == {"rows": 33, "languages": {"en": 30, "de": 1, "fr": 1, "und": 1}}
    found = finding(bench, output, "other_language")
    assert found["rows"] == [31, 32]
    assert found["examples"][0]["text"].startswith("de: Bitte rufen Sie mich")
    assert "[PHONE]" in found["examples"][1]["text"]
    assert output.findings["other_language"] == 2
    readable = bench.objects.get_artifact(output.report_markdown).decode()
    assert "Languages of 33 rows: en 90.9%, de 3.0%, fr 3.0%, undetermined 3.0%." in readable


def finding_told(bench: AgentBench, kind: str) -> dict[str, Any]:
    told = [r for r in bench.records if r.get("event") == "finding" and r["fields"]["kind"] == kind]
    assert {record["level"] for record in told} == {"warning"}
    fields: dict[str, Any] = told[-1]["fields"]
    return fields


UNKNOWN = {
    "Thai": ("สินค้าดีมาก", "แย่มาก"),
    "Khmer": ("ផលិតផលល្អ", "អាក្រក់"),
    "emoji": ("🦖🦖", "🦕"),
    "Amharic": ("ጥሩ", "መጥፎ"),
    "Chinese": ("这个手机的电池非常耐用", "物流太慢了"),
}


@pytest.mark.parametrize("script", UNKNOWN)
def test_what_the_tokenizer_does_not_know_is_a_warning_and_above_a_share_a_stop(
    bench: AgentBench, validate: Validate, script: str
) -> None:
    good, bad = UNKNOWN[script]
    rows = [(f"{good} {n}" if n % 2 else f"{bad} {n}", "good" if n % 2 else "bad") for n in range(40)]
    with pytest.raises(
        InvalidData, match=r"\d\d% of the tokens are unknown to the tokenizer of 'package://.*set `model`"
    ):
        validate(rows, model=MINILM, maximum_unknown_share=0.4)
    output, _ = validate(rows, model=MINILM, maximum_unknown_share=1)
    assert output.findings["unknown_tokens"] > 30
    assert "multilingual" in finding_told(bench, "unknown_tokens")["cure"]


def test_texts_that_differ_and_have_the_same_tokens_are_a_warning(bench: AgentBench, validate: Validate) -> None:
    rows = [*GOOD, *[(emoji, "spam") for emoji in "🦖🦕🦤🪿🫎"], ("[MASK] or [SEP]", "ham")]
    output, _ = validate(rows, model=MINILM)
    assert (output.findings["same_tokens"], output.findings["special_token_in_text"]) == (4, 1)
    assert finding_told(bench, "same_tokens")["first_rows"] == [42, 43, 44, 45]
    assert finding_told(bench, "special_token_in_text")["first_rows"] == [46]


@pytest.mark.parametrize("other", ["Spam", "ＳＰＡＭ", "SPAM", "spam\ufe0f"])
def test_labels_that_differ_in_how_they_are_written_are_a_warning(
    bench: AgentBench, validate: Validate, other: str
) -> None:
    rows = [(text, other if label == "spam" and n > 20 else label) for n, (text, label) in enumerate(GOOD)]
    validate(rows)
    assert other in finding_told(bench, "label_spelling")["examples"][0]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Caf\u00e9 na\u00efve", "cp1252"),
        ("\u00fcber gr\u00f6\u00dfer", "cp1252"),
        ("\u043f\u0440\u0438\u0432\u0435\u0442", "cp1251"),
    ],
)
def test_texts_that_were_read_in_a_wrong_encoding_are_a_warning_and_above_a_share_a_stop(
    bench: AgentBench, validate: Validate, text: str, encoding: str
) -> None:
    garbled = text.encode().decode(encoding)
    validate([*GOOD, (garbled, "ham"), (text, "ham")])
    assert finding_told(bench, "garbled")["first_rows"] == [41]
    with pytest.raises(InvalidData, match="5 of 45 rows were read in a wrong encoding, `maximum_garbled_share`"):
        validate([*GOOD, *[(f"{garbled} {n}", "ham") for n in range(5)]])


def test_rows_sorted_by_label_are_a_warning(bench: AgentBench, validate: Validate) -> None:
    validate(sorted(GOOD, key=lambda row: row[1]))
    assert finding_told(bench, "sorted_by_label")["examples"] == ["first 'ham'"]


def test_many_rows_left_out_stop_with_a_cure(validate: Validate) -> None:
    rows = [(f"{text} +49 170 12345{n:02}" if n > 9 else text, label) for n, (text, label) in enumerate(GOOD)]
    with pytest.raises(InvalidData, match=r"would leave out 30 of 40 rows \(75%\): 30 x pii.*`pii: mask` keeps"):
        validate(rows, pii="drop", minimum_rows=2, minimum_label_rows=1)
    assert len(validate(rows, pii="mask")[1]) == 40
    assert len(validate(rows, pii="drop", minimum_rows=2, minimum_label_rows=1, maximum_lost_share=0.75)[1]) == 10


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(min_size=1, max_size=30), min_size=3, max_size=8, unique=True), st.integers(1, 3000))
def test_a_message_is_never_as_long_as_the_data(validate: Validate, names: list[str], times: int) -> None:
    rows = [(f"text number {n}", name * times) for n, name in enumerate([*names, *names[:1]])]
    with pytest.raises(InvalidData) as raised:
        validate(rows, minimum_rows=100, minimum_label_rows=50)
    assert len(str(raised.value)) < 2000
    assert len(json.dumps(raised.value.as_record())) < 8000


def test_the_sample_is_spread_evenly_over_many_rows() -> None:
    findings, sample = Findings(1000), Sample(10 * SAMPLE_ROWS)
    for place in range(95):
        sample.look(place, place + 1, "this is plain English text for sure", "", findings)
    assert sample.figures()["rows"] == 10


@pytest.mark.parametrize("others", [[], [("a note of nothing", "none")]])
def test_many_different_numbers_are_amounts(validate: Validate, others: list[tuple[str, str]]) -> None:
    rows = [*((f"note number {n} of many", f"{n / 7:.2f}") for n in range(60)), *others]
    with pytest.raises(InvalidData, match=r"are 60 different numbers.*`task: regression`") as refused:
        validate(rows)
    assert len(refused.value.message) < 400
    # The cure cures.
    output, passed = validate(rows, task="regression")
    assert (len(passed), output.label_counts) == (len(rows), {})
    assert output.findings == ({"not_a_number": 1} if others else {})


def test_few_numbers_that_come_often_are_labels(validate: Validate) -> None:
    output, _ = validate([(f"note number {n} of many", str(n % 5 + 1)) for n in range(60)])
    assert output.label_counts == {str(stars): 12 for stars in range(1, 6)}
