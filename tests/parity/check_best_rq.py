# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""BEST-RQ cases, the public way: convert, `from_pretrained`, features, forward, backward, and back to the original's
files; and its quantizer and masks alone."""

from pathlib import Path

import torch
from parity.golden import GoldenCase
from parity.recorder import Recorder
from transformers import AutoFeatureExtractor, BatchFeature

from hf_ssl import BestRqFeatureExtractor, BestRqForPreTraining, BestRqModel
from hf_ssl.conversion import convert_checkpoint, convert_to_speechbrain
from hf_ssl.conversion.best_rq_weights import HEAD, MODEL, QUANTIZER, our_name, to_ours
from hf_ssl.models.masking import draw_grid_mask
from hf_ssl.models.quantizers import RandomProjectionQuantizer

FILES = (MODEL, QUANTIZER, HEAD)
SMALLEST_MARGIN = 1e-4  # of codes that must be equal

# The stored step was made with the recipe's dropout of 0.1 in the subsampling, though `meta.json` says 0: its draws
# follow those of the noise, from this seed on.
SEED_OFFSET = 9


def check(case: GoldenCase, folder: Path) -> None:
    case.load()
    (checkpoint,) = case.folder.glob("CKPT+*")
    convert_checkpoint(checkpoint, folder)
    feature_extractor = AutoFeatureExtractor.from_pretrained(folder)
    inputs = _check_features(case, feature_extractor)
    _check_encoder(case, BestRqModel.from_pretrained(folder), inputs)
    # what the stored step was made with, and the checkpoint does not say
    model = BestRqForPreTraining.from_pretrained(
        folder, hidden_dropout=0.0, attention_dropout=0.0, activation_dropout=0.0, dynamic_chunk_prob=0.0
    )
    _check_codes(case, model, inputs)
    _check_pretraining_step(case, model, inputs)
    _check_gradients(case, model)
    _check_way_back(checkpoint, folder)
    case.assert_all_compared()


def _check_features(case: GoldenCase, feature_extractor: BestRqFeatureExtractor) -> BatchFeature:
    assert isinstance(feature_extractor, BestRqFeatureExtractor)
    batch = case.use("input.wavs")
    case.compare("fbank.window", torch.hamming_window(feature_extractor.win_length))
    case.compare("fbank.stft", torch.view_as_real(feature_extractor.spectrum(batch)))
    case.compare("fbank.out", feature_extractor.log_mel(batch))
    lengths = (case.use("input.wav_lens") * batch.shape[1]).round().long().tolist()
    assert lengths == case.meta["lens"]
    waveforms = [waveform[:length] for waveform, length in zip(batch, lengths, strict=True)]
    inputs = feature_extractor(waveforms, sampling_rate=16_000, return_tensors="pt")
    case.compare("fbank.normalized", inputs["input_features"])
    return inputs


def _check_encoder(case: GoldenCase, model: BestRqModel, inputs: BatchFeature) -> None:
    recorder = Recorder()
    recorder.watch("cnn", model.subsampling.layers[-1])
    for index, layer in enumerate(model.encoder.layers):
        recorder.watch(f"layer{index}", layer)
    with torch.no_grad():
        case.compare("feat.encoder_out", model(**inputs).last_hidden_state)
        for name, output in recorder.outputs.items():
            case.compare(f"feat.{name}", output)
        if "feat.encoder_out_chunk" in case.tensors:
            outputs = model(**inputs, chunk_size=8, left_context_chunks=2)
            case.compare("feat.encoder_out_chunk", outputs.last_hidden_state)


def _check_codes(case: GoldenCase, model: BestRqForPreTraining, inputs: BatchFeature) -> None:
    stacks = model._whole_stacks(inputs["input_features"])
    case.compare("fbank.padded", stacks)
    codes = model.target_codes(inputs["input_features"]).squeeze(-1)
    _compare_codes(case, "targets_all", codes, case.use("targets_margin"))


def _compare_codes(case: GoldenCase, name: str, codes: torch.Tensor, margin: torch.Tensor) -> None:
    differs = codes != case.use(name)
    assert not (differs & (margin >= SMALLEST_MARGIN)).any(), f"{name}: {int(differs.sum())} codes differ"


def _check_pretraining_step(case: GoldenCase, model: BestRqForPreTraining, inputs: BatchFeature) -> None:
    masked, noise = case.use("mask"), case.use("pre.noise")
    batch_size, num_mel_frames, _ = case.tensors["fbank.padded"].shape
    mel_mask = torch.zeros(num_mel_frames, dtype=torch.bool)
    mel_mask[masked] = True
    stack_mask = mel_mask.view(-1, model.config.stack_size)
    assert torch.equal(stack_mask.all(-1), stack_mask.any(-1))
    mask = stack_mask.all(-1).expand(batch_size, -1)
    mask_noise = torch.zeros_like(case.tensors["fbank.padded"])
    mask_noise[:, masked] = noise

    torch.manual_seed(case.meta["seed"] + SEED_OFFSET)
    drawn = torch.normal(mean=0.0, std=0.1, size=tuple(noise.shape))
    assert torch.equal(drawn, noise), "the stored noise comes from another seed, and so does the dropout"
    model.train()
    outputs = model(**inputs, mask_time_indices=mask, labels=torch.where(mask, 0, -100), mask_noise=mask_noise)
    outputs.loss.backward()

    case.compare("pre.logits", outputs.logits.squeeze(1))
    margin = case.use("targets_margin")[mask]
    _compare_codes(case, "pre.targets", outputs.codes[outputs.prediction_mask].squeeze(-1), margin)
    case.compare("pre.loss", outputs.loss)


def _check_gradients(case: GoldenCase, model: BestRqForPreTraining) -> None:
    ours = dict(model.named_parameters())
    for name, norm in case.meta["grad_norms"].items():
        file, _, weight = name.partition(".")
        our = our_name(file, weight)
        assert our is not None, name
        gradient = ours.pop(our).grad
        assert abs(gradient.norm().item() - norm) <= 1e-3 * norm, f"norm of gradient of {name}"
        if f"grad.{name}" in case.tensors:
            stored = to_ours(our, case.use(f"grad.{name}"), model.config.num_attention_heads).double()
            error = (gradient.double() - stored).norm() / stored.norm()
            assert error <= 1e-3, f"gradient of {name}: relative error {error:.3g}"
    assert not ours, f"parameters without a stored gradient: {sorted(ours)}"


def _check_way_back(checkpoint: Path, folder: Path) -> None:
    written = convert_to_speechbrain(folder, folder.with_name("CKPT+back"))
    for file in FILES:
        expected = torch.load(checkpoint / f"{file}.ckpt", weights_only=True)
        actual = torch.load(written / f"{file}.ckpt", weights_only=True)
        assert set(actual) == set(expected)
        for name, tensor in expected.items():
            assert torch.equal(actual[name], tensor), f"{file}.ckpt: {name}"


def check_quantizer(case: GoldenCase, folder: Path) -> None:
    case.load()
    for index, (input_size, dim, size, *_) in enumerate(case.meta["sizes(input_dim,cb_dim,cb_vocab,B,T)"]):
        quantizer = RandomProjectionQuantizer(input_size, 1, size, dim)
        quantizer.projection.copy_(case.use(f"q{index}.P"))
        quantizer.codebook.copy_(case.use(f"q{index}.CB"))
        codes = quantizer(case.use(f"q{index}.x")).squeeze(-1)
        _compare_codes(case, f"q{index}.indices", codes, case.use(f"q{index}.margin"))
    case.assert_all_compared()


def check_masks(case: GoldenCase, folder: Path) -> None:
    case.load()
    for draw in case.meta["cases"]:
        mask = draw_grid_mask(
            min(draw["lens"]),
            start_prob=draw["mask_prob"],
            mask_length=draw["mask_length"],
            rounding=draw["python_random"],
            generator=torch.Generator().manual_seed(draw["torch_seed"]),
        )
        assert int(mask.sum()) == draw["num_masked"]
        case.compare(f"m{draw['case']}_{draw['k']}", mask.nonzero().squeeze(-1))
    case.assert_all_compared()
