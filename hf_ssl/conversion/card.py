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

{input}

## Limits

- Who trained the original on what, and what it may be used for, is not in the checkpoint. The licence given above is
  what the person who converted it said: `unknown` if nothing.
{limits}
"""


_PADDING_LIMIT = (
    "As in the original, padded frames take part in the convolutions, so that results depend a little on how much an\n"
    "  utterance was padded in its batch. `config.convolve_padding = False` ends that, at the price of other numbers."
)


class CardUse(NamedTuple):
    """How a folder is opened.

    Attributes:
        auto_class: Name of the Auto class of the model.
        processor_class: Name of the Auto class of its preprocessor.
        pipeline_tag: Task of `transformers.pipeline`, if the model has one.
        field: `"speech"` or `"vision"`.
        sampling_rate: Of audio, if that is what it reads.
    """

    auto_class: str
    processor_class: str
    pipeline_tag: str | None
    field: str
    sampling_rate: int | None


class CardFacts(NamedTuple):
    """What the card says.

    Attributes:
        model_class: Name of our class.
        use: How it is opened.
        license: Identifier of a licence, as the Hub knows them.
        file_name: The original's, without folders.
        sha256: Of the original.
        num_updates: Optimizer steps of the original.
        limits: Further sentences.
    """

    model_class: str
    use: CardUse
    license: str
    file_name: str
    sha256: str
    num_updates: int
    limits: Sequence[str]


def make_card(facts: CardFacts) -> ModelCard:
    """The card, with metadata that the Hub reads."""
    use = facts.use
    is_speech = use.sampling_rate is not None
    metadata = ModelCardData(
        library_name="transformers",
        license=facts.license,
        pipeline_tag=use.pipeline_tag,
        tags=["hf_ssl", "data2vec2", use.field, "custom_code"],
    )
    read = f"Audio is mono, {use.sampling_rate} Hz" if is_speech else "Images are RGB, of any size"
    limits = [_PADDING_LIMIT, *facts.limits] if is_speech else facts.limits
    content = _TEMPLATE.format(
        metadata=metadata.to_yaml(),
        title=facts.file_name,
        input=f"{read}; the processor does the rest.",
        limits="\n".join(f"- {limit}" for limit in limits),
        auto_class=use.auto_class,
        processor_class=use.processor_class,
        **{name: value for name, value in facts._asdict().items() if name not in ("limits", "use")},
    )
    return ModelCard(content.rstrip() + "\n")
