"""What is asked and answered in words, and the cuts in the chat template."""

from types import SimpleNamespace

import pytest

from hybrid.data.prompt import Frame, answer_text, option_texts, question_text, render
from hybrid.data.sample import Sample
from hybrid.errors import DataError, ModelError


def sample(**more):
    return Sample(
        **({"id": "a", "task": "limb", "question": "Which limb?", "start": 2.0, "end": 6.0, "video": "a.mp4"} | more)
    )


CHOICE = {"options": ("left arm", "right arm", "head"), "answer": 2}


def test_letters_list_the_options_and_text_does_not():
    asked = sample(**CHOICE)
    assert question_text(asked, "text") == "Which limb?"
    assert question_text(asked, "letter") == (
        "Which limb?\nA. left arm\nB. right arm\nC. head\nAnswer with the letter of the right option."
    )
    assert option_texts(asked, "text") == ("left arm", "right arm", "head")
    assert option_texts(asked, "letter") == ("A", "B", "C")
    assert (answer_text(asked, "text"), answer_text(asked, "letter")) == ("head", "C")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (3, "3"),
        ("waves", "waves"),
        ((2.5, 4.0), "0.5 to 2.0"),
        ((2.0, 5.96), "0.0 to 4.0"),
        ((3.21, 3.24), "1.210 to 1.240"),
    ],
)
@pytest.mark.parametrize("form", ["text", "letter"])
def test_open_answers_are_said_alike_and_intervals_count_from_the_clips_start(answer, said, form):
    asked = sample(answer=answer)
    assert question_text(asked, form) == "Which limb?"
    assert option_texts(asked, form) == ()
    assert answer_text(asked, form) == said


def test_more_options_than_letters_is_one_sentence():
    asked = sample(options=tuple(f"thing {i}" for i in range(27)), answer=26)
    assert answer_text(asked, "text") == "thing 26"
    for say in (question_text, answer_text):
        with pytest.raises(
            DataError, match="at most 26 options .*, found 27 in the sample 'a': use data.answer_format=text"
        ):
            say(asked, "letter")


def processor(template):
    def apply(messages, tokenize, add_generation_prompt):
        assert not tokenize and add_generation_prompt
        (message,) = messages
        parts = "".join("<video>" if part["type"] == "video" else part["text"] for part in message["content"])
        return template.format(message["role"], parts)

    return SimpleNamespace(apply_chat_template=apply)


@pytest.mark.parametrize(
    ("video", "joints", "before", "between"),
    [
        (True, True, "[user] <video>", "\n"), (True, False, "[user] <video>", ""),
        (False, True, "[user] ", "\n"), (False, False, "[user] ", ""),
    ],
)  # fmt: skip
def test_the_template_is_cut_where_joints_and_question_go(video, joints, before, between):
    assert render(processor("[{}] {} [model]"), video, joints) == Frame(before, between, " [model]")


def test_a_template_that_drops_the_text_is_one_sentence():
    with pytest.raises(ModelError, match=r"lost the user's text, it gave '\[user\]': use an instruction-tuned"):
        render(processor("[{}]"), True, True)
