# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""How well is a quantizer's codebook used? Of models that were pre-trained with one: BEST-RQ and data2vec-aqc."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from transformers import AutoConfig, AutoModelForPreTraining, PreTrainedModel

from ..models.configuration_best_rq import BestRqConfig
from ..models.configuration_data2vec_aqc import Data2VecAqcConfig
from ..models.modeling_best_rq import BestRqForPreTraining
from ..models.modeling_data2vec_aqc import Data2VecAqcForPreTraining
from ..training.monitoring import code_counts, codebook_perplexity, codebook_usage
from .encoders import FrozenEncoder
from .items import Item


class CodebookHealth(NamedTuple):
    """Use of a codebook, averaged over codebooks (or groups).

    Attributes:
        codebook_usage: Share of the codes that occur; few frames cannot use all of many codes.
        codebook_perplexity: Number of codes that, used equally often, would have the same entropy.
        codebook_size: How many there are.
        num_codes: How many vectors were quantized.
    """

    codebook_usage: float
    codebook_perplexity: float
    codebook_size: int
    num_codes: int


def load_quantizing_model(name_or_path: str, device: torch.device) -> PreTrainedModel | None:
    """The pre-training model of a folder that has a quantizer; `None` if the family has none, or its weights are not
    there (a fine-tuned model)."""
    config = AutoConfig.from_pretrained(name_or_path)
    if not isinstance(config, BestRqConfig | Data2VecAqcConfig):
        return None
    model, report = AutoModelForPreTraining.from_pretrained(
        name_or_path, config=config, dtype=torch.float32, output_loading_info=True
    )
    if any("quantizer" in name for name in report["missing_keys"]):
        return None
    return model.to(device).eval()


def measure_codebook(model: PreTrainedModel, encoder: FrozenEncoder, items: Sequence[Item]) -> CodebookHealth:
    """The codes of all frames of items; in training, data2vec-aqc quantizes the masked ones only.

    Args:
        model: From [`load_quantizing_model`].
        encoder: Prepares the items.
        items: Clips.

    Raises:
        ValueError: The model has no quantizer that is known here.
    """
    counts: torch.Tensor | int = 0
    for item in items:
        inputs = {name: tensor.to(model.device) for name, tensor in encoder.prepare(item).tensors.items()}
        codes, codebook_size = _codes(model, inputs)
        counts = counts + code_counts(codes.flatten(0, -2), codebook_size)
    assert isinstance(counts, torch.Tensor)
    return CodebookHealth(
        codebook_usage=codebook_usage(counts).item(),
        codebook_perplexity=codebook_perplexity(counts).item(),
        codebook_size=counts.shape[-1],
        num_codes=int(counts[0].sum()),
    )


@torch.no_grad()
def _codes(model: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, int]:
    """Codes `(1, num_frames, num_codebooks)`, and how many there are in a codebook."""
    match model:
        case BestRqForPreTraining():
            return model.target_codes(inputs["input_features"]), model.config.codebook_size
        case Data2VecAqcForPreTraining():
            clean, _ = model.local_features(inputs["input_values"], None)
            is_real = torch.ones(clean.normalized.shape[:2], dtype=torch.bool, device=model.device)
            return model.contrast.quantizer(clean.normalized, is_real).codes, model.config.num_codevectors_per_group
    raise ValueError(f"Expected BEST-RQ or data2vec-aqc with its quantizer, got a {type(model).__name__}.")
