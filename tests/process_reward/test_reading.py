from pathlib import Path

import pytest

from selfimprove import UserError
from selfimprove.process_reward.reading import read

ASKED = ({"role": "user", "content": "4 + 3 - 7 ="},)
THOUGHTS = ("\n4 + 3 = 7.\n", "Wait,  no —\n\n", "7 - 7 = 0.")


def test_every_thought_ends_where_a_token_ends(tiny_model: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    ids, ends = read(tokenizer, ASKED, "<think>", THOUGHTS)
    prompt = tokenizer.apply_chat_template(list(ASKED), add_generation_prompt=True, tokenize=False) + "<think>"
    assert [tokenizer.decode(ids[: end + 1]) for end in ends] == [prompt + "".join(THOUGHTS[: number + 1]) for number in range(3)]
    assert ends[-1] == len(ids) - 1


def test_the_tokens_of_a_trace_stay_the_same_when_thoughts_are_added(tiny_model: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    long, ends = read(tokenizer, ASKED, "<think>", THOUGHTS)
    short, first_ends = read(tokenizer, ASKED, "<think>", THOUGHTS[:2])
    assert long[: len(short)] == short and ends[:2] == first_ends


def test_a_template_that_opens_the_thinking_is_not_opened_again(tiny_model: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    plain, _ = read(tokenizer, ASKED, "<think>", THOUGHTS)
    tokenizer.chat_template = tokenizer.chat_template.replace("assistant\n' }}{% endif", "assistant\n<think>' }}{% endif")
    opening, _ = read(tokenizer, ASKED, "<think>", THOUGHTS)
    assert tokenizer.decode(opening) == tokenizer.decode(plain)


def test_an_empty_thought_is_refused(tiny_model: Path) -> None:
    from transformers import AutoTokenizer

    with pytest.raises(UserError, match=r"a thought of the question '4 \+ 3 - 7 =' is empty"):
        read(AutoTokenizer.from_pretrained(tiny_model), ASKED, "<think>", ("4.", ""))
