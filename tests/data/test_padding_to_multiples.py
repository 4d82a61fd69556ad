# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Padding of batches of audio up to a few lengths: what models make of the clips stays as it is."""

from typing import Any

import numpy as np
import pytest
import torch
from families import FAMILIES
from transformers import PreTrainedModel, Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2Processor

from hf_ssl import BestRqFeatureExtractor
from hf_ssl.data import DataCollatorForAudioClassification, DataCollatorForCTC
from hf_ssl.data.augmentation import AugmentationArguments, WaveformAugmentation
from hf_ssl.data.pretraining_collators import speech_collator
from hf_ssl.data.skipped import SkippedFiles

SPEECH = {family.name: family for family in FAMILIES if family.name.endswith(("audio", "aqc", "rq"))}
MULTIPLE = 6000  # samples
LENGTHS = (9000, 7100)
WITHOUT_RANDOMNESS = {"mask_noise_std": 0.0, "feat_quantizer_dropout": 0.0}


def items() -> list[dict[str, Any]]:
    generator = np.random.default_rng(0)
    return [{"input_values": generator.normal(0, 0.1, n).astype(np.float32), "seed": n} for n in LENGTHS]


def extractor_of(name: str) -> Any:
    if name == "best-rq":
        return BestRqFeatureExtractor()
    return Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)


def make_model(name: str) -> PreTrainedModel:
    torch.manual_seed(0)
    config = SPEECH[name].make_config()
    config.update({key: value for key, value in WITHOUT_RANDOMNESS.items() if key in config.to_dict()})
    return SPEECH[name].classes["AutoModelForPreTraining"](config).eval()


@pytest.mark.parametrize("name", SPEECH)
def test_more_padding_changes_nothing(name: str) -> None:
    model = make_model(name)
    batches, outputs = [], []
    for multiple in (None, MULTIPLE):
        batches.append(speech_collator(model.config, extractor_of(name), None, multiple)(items()))
        with torch.no_grad():
            outputs.append(model(**batches[-1]))
    short, long = batches
    main = model.main_input_name
    assert long[main].shape[1] == (76 if name == "best-rq" else 12000)  # 75 hops
    assert torch.equal(long["attention_mask"].sum(-1), short["attention_mask"].sum(-1))
    num_frames = short["mask_time_indices"].shape[-1]
    assert torch.equal(long["mask_time_indices"][..., :num_frames], short["mask_time_indices"])
    assert not long["mask_time_indices"][..., num_frames:].any()
    assert (long["labels"][..., num_frames:] == -100).all()
    torch.testing.assert_close(long[main][:, : short[main].shape[1]], short[main])

    is_real = outputs[0].frame_mask
    targets = [output.codes if name == "best-rq" else output.targets for output in outputs]
    # data2vec's convolutional positions are transformers', which see what is behind the end of a clip
    close = {"rtol": 0.0, "atol": 1.0} if name == "data2vec-audio" else {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(targets[1][:, :num_frames][is_real], targets[0][is_real], **close)
    # the negatives of data2vec-aqc are drawn for other numbers of clusters
    losses = [output.regression_loss if name == "data2vec-aqc" else output.loss for output in outputs]
    torch.testing.assert_close(losses[1], losses[0], rtol=0.05 if name == "data2vec-audio" else 1e-5, atol=0)


def test_both_views_of_data2vec_aqc() -> None:
    augmentation = WaveformAugmentation(
        AugmentationArguments(gain_prob=1.0), sampling_rate=16000, skipped=SkippedFiles()
    )
    config = SPEECH["data2vec-aqc"].make_config()
    batch = speech_collator(config, extractor_of("data2vec-aqc"), augmentation, MULTIPLE)(items())
    assert batch["augmented_values"].shape == batch["input_values"].shape == (2, 12000)


def test_a_length_that_is_a_multiple_stays() -> None:
    for name in ("data2vec2-audio", "best-rq"):
        model = make_model(name)
        batch = speech_collator(model.config, extractor_of(name), None, 4500)(items())
        assert batch["attention_mask"].shape[1] == batch["attention_mask"].sum(-1).max()


def test_collators_of_fine_tuning(tmp_path) -> None:
    (tmp_path / "vocab.json").write_text('{"<pad>": 0, "<unk>": 1, "|": 2, "A": 3}')
    tokenizer = Wav2Vec2CTCTokenizer(str(tmp_path / "vocab.json"))
    features = [item | {"transcription": "A", "label": 0} for item in items()]
    for name, length in (("data2vec2-audio", 12000), ("best-rq", 76)):
        extractor = extractor_of(name)
        processor = Wav2Vec2Processor(feature_extractor=extractor, tokenizer=tokenizer)
        for collator in (
            DataCollatorForCTC(processor, pad_to_multiple_of=MULTIPLE),
            DataCollatorForAudioClassification(extractor, pad_to_multiple_of=MULTIPLE),
        ):
            mask = collator(features)["attention_mask"]
            assert mask.shape == (2, length)
            assert mask.sum(-1).tolist() == ([57, 45] if name == "best-rq" else list(LENGTHS))
