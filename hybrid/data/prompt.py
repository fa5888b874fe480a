"""Text around video, joints and questions: the model's own chat template, cut at three places.

The template is rendered once with markers and split, so nothing about a family's format is written here.
"""

from dataclasses import dataclass

from transformers import ProcessorMixin

from hybrid.data.sample import Sample
from hybrid.errors import DataError, ModelError

JOINTS, QUESTION = "[[joints]]", "[[question]]"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Frame:
    """The fixed texts of a prompt: before the joints, between joints and question, after the question."""

    before: str
    between: str
    after: str


def render(processor: ProcessorMixin, video: bool, joints: bool) -> Frame:
    """The chat template for one user turn and the start of the answer. Raises ModelError where it drops the text."""
    content = [{"type": "video"}] if video else []
    content.append({"type": "text", "text": f"{JOINTS}\n{QUESTION}" if joints else JOINTS + QUESTION})
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    before, mark, rest = text.partition(JOINTS)
    between, question, after = rest.partition(QUESTION)
    if not mark or not question:
        raise ModelError(
            f"the chat template lost the user's text, it gave {text!r}: use an instruction-tuned checkpoint"
        )
    return Frame(before, between, after)


def question_text(sample: Sample, answer_format: str) -> str:
    """What the user asks; `letter` lists the options and asks for a letter."""
    if answer_format == "text" or sample.options is None:
        return sample.question
    letters = option_texts(sample, answer_format)
    lines = [f"{letter}. {option}" for letter, option in zip(letters, sample.options, strict=True)]
    return "\n".join([sample.question, *lines, "Answer with the letter of the right option."])


def option_texts(sample: Sample, answer_format: str) -> tuple[str, ...]:
    """What the model may say to a multiple choice, in the order of the options. Raises DataError without letters left."""
    options = sample.options or ()
    if answer_format == "letter" and len(options) > len(LETTERS):
        raise DataError(
            f"expected at most {len(LETTERS)} options with data.answer_format=letter, found {len(options)} in the sample "
            f"{sample.id!r}: use data.answer_format=text"
        )
    return tuple(LETTERS[: len(options)]) if answer_format == "letter" else tuple(options)


def answer_text(sample: Sample, answer_format: str) -> str:
    """What the model should say; intervals count from the clip's start, like `1.2 to 2.9`."""
    if sample.kind == "choice":
        return option_texts(sample, answer_format)[sample.answer]
    if sample.kind == "interval":
        start, end = (second - sample.start for second in sample.answer)
        digits = 1 if f"{start:.1f}" != f"{end:.1f}" else 3  # "1.2 to 1.2" is no interval
        return f"{start:.{digits}f} to {end:.{digits}f}"
    return sample.answer_text
