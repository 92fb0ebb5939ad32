"""Templates with a real tokenizer: prompts are prefixes, answers and their ends are learned, misfits are refused."""

from functools import cache
from typing import TYPE_CHECKING

import pytest

from agents.base.errors import InvalidModel
from agents.chat.format import TEMPLATES
from agents.chat.markup import chat_template
from agents.chat.probing import probed_layout
from agents.chat.renderer import NoForm, Renderer, make_renderer, matching_renderer
from agents.chat.templates import ChatTemplate, LayoutTemplate
from tests.support.decoders import smollm2_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

LLAMA3_TOKENS = ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
ONE_TURN = [{"role": "user", "content": "Two plus two?"}, {"role": "assistant", "content": '{"sum": 4}'}]
LONG = [
    {"role": "system", "content": "Answer in JSON."},
    *ONE_TURN,
    {"role": "user", "content": "And\n\n  doubled, {content} {eos}?"},
    {"role": "assistant", "content": '{"sum": 8}'},
]


@cache
def tokenizer() -> "PreTrainedTokenizerFast":
    """SmolLM2's, with the tokens of Llama 3 added."""
    found = smollm2_tokenizer()
    found.add_special_tokens({"additional_special_tokens": LLAMA3_TOKENS})
    return found


def decoded(renderer: Renderer, messages: list[dict[str, str]], *, learned: bool) -> str:
    ids, mask = renderer.render(messages)
    return tokenizer().decode([one for one, chosen in zip(ids, mask, strict=True) if chosen is learned])


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("messages", [ONE_TURN, LONG])
def test_the_prompt_alone_is_the_first_part_of_the_whole(name: str, messages: list[dict[str, str]]) -> None:
    renderer = make_renderer(name, tokenizer())
    whole, mask = renderer.render(messages)
    for index, message in enumerate(messages):
        if message["role"] == "assistant":
            prompt = renderer.prompt_ids(messages[:index])
            assert whole[: len(prompt)] == prompt
            assert mask[len(prompt)]
            assert not mask[len(prompt) - 1]


@pytest.mark.parametrize("name", TEMPLATES)
def test_answers_and_the_token_that_ends_each_are_learned_and_nothing_else(name: str) -> None:
    renderer = make_renderer(name, tokenizer())
    ids, mask = renderer.render(LONG)
    end = tokenizer().decode([renderer.end_token_id])
    text = decoded(renderer, LONG, learned=True)
    assert text.replace(" ", "") == f'{{"sum":4}}{end}{{"sum":8}}{end}'
    assert (ids[-1], mask[-1]) == (renderer.end_token_id, True)
    assert "doubled, {content} {eos}?" in decoded(renderer, LONG, learned=False)


@pytest.mark.parametrize("name", TEMPLATES)
def test_generated_tokens_become_the_answer_again(name: str) -> None:
    renderer = make_renderer(name, tokenizer())
    ids, _ = renderer.render(ONE_TURN)
    generated = ids[len(renderer.prompt_ids(ONE_TURN[:1])) :]
    assert renderer.answer([*generated, 5, 6]) == '{"sum": 4}'


@pytest.mark.parametrize("name", ["chatml", "tokenizer", "llama3"])
def test_roles_of_tools_have_a_form_in_chat_templates(name: str) -> None:
    tool = [ONE_TURN[0], {"role": "tool", "content": "4"}, ONE_TURN[1]]
    assert "4" in decoded(make_renderer(name, tokenizer()), tool, learned=False)


def test_a_role_without_a_form_is_refused() -> None:
    tool = [ONE_TURN[0], {"role": "tool", "content": "4"}, ONE_TURN[1]]
    with pytest.raises(NoForm, match="'alpaca' has no form for the role 'tool'"):
        make_renderer("alpaca", tokenizer()).render(tool)


def test_a_template_whose_tokens_the_tokenizer_lacks_is_refused() -> None:
    with pytest.raises(InvalidModel, match=r"needs the tokens <\|start_header_id\|>"):
        make_renderer("llama3", smollm2_tokenizer())


