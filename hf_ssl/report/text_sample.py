# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What a pre-trained model of text makes of one: which tokens were hidden, and how well it predicts them."""

from itertools import islice

import torch
from torch.nn import functional as F
from transformers import AutoModelForPreTraining, AutoTokenizer

from ..data.collators_text import DataCollatorForData2Vec2Text
from ..data.text import block_token_ids, iterate_texts, load_text_sources
from .markup import Markup, element
from .model import open_model, open_part
from .numbers import format_share
from .run_folder import Run
from .samples import SampleSource, check_index
from .section import Section

MOST_TOKENS = 128
_MASK_SEED = 0


def text_section(run: Run, source: SampleSource) -> Section:
    """A text with the hidden tokens marked, the stronger the better they were predicted.

    Raises:
        ValueError: The model or the text cannot be used.
    """
    model = open_model(AutoModelForPreTraining, run)
    tokenizer = open_part(AutoTokenizer, run)
    token_ids = _token_ids(source, tokenizer, min(MOST_TOKENS, model.config.max_position_embeddings))
    batch = DataCollatorForData2Vec2Text(model.config)([{"input_ids": token_ids, "seed": _MASK_SEED}])
    with torch.no_grad():
        outputs = model(**batch)
    hidden, predicted = outputs.mask_time_indices[0, 0], outputs.prediction_mask[0, 0]
    targets = outputs.targets[0][predicted].float()
    own = F.cosine_similarity(outputs.predictions[: int(predicted.sum())].float(), targets, dim=-1)
    similarities = torch.zeros(len(token_ids))
    similarities[predicted] = own
    share = format_share(hidden.float().mean().item())
    words = (
        f"{len(token_ids)} tokens, of which {share} were hidden from the student, as in training: these are marked, "
        f"the stronger the better their targets were predicted (cosine similarity, {own.mean().item():.2f} on "
        "average). A dot stands before each token that begins a word."
    )
    tokens = [
        _token(tokenizer.decode([token_id]), is_hidden, similarity)
        for token_id, is_hidden, similarity in zip(token_ids, hidden.tolist(), similarities.tolist(), strict=True)
    ]
    return Section(
        "A sample", [element("p", words, class_="introduction"), element("p", tokens, class_="tokens", dir="auto")]
    )


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
