# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""README.md of a converted folder."""

from collections.abc import Sequence
from typing import NamedTuple

from huggingface_hub import ModelCard, ModelCardData

_TEMPLATE = """\
---
{metadata}
---

# {title}

{model_class}, converted by `hf_ssl` from an original checkpoint of the fairseq toolkit. Weights and configuration are
the original's; nothing was trained since.

| converted from | |
|---|---|
| file | `{file_name}` |
| SHA-256 | `{sha256}` |
| optimizer steps of the original | {num_updates} |

## Use

With the package `hf_ssl` installed:

```python
import hf_ssl  # registers the classes with the Auto classes
from transformers import {processor_class}, {auto_class}

processor = {processor_class}.from_pretrained("FOLDER_OR_REPOSITORY")
model = {auto_class}.from_pretrained("FOLDER_OR_REPOSITORY")
```

Without it, add `trust_remote_code=True` to `{auto_class}.from_pretrained`: the code lies beside the weights.

Audio is mono, {sampling_rate} Hz; the processor does the rest.

## Limits

- Who trained the original on what, and what it may be used for, is not in the checkpoint. The licence given above is
  what the person who converted it said: `unknown` if nothing.
- As in the original, padded frames take part in the convolutions, so that results depend a little on how much an
  utterance was padded in its batch. `config.convolve_padding = False` ends that, at the price of other numbers.
{limits}
"""


class CardFacts(NamedTuple):
    """What the card says.

    Attributes:
        model_class: Name of our class.
        auto_class: Name of the Auto class that opens the folder.
        processor_class: Name of the Auto class that opens its preprocessor.
        pipeline_tag: Task of `transformers.pipeline`, if the model has one.
        license: Identifier of a licence, as the Hub knows them.
        file_name: The original's, without folders.
        sha256: Of the original.
        num_updates: Optimizer steps of the original.
        sampling_rate: Of its audio.
        limits: Further sentences.
    """

    model_class: str
    auto_class: str
    processor_class: str
    pipeline_tag: str | None
    license: str
    file_name: str
    sha256: str
    num_updates: int
    sampling_rate: int
    limits: Sequence[str]


def make_card(facts: CardFacts) -> ModelCard:
    """The card, with metadata that the Hub reads."""
    metadata = ModelCardData(
        library_name="transformers",
        license=facts.license,
        pipeline_tag=facts.pipeline_tag,
        tags=["hf_ssl", "data2vec2", "speech", "custom_code"],
    )
    content = _TEMPLATE.format(
        metadata=metadata.to_yaml(),
        title=facts.file_name,
        limits="\n".join(f"- {limit}" for limit in facts.limits),
        **{name: value for name, value in facts._asdict().items() if name != "limits"},
    )
    return ModelCard(content.rstrip() + "\n")
