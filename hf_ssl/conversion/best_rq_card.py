# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""README.md of a folder that was converted from SpeechBrain's BEST-RQ."""

from huggingface_hub import ModelCard, ModelCardData

from ..weights import file_sha256
from .best_rq import BestRqConversion, SpeechBrainCheckpoint
from .best_rq_weights import HEAD, MODEL, QUANTIZER

_TEMPLATE = """\
---
{metadata}
---

# {title}

BestRqForPreTraining, converted by `hf_ssl` from a checkpoint of the SpeechBrain toolkit. The weights are the
original's; nothing was trained since.

| converted from | SHA-256 |
|---|---|
{files}

## Use

With the package `hf_ssl` installed:

```python
import hf_ssl  # registers the classes with the Auto classes
from transformers import AutoFeatureExtractor, AutoModelForPreTraining

feature_extractor = AutoFeatureExtractor.from_pretrained("FOLDER_OR_REPOSITORY")
model = AutoModelForPreTraining.from_pretrained("FOLDER_OR_REPOSITORY")
```

Without it, add `trust_remote_code=True` to both: the code lies beside the weights.

Audio is mono, {sampling_rate} Hz; the feature extractor does the rest.

## Limits

- Who trained the original on what, and what it may be used for, is not in the checkpoint. The licence given above is
  what the person who converted it said: `unknown` if nothing.
- As in the original, padded frames take part in the convolutions, so that results depend a little on how much an
  utterance was padded in its batch. `config.convolve_padding = False` and, for the features,
  `normalization = "utterance"` end that, at the price of other numbers.
{limits}
"""


def make_best_rq_card(checkpoint: SpeechBrainCheckpoint, conversion: BestRqConversion, license: str) -> ModelCard:
    """The card, with metadata that the Hub reads."""
    metadata = ModelCardData(
        library_name="transformers", license=license, tags=["hf_ssl", "best-rq", "speech", "custom_code"]
    )
    files = [f"{name}.ckpt" for name in (MODEL, QUANTIZER, HEAD)]
    content = _TEMPLATE.format(
        metadata=metadata.to_yaml(),
        title=checkpoint.folder.name,
        files="\n".join(f"| `{file}` | `{file_sha256(checkpoint.folder / file)}` |" for file in files),
        sampling_rate=conversion.feature_extractor.sampling_rate,
        limits="\n".join(f"- {limit}" for limit in conversion.limits),
    )
    return ModelCard(content.rstrip() + "\n")
