# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Tests of beam search and of the n-gram language model; those that need the extra [lm] are skipped without it."""

import sys
from pathlib import Path

import numpy as np
import pytest
from inference_helpers import logits_of, make_tokenizer
from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2ProcessorWithLM

from hf_ssl.inference import BeamSearchDecoder, Decoding, Word, make_beam_search_decoder
from hf_ssl.inference import language_model as language_model_module
from hf_ssl.inference.language_model import INSTALL_HINT, middle_of_longest_run

ARPA = Path(__file__).parents[1] / "fixtures" / "language_model" / "words.arpa"
TOKENIZER = make_tokenizer()
# Acoustically "too" is a little likelier than "two"; the language model knows "two" well and "too" hardly.
AMBIGUOUS = ["t", {"o": 0.55, "w": 0.45}, "<pad>", "o"]


@pytest.fixture
def extra() -> None:
    for module in ("pyctcdecode", "kenlm"):
        pytest.importorskip(module, reason=f"the extra [lm] is not installed: {INSTALL_HINT}")


def decode(tokens: list, language_model: Path | None = None, beam_width: int = 20, num_pieces: int = 1) -> Decoding:
    decoder = BeamSearchDecoder(TOKENIZER, make_beam_search_decoder(TOKENIZER, language_model), beam_width)
    logits = logits_of(tokens)
    for piece in np.array_split(np.arange(len(tokens)), num_pieces):
        decoder.add(logits[piece])
    return decoder.finish()


@pytest.mark.usefixtures("extra")
def test_language_model_changes_the_word():
    assert decode(AMBIGUOUS).text == "too"
    assert decode(AMBIGUOUS, ARPA).text == "two"


@pytest.mark.usefixtures("extra")
def test_language_model_has_no_say_where_the_sound_is_clear():
    assert decode(["t", "o", "<pad>", "o"], ARPA).text == "too"
    assert decode(["z", "q"], ARPA).text == "zq"  # a word that it does not know


@pytest.mark.usefixtures("extra")
def test_context_of_the_language_model():
    # After "the" comes "cat", whatever "sat" has as a word of its own.
    tokens = ["t", "h", "e", "|", {"c": 0.48, "s": 0.52}, "a", "t"]
    assert decode(tokens).text == "the sat"
    assert decode(tokens, ARPA).text == "the cat"


@pytest.mark.usefixtures("extra")
def test_weight_of_the_language_model():
    decoder = make_beam_search_decoder(TOKENIZER, ARPA, language_model_weight=0.0, word_bonus=0.0)
    search = BeamSearchDecoder(TOKENIZER, decoder, 20)
    search.add(logits_of(["a", {"b": 0.6, "c": 0.4}]))
    assert search.finish().text == "ab"


@pytest.mark.usefixtures("extra")
@pytest.mark.parametrize("language_model", [None, ARPA])
def test_doubled_letters_special_tokens_and_frames(language_model):
    tokens = ["<s>", "h", "e", "l", "<pad>", "l", "o", "<pad>", "|", "|", "t", "w", "w", "o", "</s>"]
    decoding = decode(tokens, language_model)
    assert decoding.text == "hello two"
    assert decoding.words == [Word("hello", 1, 7), Word("two", 10, 14)]


@pytest.mark.usefixtures("extra")
@pytest.mark.parametrize("num_pieces", [1, 7])
def test_long_recordings_are_cut_in_pauses(monkeypatch, num_pieces):
    sentence = [*"the", "|", *"cat", "|", *"sat", "|", *["<pad>"] * 6]
    whole = decode(sentence * 10, ARPA)
    assert whole.text == " ".join(["the cat sat"] * 10)
    monkeypatch.setattr(language_model_module, "_MAX_FRAMES", 40)
    assert decode(sentence * 10, ARPA, num_pieces=num_pieces) == whole


@pytest.mark.usefixtures("extra")
def test_decoder_begins_anew():
    decoder = BeamSearchDecoder(TOKENIZER, make_beam_search_decoder(TOKENIZER, ARPA), 20)
    for _ in range(2):
        decoder.add(logits_of(AMBIGUOUS))
        assert decoder.finish() == ("two", [Word("two", 0, 4)])
    assert decoder.finish() == ("", [])


@pytest.mark.usefixtures("extra")
def test_decoder_fits_the_processor_of_transformers(tmp_path):
    processor = Wav2Vec2ProcessorWithLM(
        Wav2Vec2FeatureExtractor(), TOKENIZER, make_beam_search_decoder(TOKENIZER, ARPA)
    )
    processor.save_pretrained(tmp_path)
    loaded = Wav2Vec2ProcessorWithLM.from_pretrained(tmp_path)
    assert loaded.decode(logits_of(AMBIGUOUS).numpy()).text == "two"


def test_words_without_a_back_off_weight_are_known():
    # The last word of the fixture has none; pyctcdecode's own reader would not know it.
    assert language_model_module._read_words(str(ARPA)) == ["the", "cat", "sat", "hello", "two", "too"]


@pytest.mark.usefixtures("extra")
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.arpa", None, "no such language model"),
        ("model.txt", "words", r"expected a language model in one of"),
        ("words.arpa", "only words", r"lists no words"),
        ("broken.arpa", "\\data\\\nngram 1=9\n\n\\1-grams:\n-1.0\tthe\n", r"that KenLM can read"),
        ("model.bin", "not a binary", r"that KenLM can read"),
    ],
)
def test_bad_language_models(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        make_beam_search_decoder(TOKENIZER, tmp_path / name)


@pytest.mark.usefixtures("extra")
def test_beam_width():
    with pytest.raises(ValueError, match="beam width of at least 1"):
        BeamSearchDecoder(TOKENIZER, make_beam_search_decoder(TOKENIZER), 0)


@pytest.mark.parametrize("missing", ["pyctcdecode", "kenlm"])
def test_missing_extra_is_named(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=r"extra \[lm\].*pip install \"hf-ssl\[lm\]\".*--no-deps pyctcdecode"):
        make_beam_search_decoder(TOKENIZER, ARPA)


@pytest.mark.parametrize(
    ("pauses", "first", "cut"),
    [("..__.....__..", 5, 10), ("___..__.", 4, 6), ("........", 4, 8), ("....____", 4, 6), ("..___...", 4, 4)],
)
def test_middle_of_longest_run(pauses, first, cut):
    assert middle_of_longest_run(np.array([sign == "_" for sign in pauses]), first) == cut
