# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""README.md of a converted folder of data2vec 2.0 for text."""

from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData

from ..models.modeling_data2vec2_text import Data2Vec2TextForPreTraining
from .data2vec2_text import TextConversion
from .fairseq_checkpoint import FairseqCheckpoint
from .record import FairseqRecord, file_sha256

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

With the package `hf_ssl` installed:

```python
import hf_ssl  # registers the classes with the Auto classes
from transformers import AutoTokenizer, {auto_class}

tokenizer = AutoTokenizer.from_pretrained("FOLDER_OR_REPOSITORY")
model = {auto_class}.from_pretrained("FOLDER_OR_REPOSITORY")
```

Without it, add `trust_remote_code=True` to `{auto_class}.from_pretrained`: the code lies beside the weights.

Texts have at most {max_length} tokens, special ones included.

## Limits

- Who trained the original on what, and what it may be used for, is not in the checkpoint. The licence given above is
  what the person who converted it said: `unknown` if nothing.
- As in the original, in pre-training masks may fall on padding, and padding takes part in targets and decoder
  (`mask_padding`, `norm_targets_over_padding`, `convolve_padding`). Features do not depend on padding.
{limits}
"""


def make_text_card(
    checkpoint: FairseqCheckpoint, conversion: TextConversion, record: FairseqRecord, license: str
) -> ModelCard:
    """The card, with metadata that the Hub reads."""
    is_classifier = not isinstance(conversion.model, Data2Vec2TextForPreTraining)
    metadata = ModelCardData(
        library_name="transformers",
        license=license,
        pipeline_tag="text-classification" if is_classifier else None,
        tags=["hf_ssl", "data2vec2", "text", "custom_code"],
    )
    limits = list(conversion.limits)
    if record.left_out:
        limits.append(f"Not kept of the original file: {', '.join(map(repr, record.left_out))}.")
    content = _TEMPLATE.format(
        metadata=metadata.to_yaml(),
        title=Path(checkpoint.path).name,
        model_class=type(conversion.model).__name__,
        sha256=file_sha256(checkpoint.path),
        num_updates=checkpoint.num_updates,
        auto_class="AutoModelForSequenceClassification" if is_classifier else "AutoModelForPreTraining",
        max_length=conversion.model.config.max_position_embeddings,
        limits="\n".join(f"- {limit}" for limit in limits),
    )
    return ModelCard(content.rstrip() + "\n")
