"""Specs that ask for more than a spec may: told before anything is built of them, with the figure and a cure."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import AGENTS
from agents.base.budgets import SPEC
from agents.base.errors import InvalidRequest, InvalidSpec
from pipelines.caps import Caps
from pipelines.judge import judge
from pipelines.params import combinations, substitute, variant_name
from pipelines.spec_text import parse_document, read_document
from pipelines.weights import Scales, fan_of
from tests.support.agents import TEST_AGENTS, echo, spec

#: What reading a text or judging a spec may take at its peak.
PEAK_BYTES = 64 << 20


def merges(levels: int) -> str:
    """Return levels of merge keys, each naming the one before nine times."""
    lines = ["a0: &a0 {k: v}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}], k{n}: v}}" for n in range(1, levels)]
    return "\n".join(lines)


TEXTS = {
    "merge keys": (merges(12), "it says too much"),
    "merge keys of merge keys": (
        "\n".join(["a0: &a0 {k: v}", *(f"a{n}: &a{n} {{<<: *a{n - 1}, x: *a{n - 1}}}" for n in range(1, 30))]),
        "it says too much",
    ),
    "aliases": ("\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))]), "too much"),
    "one long text many times": (f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 1000)}]", "it says too much"),
    "base 60": ("a: " + "1:" * 500_000 + "1", "a number has at most"),
    "base 60 by its tag": ("a: !!int '" + "1:" * 500_000 + "1'", "a number has at most"),
    "base 60 with a point": ("a: " + "1:" * 500_000 + "1.5", "a number has at most"),
    "hexadecimal": ("a: 0x" + "f" * 1_000_000, "a number has at most"),
    "binary": ("a: 0b" + "1" * 1_000_000, "a number has at most"),
    "octal": ("a: 0" + "7" * 1_000_000, "a number has at most"),
    "a float": ("a: 1." + "1" * 1_000_000, "a number has at most"),
    "a number of JSON": ('{"a": ' + "1" * 4_000 + "}", "a number has at most"),
    "a float of JSON": ('{"a": 1.' + "1" * 1_000_000 + "}", "a number has at most"),
    "more than 64 bits": ("a: [1, 99999999999999999999]", "a[1]: a whole number has at most 64 bits"),
    "itself in a key": ("a: &a {b: {<<: *a}}", "has itself in it"),
    "itself": ("&a [x, [*a]]", "has itself in it"),
    "deep lists": ("[" * 500_000, "nested too deep"),
    "deep mappings": ("{a: " * 200_000, "nested too deep"),
    "deep blocks": ("- " * 5_000 + "x", "nested too deep"),
    "deep by an alias": (f"a: &a {'[' * 30}{']' * 30}\nb: {'[' * 30}*a{']' * 30}", "nested too deep"),
    "many values": ("[" + "[]," * 340_000 + "]", "at most 100,000 values"),
    "many values of YAML": ("[" + "[]," * 340_000 + "a: b]", "it says too much"),
    "many keys": (
        "{"
        + ",".join(f'"{n:x}":[]' for n in range(80_000))
        + ",".join(["", *[f'"k{n:x}":0' for n in range(20_001)]])
        + "}",
        "at most 100,000 values",
    ),
    "keys that are long": (f'{{"{"k" * 900}": {json.dumps([1] * 40_000)}}}', "characters with the paths"),
    "a key that is too long": (f'{{"{"k" * 2_000}": 1}}', "a key has at most"),
    "equal keys": ("{1: a, '1': b}", "the key '1' is there twice"),
    "equal numbers": ("{16: a, 0x10: b}", "the key '16' is there twice"),
    "a key with parts": ("{[a]: b}", "can't be a key"),
    "a merge of a text": ("{<<: x}", "is not a mapping"),
    "an anchor that is not there": ("a: *b", "there is no anchor 'b'"),
    "a tag": ("a: !!omap [b: c]", "no values of the tag"),
    "another tag": ("a: !!timestamp 2001-01-01", "is not a value of the tag"),
    "two documents": ("a: b\n---\nc: d", "a second document"),
    "too long": ("x" * (SPEC.characters + 1), "at most 1,048,576 are read"),
}


@pytest.mark.parametrize(("text", "words"), TEXTS.values(), ids=TEXTS)
def test_a_text_that_says_too_much_is_refused_before_it_is_built(text: str, words: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest) as caught:
            read_document(text, "The spec")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert words in str(caught.value)
    assert len(str(caught.value)) < 2_000
    assert peak < PEAK_BYTES


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[1:30, 0x1F, 0b11, 017, 1_000, -3, +4, 0]", [90, 31, 3, 15, 1000, -3, 4, 0]),
        ("[1:30.5, .5, 1e3, -2.5e+1, 6.0, -0.0]", [90.5, 0.5, 1000.0, -25.0, 6.0, -0.0]),
        ("[yes, Off, ~, null, '', \"1\", !!str 1, =, <]", [True, False, None, None, "", "1", "1", "=", "<"]),
        ("{x: &x {a: 1}, y: &y {a: 2, b: 3}, z: {<<: [*x, *y], c: 4}}", {"a": 1, "b": 3, "c": 4}),
        ("{x: &x {a: 1}, y: {deep: &d {<<: *x, a: 2}}, z: {<<: *d}}", {"a": 2}),
        ("{'<<': 1, z: {\"<<\": 2}}", {"<<": 2}),
        ("{x: &x [1], z: [*x, *x]}", [[1], [1]]),
    ],
)
def test_what_yaml_means_stays(text: str, value: Any) -> None:
    found = read_document(text, "The spec")

    assert (found["z"] if isinstance(found, dict) else found) == value


@given(st.text(alphabet="ab:-[]{}&*<!?|>#,'\"\n \t01.e_~%@`", max_size=60))
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    said = "The spec"
    try:
        parse_document(text, "The spec")
    except InvalidRequest as fault:
        said = str(fault)

    assert said.startswith("The spec")


# -- nodes ------------------------------------------------------------------------------------------


def faults(nodes: dict[str, Any], overrides: dict[str, Any] | None = None, **fields: Any) -> dict[str, str]:
    tracemalloc.start()
    try:
        with pytest.raises(InvalidSpec) as caught:
            judge(spec(nodes, **fields), overrides or {}, {**AGENTS, **TEST_AGENTS})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < PEAK_BYTES
    assert len(str(caught.value)) < 500_000
    return {detail["path"]: detail["message"] for detail in caught.value.details}


HUNDRED = list(range(100))


@pytest.mark.parametrize(
    ("matrix", "count"),
    [
        ({"level": list(range(300)), "say": [str(n) for n in range(300)]}, "90,000"),
        ({"level": HUNDRED, "say": HUNDRED, "a": HUNDRED}, "1,000,000"),
        (dict.fromkeys("abcde", HUNDRED), "10,000,000,000"),
        ({f"k{n}": [1, 2] for n in range(400)}, "more than 1,000,000,000,000,000,000"),
        ({"level": "${params.many}"}, "50,000"),
    ],
)
def test_nodes_of_a_matrix_are_counted_before_they_are_made(matrix: dict[str, Any], count: str) -> None:
    found = faults(
        {"a": echo(matrix=matrix), "b": echo("a")}, params={"many": list(range(50_000))} if count == "50,000" else {}
    )

    assert f"makes {count} nodes" in found["nodes.a.matrix"]
    assert "TUNELINE_JOB_NODES_MOST" in found["nodes.a.matrix"]


def test_nodes_of_all_matrices_count_together_and_needs_between_them_too() -> None:
    matrix = {"level": list(range(900))}
    whole = {"a": echo(matrix=matrix), "b": echo(matrix=matrix), "c": echo(matrix=matrix)}
    between = {"a": echo(matrix=matrix), "b": echo("a", matrix=matrix)}

    assert "makes 2,700 nodes" in faults(whole)["nodes.c.matrix"]
    assert "810,000 needs" in faults(between)["nodes.b.matrix"]
    judge(spec({**between, "b": echo("join", matrix=matrix), "join": echo("a")}), {}, TEST_AGENTS)


def test_an_operator_may_say_otherwise() -> None:
    nodes = {"a": echo(matrix={"level": [1, 2, 3]}, retries=3, timeout="2h")}

    assert len(judge(spec(nodes), {}, TEST_AGENTS, Caps(3, 0, 3, 7200)).nodes) == 3
    with pytest.raises(InvalidSpec, match="TUNELINE_JOB_NODES_MOST"):
        judge(spec(nodes), {}, TEST_AGENTS, Caps(job_nodes_most=2))
    with pytest.raises(InvalidSpec, match="TUNELINE_NODE_RETRIES_MOST"):
        judge(spec(nodes), {}, TEST_AGENTS, Caps(node_retries_most=2))
    with pytest.raises(InvalidSpec, match="TUNELINE_NODE_TIMEOUT_S_MOST"):
        judge(spec(nodes), {}, TEST_AGENTS, Caps(node_timeout_s_most=7199))


LONG = "x" * 100_000
OVER = {
    "a whole value": ({"p": LONG}, {"nested": ["${params.p}"] * 1000}),
    "within a text": ({"p": LONG}, {"say": "a ${params.p} " * 1000}),
    "in many keys": ({"p": LONG}, {f"k{n}": "${params.p}" for n in range(1000)}),
    "a list": ({"p": list(range(20_000))}, {f"k{n}": "${params.p}" for n in range(1000)}),
    "a list within a text": ({"p": [LONG]}, {"say": "${params.p} " * 1000}),
    "deep below long keys": ({"p": {str(n): 1 for n in range(20_000)}}, {"k" * 900: {"k" * 901: "${params.p}"}}),
}


@pytest.mark.parametrize(("params", "config"), OVER.values(), ids=OVER)
@pytest.mark.parametrize("overridden", [False, True])
def test_parameters_are_weighed_before_they_are_put_in(
    params: dict[str, Any], config: dict[str, Any], overridden: bool
) -> None:
    given_ = {"params": dict.fromkeys(params, 1) if overridden else params}
    found = faults({"a": echo(config=config)}, params if overridden else {}, **given_)

    assert "with its parameters in place" in found["nodes.a.config"]
    assert "4,194,304" in found["nodes.a.config"]


@pytest.mark.parametrize(
    ("config", "matrix"),
    [
        ({"say": LONG}, {"level": HUNDRED}),
        ({}, {"say": [f"{n} {LONG}" for n in range(9)], "level": HUNDRED}),
        ({f"k{n}": [1] * 1_000 for n in range(20)}, {"level": list(range(50))}),
    ],
)
def test_variants_are_weighed_before_they_are_made(config: dict[str, Any], matrix: dict[str, Any]) -> None:
    found = faults({"a": echo(config=config, matrix=matrix)})

    assert "with its variants" in found["nodes.a.matrix"]


def test_long_names_are_weighed_wherever_they_would_stand() -> None:
    say = [f"{n} {'y' * 8_000}" for n in range(60)]
    found = faults({"a": echo(matrix={"say": say}), "b": echo("a", matrix={"level": list(range(60))})})

    assert "with its variants" in found["nodes.b.matrix"]


VALUES = st.recursive(
    st.none()
    | st.integers(-9, 9)
    | st.text("ab", max_size=4)
    | st.sampled_from(["${params.p}", "x${params.p}y${params.p}"]),
    lambda inside: (
        st.lists(inside, max_size=3) | st.dictionaries(st.text("kl", min_size=1, max_size=3), inside, max_size=3)
    ),
    max_leaves=8,
)


def counted(value: Any) -> int:
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(counted, below))


def texts(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(map(texts, below))


@given(VALUES, VALUES.filter(lambda value: "params" not in str(value)))
def test_a_weight_is_at_least_that_of_what_is_made(value: Any, param: Any) -> None:
    weight = Scales({"p": param}).weight(value)
    made = substitute(value, {"p": param})

    assert weight.values == counted(made)
    assert weight.characters >= texts(made)


LISTS = st.lists(st.integers(0, 99) | st.text("xy", max_size=3), min_size=1, max_size=3)


@given(st.dictionaries(st.text("ab", min_size=1, max_size=3), LISTS))
def test_a_fan_has_as_many_names_as_are_made(matrix: dict[str, list[Any]]) -> None:
    made = [variant_name("node", values, quoted=True) for values in combinations(matrix)]
    fan = fan_of("node", Scales({}).weight({}), matrix)

    assert fan.variants == len(made)
    assert fan.name_characters >= sum(map(len, made))


# -- many faults, odd numbers -----------------------------------------------------------------------


def test_no_more_faults_are_told_than_anybody_reads() -> None:
    needs = {f"n{n}": echo(f"nobody{n}") for n in range(1_500)}
    keys = {"a": echo(**{f"key{n}": n for n in range(20_000)})}
    unknown = {"a": echo(config={"say": " ".join(f"${{params.p{n}}}" for n in range(20_000))})}

    for nodes in (needs, keys, unknown):
        with pytest.raises(InvalidSpec, match="The judge stops here") as caught:
            judge(spec(nodes), {}, TEST_AGENTS)
        assert len(caught.value.details) == SPEC.faults


def test_half_open_references_are_gone_through_once() -> None:
    plan = judge(spec({"a": echo(config={"say": "${" * 500_000})}), {}, TEST_AGENTS)

    assert len(plan.nodes["a"].config["say"]) == 1_000_000


def test_a_long_chain_takes_no_more_than_its_nodes() -> None:
    nodes = {"n0": echo(), **{f"n{n}": echo(f"n{n - 1}") for n in range(1, 2_000)}}
    tracemalloc.start()
    plan = judge(spec(nodes), {}, TEST_AGENTS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(plan.nodes) == 2_000
    assert peak < PEAK_BYTES


@pytest.mark.parametrize(
    ("fields", "path", "words"),
    [
        ({"timeout": 1e300}, "nodes.a.timeout", "the most here; lower it, or the operator may raise"),
        ({"timeout": "9" * 400 + "s"}, "nodes.a.timeout", "a duration is"),
        ({"timeout": "٣s"}, "nodes.a.timeout", "a duration is"),
        ({"timeout": "365d"}, "nodes.a.timeout", "TUNELINE_NODE_TIMEOUT_S_MOST"),
        ({"timeout": float("inf")}, "nodes.a.timeout", "is not a number"),
        ({"timeout": -1}, "nodes.a.timeout", "greater than 0"),
        ({"retries": 21}, "nodes.a.retries", "21 is more than 20"),
        ({"retries": 10**30}, "nodes.a.retries", "at most 64 bits"),
        ({"retries": -1}, "nodes.a.retries", "greater than or equal to 0"),
        ({"config": {"level": float("nan")}}, "nodes.a.config.level", "is not a number"),
        ({"when": {"param": "p", "at_least": float("inf")}}, "nodes.a.when.at_least", "is not a number"),
    ],
)
def test_numbers_are_finite_and_what_a_node_asks_for_is_capped(fields: dict[str, Any], path: str, words: str) -> None:
    assert words in faults({"a": echo(**fields)}, params={"p": 1} if "when" in fields else {})[path]


def made(**llm: Any) -> dict[str, Any]:
    return {"agent": "generate", "config": {"rows": 10, "labels": ["a", "b"], "llm": {"instruction": "x", **llm}}}


def test_what_language_models_may_cost_is_capped_for_the_whole_job() -> None:
    one, many = {"g": made(maximum_cost_usd=1e9)}, {"g": {**made(), "matrix": {"seed": list(range(150))}}}
    below_nothing = {"g": made(maximum_cost_usd=-5.0)}

    assert "TUNELINE_JOB_COST_USD_MOST" in faults(one)["nodes.g.config"]
    assert any("may cost 101.00 USD together" in message for message in faults(many).values())
    assert "greater than or equal to 0" in faults(below_nothing)["nodes.g.config.llm.maximum_cost_usd"]
    judge(spec({"g": made(maximum_cost_usd=0.0)}), {}, AGENTS)
    judge(spec({"g": made(maximum_cost_usd=100.0)}), {}, AGENTS)
