# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Tests of greedy decoding, and of why transformers' `skip_special_tokens` is no way to it."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from inference_helpers import VOCABULARY, logits_of, make_tokenizer

from hf_ssl.inference import GreedyDecoder, StreamingGreedyDecoder, Word

HELLO = ["h", "h", "e", "l", "<pad>", "l", "o"]
TOKENIZER = make_tokenizer()


def decode(*pieces: list[str]):
    decoder = GreedyDecoder(TOKENIZER)
    for piece in pieces:
        decoder.add(logits_of(piece))
    return decoder.finish()


def test_doubled_letters_stay():
    assert decode(HELLO).text == "hello"
    token_ids = [[VOCABULARY[token] for token in HELLO]]
    assert TOKENIZER.batch_decode(token_ids) == ["hello"]
    # Blanks are dropped before repeats are merged. If this becomes "hello", GreedyDecoder's docstring is out of date.
    assert TOKENIZER.batch_decode(token_ids, skip_special_tokens=True) == ["helo"]


def test_special_tokens_are_no_text_and_part_repeats():
    decoding = decode(["<s>", "h", "e", "l", "<unk>", "l", "o", "</s>"])
    assert decoding.text == "hello"
    assert decoding.words == [Word("hello", 1, 7)]


def test_words_and_their_frames():
    decoding = decode(["<pad>", "|", "h", "h", "i", "<pad>", "|", "|", "<pad>", "y", "o", "|", "<pad>"])
    assert decoding.text == "hi yo"
    assert decoding.words == [Word("hi", 2, 5), Word("yo", 9, 11)]


def test_pieces_are_one_recording():
    tokens = [*HELLO, "|", *HELLO]
    whole = decode(tokens)
    assert whole.text == "hello hello"
    for cut in range(len(tokens)):
        assert decode(tokens[:cut], tokens[cut:]) == whole


@settings(max_examples=200, deadline=None)
@given(
    tokens=st.lists(st.sampled_from(["<pad>", "|", "a", "b", "<s>", "<unk>"]), max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=8),
)
def test_words_come_as_they_are_complete_and_are_those_of_transformers(tokens, cuts):
    stream, words, num_given = StreamingGreedyDecoder(TOKENIZER), [], 0
    for end in [*sorted(cuts), len(tokens)]:
        words += stream.add(logits_of(tokens[num_given:end]))
        num_given = max(num_given, end)
        given_text = "".join(token if token in "|ab" else " " for token in tokens[:num_given])
        assert len(words) == sum(bool(word.strip()) for word in given_text.split("|")[:-1])
    words += stream.finish()

    token_ids = [VOCABULARY[token if token in "|ab" else "<pad>"] for token in tokens]
    decoded = TOKENIZER.decode(token_ids, output_word_offsets=True)
    assert " ".join(word.text for word in words) == " ".join(decoded.text.split())
    assert words == [
        Word(offsets["word"], offsets["start_offset"], offsets["end_offset"]) for offsets in decoded.word_offsets
    ]
    assert decode(tokens).words == words


def test_a_stream_of_silence_holds_nothing():
    stream = StreamingGreedyDecoder(TOKENIZER)
    for _ in range(10):
        assert stream.add(logits_of(["<pad>", "|", "<s>"] * 100)) == []
    assert not stream._letter_ids
    assert stream.add(logits_of(["a", "a", "|"])) == [Word("a", 3000, 3002)]


def test_tokenizer_that_lowers():
    tokenizer = make_tokenizer()
    tokenizer.encoder = {token.upper() if len(token) == 1 else token: number for token, number in VOCABULARY.items()}
    tokenizer.decoder = {number: token for token, number in tokenizer.encoder.items()}
    tokenizer.do_lower_case = True
    decoder = GreedyDecoder(tokenizer)
    decoder.add(logits_of(HELLO))
    assert decoder.finish() == ("hello", [Word("hello", 0, 7)])


def test_decoder_begins_anew():
    decoder = GreedyDecoder(TOKENIZER)
    for _ in range(2):
        decoder.add(logits_of(["a"]))
        assert decoder.finish().text == "a"


def test_nothing_recognised():
    assert decode(["<pad>"] * 5) == ("", [])
    assert decode() == ("", [])
    assert decode(["|", "<pad>", "|"]) == ("", [])


def test_half_precision():
    decoder = GreedyDecoder(TOKENIZER)
    decoder.add(logits_of(HELLO).to(torch.bfloat16))
    assert decoder.finish().text == "hello"
