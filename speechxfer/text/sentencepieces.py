"""BPE models: training with sentencepiece, loading of sentencepiece and tokenizers files.

Sources: Kudo and Richardson, EMNLP 2018; BPE: Sennrich, Haddow and Birch, ACL 2016.
"""

import io
from typing import Any

from speechxfer.errors import InputError
from speechxfer.runtime import import_extra


def train_bpe(lines: list[str], size: int) -> bytes:
    """Train a BPE model on sorted, normalised lines: one thread, every character covered, no byte pieces.

    Raises:
        InputError: `size` is less than the number of characters needs, or sentencepiece (extra ``bpe``) is not installed.
    """
    needed = len(set("".join(lines)) | {" "}) + 1
    if size < needed:
        raise InputError(
            f"vocabulary: bpe_size is {size}, but the text has {needed - 1} different characters; "
            f"expected at least {needed} (one more, for the blank); raise bpe_size, or use kind 'characters'"
        )
    model = io.BytesIO()
    _sentencepiece().SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        model_type="bpe",
        vocab_size=size,
        hard_vocab_limit=False,  # a short text gives fewer pieces
        character_coverage=1.0,
        byte_fallback=False,
        normalization_rule_name="identity",  # the lines are normalised already
        split_by_unicode_script=False,  # marks and apostrophes do not end a piece
        num_threads=1,
        shuffle_input_sentence=False,
        max_sentence_length=max(10, *(len(line.encode()) + 1 for line in lines)),  # longer ones would be skipped
        unk_id=0,  # row 0, which becomes the blank
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        minloglevel=2,
    )
    return model.getvalue()


def load_sentencepiece(model: bytes) -> Any:
    """The library's processor of a sentencepiece model; InputError if it is not installed."""
    return _sentencepiece().SentencePieceProcessor(model_proto=model)


def load_tokenizer(description: bytes) -> Any:
    """The tokenizers library's tokenizer of a ``tokenizer.json``; InputError if the library (extra ``hf``) is not installed."""
    tokenizers = import_extra("tokenizers", "hf", "vocabulary: a tokenizer.json")
    tokenizer = tokenizers.Tokenizer.from_buffer(description)
    tokenizer.no_padding()  # a saved tokenizer may be set to pad or truncate
    tokenizer.no_truncation()
    return tokenizer


def _sentencepiece() -> Any:
    return import_extra("sentencepiece", "bpe", "vocabulary: kind 'bpe'")