def test_a_tokenizer_without_a_template_gets_alpaca_and_can_not_be_asked_for_its_own() -> None:
    plain = smollm2_tokenizer()
    plain.chat_template = None
    assert make_renderer(None, plain).template.name == "alpaca"
    assert make_renderer(None, tokenizer()).template.name == "tokenizer"
    with pytest.raises(InvalidModel, match="no chat template of its own"):
        make_renderer("tokenizer", plain)


def test_a_chat_template_without_an_end_or_that_rewrites_earlier_turns_is_refused() -> None:
    endless, rewriting = smollm2_tokenizer(), smollm2_tokenizer()
    endless.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    rewriting.chat_template = "{{ messages | length }}{% for m in messages %}{{ m['content'] }}<|im_end|>{% endfor %}"
    with pytest.raises(InvalidModel, match="ends an answer without a special token"):
        make_renderer("tokenizer", endless)
    with pytest.raises(InvalidModel, match="writes earlier turns anew"):
        make_renderer("tokenizer", rewriting)


def test_fingerprints_differ_by_template_and_special_tokens_and_a_mismatch_is_refused() -> None:
    prints = {make_renderer(name, tokenizer()).fingerprint for name in TEMPLATES}
    assert len(prints) == len(TEMPLATES)
    made_with = make_renderer("chatml", smollm2_tokenizer()).format(10)
    assert matching_renderer(smollm2_tokenizer(), made_with).fingerprint == made_with.fingerprint
    with pytest.raises(InvalidModel, match="made with a template 'chatml' of fingerprint"):
        matching_renderer(tokenizer(), made_with)


def test_texts_of_special_tokens_are_seen() -> None:
    renderer = make_renderer("chatml", tokenizer())
    assert renderer.has_special_text([{"role": "user", "content": "stop <|im_end|> here"}])
    assert not renderer.has_special_text(LONG)


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("text", ["Use mv <filename> new", "<gh_stars>", "a<repo_name><reponame> <file_sep>\n<s> </s>"])
def test_a_text_that_looks_like_a_special_token_which_the_template_has_not_is_text(name: str, text: str) -> None:
    renderer = make_renderer(name, tokenizer())
    turns = [{"role": "user", "content": text}, {"role": "assistant", "content": text}]
    ids, mask = renderer.render(turns)
    assert not renderer.has_special_text(turns)
    assert renderer.answer([one for one, learned in zip(ids, mask, strict=True) if learned]) == text
    assert renderer.prompt_ids(turns[:1]) == ids[: mask.index(True)]
    texts = {
        token for token in ("<filename>", "<gh_stars>", "<repo_name>", "<reponame>", "<file_sep>") if token in text
    }
    assert not texts & {tokenizer().decode([one]) for one in ids}


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_template_that_files_carry_writes_what_was_trained(name: str) -> None:
    template = make_renderer(name, tokenizer()).template
    for messages in (ONE_TURN[:1], LONG[:2], LONG[:4], ONE_TURN):
        opens = messages[-1]["role"] != "assistant"
        text = tokenizer().apply_chat_template(
            messages, chat_template=chat_template(template), tokenize=False, add_generation_prompt=opens
        )
        assert text.rstrip("\n" if not opens else "") == "".join(
            piece.text for piece in template.pieces(messages)
        ).rstrip("\n" if not opens else "")


def test_a_chat_template_of_plain_turns_is_read_off_and_any_other_is_not() -> None:
    own = ChatTemplate(smollm2_tokenizer())
    layout = probed_layout(own)
    assert layout is not None
    assert layout.opening.startswith("<|im_start|>system\nYou are a helpful AI assistant")
    text = "".join(piece.text for piece in LayoutTemplate("x", layout, "", "").pieces(LONG[:4]))
    assert text == "".join(piece.text for piece in own.pieces(LONG[:4]))
    counting = smollm2_tokenizer()
    counting.chat_template = (
        "{% for m in messages %}{{ loop.index }} {{ m['content'] }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}:{% endif %}"
    )
    assert probed_layout(ChatTemplate(counting)) is None
