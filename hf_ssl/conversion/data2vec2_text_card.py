# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""README.md of a converted folder of data2vec 2.0 or data2vec for text."""

from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from ..models.configuration_data2vec_pretraining import longest_text
from ..models.modeling_data2vec2_text import Data2Vec2TextForPreTraining
from ..models.modeling_data2vec_text_pretraining import Data2VecTextForPreTraining
from ..weights import file_sha256
from .data2vec2_text import TextConversion
from .fairseq_checkpoint import FairseqCheckpoint
from .record import FairseqRecord

_TEMPLATE = """\
---
{metadata}
---

# {title}

{model_class}, converted by `hf_ssl` from an original checkpoint of the fairseq toolkit. Weights and configuration are
the original's; nothing was trained since.

| converted from | |
|---|---|
| file | `{title}` |
| SHA-256 | `{sha256}` |
| optimizer steps of the original | {num_updates} |

## Use

{use}

Texts have at most {max_length} tokens, special ones included.

## Limits

- Who trained the original on what, and what it may be used for, is not in the checkpoint. The licence given above is
  what the person who converted it said: `unknown` if nothing.
{limits}
"""


_USE = """\
With the package `hf_ssl` installed:

```python
import hf_ssl  # registers the classes with the Auto classes
from transformers import AutoTokenizer, {auto_class}

tokenizer = AutoTokenizer.from_pretrained("FOLDER_OR_REPOSITORY")
model = {auto_class}.from_pretrained("FOLDER_OR_REPOSITORY")
```

Without it, add `trust_remote_code=True` to `{auto_class}.from_pretrained`: the code lies beside the weights."""
# transformers' Auto class of pre-training has its own masked language model in this place.
_USE_DATA2VEC = """\
To pre-train further, with the package `hf_ssl` installed:

```python
from hf_ssl import Data2VecTextForPreTraining
from transformers import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("FOLDER_OR_REPOSITORY")
model = Data2VecTextForPreTraining.from_pretrained("FOLDER_OR_REPOSITORY")
```

To fine-tune the encoder the package is not needed: transformers' own classes, such as
`AutoModelForSequenceClassification`, open the folder; the teacher's weights, which they report as unexpected, are for
further pre-training."""
_PADDING = (
    "As in the original, in pre-training masks may fall on padding, and padding takes part in targets and decoder\n"
    "  (`mask_padding`, `norm_targets_over_padding`, `convolve_padding`). Features do not depend on padding."
)


def make_text_card(
    checkpoint: FairseqCheckpoint, conversion: TextConversion, record: FairseqRecord, license: str
) -> ModelCard:
    """The card, with metadata that the Hub reads."""
    is_data2vec = isinstance(conversion.model, Data2VecTextForPreTraining)
    is_classifier = not isinstance(conversion.model, Data2Vec2TextForPreTraining | Data2VecTextForPreTraining)
    metadata = ModelCardData(
        library_name="transformers",
        license=license,
        pipeline_tag="text-classification" if is_classifier else None,
        tags=["hf_ssl", "data2vec" if is_data2vec else "data2vec2", "text", "custom_code"],
    )
    config: Any = conversion.model.config
    auto_class = "AutoModelForPreTraining"
    auto_class = "AutoModelForSequenceClassification" if is_classifier else auto_class
    limits = list(conversion.limits) if is_data2vec else [_PADDING, *conversion.limits]
    if record.left_out:
        limits.append(f"Not kept of the original file: {', '.join(map(repr, record.left_out))}.")
    content = _TEMPLATE.format(
        metadata=metadata.to_yaml(),
        title=Path(checkpoint.path).name,
        model_class=type(conversion.model).__name__,
        sha256=file_sha256(checkpoint.path),
        num_updates=checkpoint.num_updates,
        use=_USE_DATA2VEC if is_data2vec else _USE.format(auto_class=auto_class),
        max_length=longest_text(config),
        limits="\n".join(f"- {limit}" for limit in limits),
    )
    return ModelCard(content.rstrip() + "\n")
