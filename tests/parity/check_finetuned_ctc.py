# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""A fine-tuned recogniser, the public way: convert, `from_pretrained`, forward, log-probabilities."""

from pathlib import Path

import torch
from parity.golden import GoldenCase
from transformers import AutoModelForCTC, PreTrainedModel

from hf_ssl import Data2Vec2AudioConfig
from hf_ssl.conversion import convert_checkpoint, convert_to_fairseq


def check(case: GoldenCase, folder: Path) -> None:
    case.load()
    model = _convert(case, folder, case.meta["vocab"])
    _check_padded(case, model)
    with torch.no_grad():
        logits = model(case.use("input.source_nopad")).logits
    case.compare("encoder_out_nopad", logits.transpose(0, 1))
    _check_masks(case, model)
    case.assert_all_compared()


def check_aqc(case: GoldenCase, folder: Path) -> None:
    """data2vec-aqc: also that nothing of its pre-training is in the folder, and the way back."""
    case.load()
    model = _convert(case, folder, case.meta["state_dict_keys"]["w2v_encoder.proj.weight"][0])
    _check_padded(case, model)
    case.use("input.augmentation")  # the original wants a second view even here, and does not read it
    case.assert_all_compared()
    assert {name.partition(".")[0] for name in model.state_dict()} == {"data2vec_aqc", "lm_head"}
    expected = torch.load(case.folder / "checkpoint.pt", weights_only=True)
    found = torch.load(convert_to_fairseq(folder, folder.with_name("back.pt")), weights_only=True)
    assert found["cfg"] == expected["cfg"]
    assert found["model"].keys() == expected["model"].keys()
    for name, tensor in expected["model"].items():
        is_dead = name.removeprefix("w2v_encoder.w2v_model.").startswith(("quantizer.", "project_q.", "contr_proj."))
        assert torch.equal(found["model"][name], torch.zeros_like(tensor) if is_dead else tensor), name


def _convert(case: GoldenCase, folder: Path, vocab_size: int) -> PreTrainedModel:
    symbols = [f"symbol{index}" for index in range(vocab_size - 5)]  # beside four special ones and the boundary
    dictionary = folder.with_name("dict.ltr.txt")
    dictionary.write_text("".join(f"{symbol} 1\n" for symbol in ("|", *symbols)))
    convert_checkpoint(case.folder / "checkpoint.pt", folder, dictionary=dictionary)
    dictionary.unlink()
    return AutoModelForCTC.from_pretrained(folder)


def _check_padded(case: GoldenCase, model: PreTrainedModel) -> None:
    attention_mask = (~case.use("input.padding_mask")).long()
    with torch.no_grad():
        logits = model(case.use("input.source"), attention_mask=attention_mask).logits
    case.compare("encoder_out", logits.transpose(0, 1))
    frames = model._get_feature_vector_attention_mask(logits.shape[1], attention_mask)
    case.compare("padding_mask", ~frames)
    # the original forces the blank on padded frames; our loss and our tokenizers never look at them
    forced = torch.full_like(logits, -torch.inf)
    forced[..., model.config.pad_token_id] = 0
    log_probs = torch.where(frames.unsqueeze(-1), logits, forced).log_softmax(-1)
    expected = case.tensors["log_probs"].transpose(0, 1)
    assert torch.equal(log_probs[~frames], expected[~frames])
    case.use("log_probs")
    error = (log_probs - expected)[frames].abs().max().item()
    assert error <= 1e-4 * expected[frames].square().mean().sqrt().item() + 1e-5, f"log_probs: {error:.3g}"


def _check_masks(case: GoldenCase, model: PreTrainedModel) -> None:
    """The masks of fine-tuning are random and not stored; their settings must have arrived."""
    options, config = case.meta["cfg_model_top_level"], model.config
    assert config.apply_spec_augment == options["apply_mask"]
    assert (config.mask_time_prob, config.mask_time_length) == (options["mask_prob"], options["mask_length"])
    assert config.mask_feature_prob == options["mask_channel_prob"]
    assert config.mask_feature_length == options["mask_channel_length"]
    assert config.final_dropout == options["final_dropout"]
    if isinstance(config, Data2Vec2AudioConfig):  # transformers has no such option
        assert config.local_grad_scale == options["feature_grad_mult"]
