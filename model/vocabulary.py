"""The tokenizer with the marks of the project, and samples as token ids.

L is a sequence's length. Each mark is exactly one id, or nothing is trained: a `[SEG]` that is
split into `[`, `SE`, `G]` has no state of its own, and its mask would be learnt from half a word.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from schemas.errors import UsageError
from schemas.records import SEG

IMAGE, REGION, BOX = "<image>", "<region>", "<box>"
PHRASE, PHRASE_END = "<p>", "</p>"
MARKS = (IMAGE, REGION, BOX, SEG, PHRASE, PHRASE_END)
PAD, END, PLACE = "<pad>", "<end>", "{question}"
KEPT = 20_000
"""Texts whose tokens are remembered: few questions and sentences are asked of many images."""
IGNORED = -100
"""Label of tokens that are not to be learnt."""


@dataclass(frozen=True)
class Encoded:
    """A question, perhaps with its answer, as the language model reads it.

    Attributes:
        ids: Token ids; the image's place is filled with as many `<image>` as it has tokens.
        answer_from: Index of the answer's first token; the length where there is no answer.
    """

    ids: tuple[int, ...]
    answer_from: int


class Vocabulary:
    """A tokenizer that knows the marks.

    Args:
        tokenizer: Any Hugging Face tokenizer; marks that it lacks are added, and a pad token where
            it has none.
        prompt: Template of what stands before an answer, with `<image>` and `{question}` in any
            order.

    Raises:
        UsageError: A mark is not one token, there is no end token, or the template lacks a place.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, prompt: str) -> None:
        if prompt.count(IMAGE) != 1 or prompt.count(PLACE) != 1:
            raise UsageError(f"language.prompt must hold {IMAGE} and {PLACE} once: {prompt!r}")
        self.tokenizer, self.prompt = tokenizer, prompt
        missing = [mark for mark in MARKS if not _is_one(tokenizer, mark)]
        tokenizer.add_tokens(missing, special_tokens=True)
        if tokenizer.pad_token is None:
            tokenizer.add_special_tokens({"pad_token": PAD})
        if tokenizer.eos_token_id is None:
            raise UsageError("the language model's tokenizer has no end-of-sequence token")
        for mark in MARKS:
            if not _is_one(tokenizer, mark):
                split = tokenizer.tokenize(f"a {mark} b")
                raise UsageError(f"the tokenizer splits {mark} into several tokens: {split}")
        ids: Any = tokenizer.convert_tokens_to_ids(list(MARKS))
        self.id_of: dict[str, int] = dict(zip(MARKS, ids, strict=True))
        self.pad_id, self.end_id = int(tokenizer.pad_token_id), int(tokenizer.eos_token_id)

    def __len__(self) -> int:
        return len(self.tokenizer)

    @property
    def new_ids(self) -> list[int]:
        """Gives the ids whose embeddings must be learnt even where the rest is frozen."""
        return sorted({*self.id_of.values(), self.pad_id})

    @property
    def unsaid_ids(self) -> list[int]:
        """Gives the ids that no answer holds: places in a question, and padding."""
        places = (self.id_of[mark] for mark in (IMAGE, REGION, BOX))
        return sorted({*places, self.pad_id} - {self.end_id})  # padding is the end in some

    def encode(self, question: str, answer: str | None, image_tokens: int) -> Encoded:
        """Encodes a question, and its answer with the end token where there is one.

        Args:
            question: May hold one `<region>` or `<box>`.
            answer: The answer; None leaves it to the model.
            image_tokens: Tokens that stand for the image.

        Raises:
            UsageError: The question holds a mark that it may not, or more than one query.
        """
        check_question(question)
        before, after = (half.replace(PLACE, question) for half in self.prompt.split(IMAGE))
        head = self._ids(before) if before else ()
        if self.tokenizer.bos_token_id is not None:
            head = (int(self.tokenizer.bos_token_id), *head)
        prompt = [*head, *[self.id_of[IMAGE]] * image_tokens]
        prompt += self._ids(after)
        if answer is None:
            return Encoded(tuple(prompt), len(prompt))
        return Encoded((*prompt, *self._ids(answer), self.end_id), len(prompt))

    def decode(self, ids: Sequence[int]) -> str:
        """Gives the text of generated ids, marks included; padding and end are left out."""
        kept = [each for each in ids if each not in (self.pad_id, self.end_id)]
        text = self.tokenizer.decode(
            kept, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return str(text)

    def save(self, folder: Path) -> None:
        """Writes the tokenizer's files."""
        self.tokenizer.save_pretrained(folder)

    def _ids(self, text: str) -> tuple[int, ...]:
        return _encoded(self.tokenizer, text)


@functools.lru_cache(maxsize=KEPT)
def _encoded(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in tokenizer.encode(text, add_special_tokens=False))


def check_question(question: str) -> None:
    """Sees that a question holds nothing that the model would take for something else.

    Raises:
        UsageError: It holds a mark that it may not, or more than one query.
    """
    for mark in (IMAGE, SEG, PHRASE, PHRASE_END):
        if mark in question:
            raise UsageError(f"a question may not hold {mark}: {question[:200]!r}")
    if question.count(REGION) + question.count(BOX) > 1:
        raise UsageError(f"a question may hold one {REGION} or {BOX}: {question[:200]!r}")


def load_tokenizer(folder: Path | str) -> PreTrainedTokenizerBase:
    """Reads a tokenizer's files; nothing is downloaded.

    Raises:
        UsageError: There are none.
    """
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True
        )
    except (OSError, ValueError) as error:
        raise UsageError(f"no tokenizer can be read from {folder}: {error}") from error
    return tokenizer


def learn_tokenizer(texts: Iterable[str], size: int) -> PreTrainedTokenizerBase:
    """Learns a byte-level BPE from texts: what it decodes is what was encoded, whatever it is.

    Args:
        texts: Questions and answers.
        size: Tokens, at most; frequent words become one.
    """
    tokenizer: Any = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[PAD, END, *MARKS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((_plain(text) for text in texts), trainer)
    fast: Any = PreTrainedTokenizerFast
    made: PreTrainedTokenizerBase = fast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=list(MARKS),
        clean_up_tokenization_spaces=False,
    )
    return made


def _plain(text: str) -> str:
    for mark in MARKS:
        text = text.replace(mark, " ")
    return text


def _is_one(tokenizer: PreTrainedTokenizerBase, mark: str) -> bool:
    """Tells whether a mark is one token wherever it stands in a text."""
    ids = tokenizer.encode(f"a {mark} b{mark}.", add_special_tokens=False)
    known: Any = tokenizer.convert_tokens_to_ids(mark)
    return bool(known is not None and known != tokenizer.unk_token_id and ids.count(known) == 2)
