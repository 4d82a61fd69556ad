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

{use}

{input}

## Limits

- Who trained the original on what, and what it may be used for, is not in the checkpoint. The licence given above is
  what the person who converted it said: `unknown` if nothing.
{limits}
"""

_LOADING = """\
```python
{imports}
from transformers import {processor_class}, {auto_class}

processor = {processor_class}.from_pretrained("FOLDER_OR_REPOSITORY")
model = {auto_class}.from_pretrained("FOLDER_OR_REPOSITORY")
```"""

_PADDING_OPTION = " `config.convolve_padding = False` ends that, at the price of other numbers."
_NEEDS_PACKAGE = """\
Without it, add `trust_remote_code=True` to `{auto_class}.from_pretrained`: the code lies beside the weights."""
_PRETRAINED_ENCODER = """\
To fine-tune the encoder the package is not needed: transformers' own classes, such as `AutoModelForCTC`, open the
folder; the teacher's weights, which they report as unexpected, are for further pre-training."""


_PADDING_LIMIT = (
    "As in the original, padded frames take part in the convolutions, so that results depend a little on how much an\n"
    "  utterance was padded in its batch."
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
        is_transformers_own: Whether the encoder is one of transformers' own.
        family: Tag of the family.
    """

    model_class: str
    use: CardUse
    license: str
    file_name: str
    sha256: str
    num_updates: int
    limits: Sequence[str]
    is_transformers_own: bool = False
    family: str = "data2vec2"


def make_card(facts: CardFacts) -> ModelCard:
    """The card, with metadata that the Hub reads."""
    use = facts.use
    is_speech = use.sampling_rate is not None
    custom_code = [] if facts.is_transformers_own and use.pipeline_tag else ["custom_code"]
    metadata = ModelCardData(
        library_name="transformers",
        license=facts.license,
        pipeline_tag=use.pipeline_tag,
        tags=["hf_ssl", facts.family, use.field, *custom_code],
    )
    read = f"Audio is mono, {use.sampling_rate} Hz" if is_speech else "Images are RGB, of any size"
    padding = _PADDING_LIMIT + ("" if facts.is_transformers_own else _PADDING_OPTION)
    limits = [padding, *facts.limits] if is_speech else facts.limits
    content = _TEMPLATE.format(
        metadata=metadata.to_yaml(),
        title=facts.file_name,
        input=f"{read}; the processor does the rest.",
        use=_use(facts),
        limits="\n".join(f"- {limit}" for limit in limits),
        **{name: value for name, value in facts._asdict().items() if name not in ("limits", "use")},
    )
    return ModelCard(content.rstrip() + "\n")


def _use(facts: CardFacts) -> str:
    classes = {"processor_class": facts.use.processor_class, "auto_class": facts.use.auto_class}
    if facts.is_transformers_own and facts.use.pipeline_tag:
        return "With transformers alone:\n\n" + _LOADING.replace("{imports}\n", "").format(**classes)
    loading = _LOADING.format(imports="import hf_ssl  # registers the classes with the Auto classes", **classes)
    parts = ["With the package `hf_ssl` installed:", loading, _NEEDS_PACKAGE.format(**classes)]
    return "\n\n".join([*parts, _PRETRAINED_ENCODER] if facts.is_transformers_own else parts)
