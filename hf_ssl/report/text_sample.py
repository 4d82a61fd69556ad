# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What a pre-trained model of text makes of one: which tokens were hidden, and how well it predicts them."""

from itertools import islice
from typing import Any

import torch
from transformers import AutoModelForPreTraining, AutoTokenizer

from ..data.pretraining_collators import text_collator
from ..data.text import block_token_ids, iterate_texts, load_text_sources
from ..models.configuration_data2vec_pretraining import longest_text
from ..models.modeling_data2vec_text_pretraining import Data2VecTextForPreTraining
from .markup import Markup, element
from .model import open_model, open_part
from .numbers import format_share
from .run_folder import Run
from .samples import SampleSource, check_index
from .section import Section
from .similarities import others_in_words, similarities

MOST_TOKENS = 128
_MASK_SEED = 0


def text_section(run: Run, source: SampleSource) -> Section:
    """A text with the hidden tokens marked, the stronger the better they were predicted.

    Raises:
        ValueError: The model or the text cannot be used.
    """
    model = open_model(_model_class(run), run)
    tokenizer = open_part(AutoTokenizer, run)
    token_ids = _token_ids(source, tokenizer, min(MOST_TOKENS, longest_text(model.config)))
    batch = text_collator(model.config, tokenizer.mask_token_id)([{"input_ids": token_ids, "seed": _MASK_SEED}])
    with torch.no_grad():
        found = similarities(model(**batch))
    share = format_share(found.hidden.float().mean().item())
    words = (
        f"{len(token_ids)} tokens, of which {share} were hidden from the student, as in training: these are marked, "
        "the stronger the better their targets were predicted. A dot stands before each token that begins a word. "
        f"Cosine similarity {found.own.mean().item():.2f} on average{others_in_words(found, 'token')}."
    )
    tokens = [
        _token(tokenizer.decode([token_id]), is_hidden, similarity)
        for token_id, is_hidden, similarity in zip(
            token_ids, found.hidden.tolist(), found.by_position.tolist(), strict=True
        )
    ]
    return Section(
        "A sample", [element("p", words, class_="introduction"), element("p", tokens, class_="tokens", dir="auto")]
    )


def _model_class(run: Run) -> Any:
    """Of data2vec its name, for the Auto class opens transformers' masked language model."""
    return Data2VecTextForPreTraining if run.config.get("model_type") == "data2vec-text" else AutoModelForPreTraining


def _token_ids(source: SampleSource, tokenizer, most: int) -> list[int]:
    """The text at the index and those that follow it, packed as in training."""
    column = source.text_column or "text"
    table = load_text_sources(source.data, split=source.split_name, text_column=column)
    texts = list(islice(iterate_texts(table, column), source.index + MOST_TOKENS))
    check_index(source.index, len(texts))
    begin, end = block_token_ids(tokenizer)
    token_ids = [begin]
    for text in texts[source.index :]:
        token_ids += [*tokenizer(text, add_special_tokens=False)["input_ids"], end]
        if len(token_ids) >= most:
            break
    return token_ids[:most]


def _token(text: str, is_hidden: bool, similarity: float) -> Markup:
    visible = text.replace("\n", "⏎")
    if text.startswith(" "):
        visible = f"·{visible[1:]}"
    if not is_hidden:
        return element("span", visible, class_="token")
    strength = f"--how: {100 * min(max(similarity, 0.0), 1.0) * 0.55:.0f}%"
    return element("span", visible, class_="token masked", style=strength, title=f"similarity {similarity:.2f}")
