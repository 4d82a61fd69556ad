# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""BEST-RQ's encoder, pre-training, streaming and heads. Numbers of the original are in tests/parity."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F
from transformers import PreTrainedModel

from hf_ssl import (
    BestRqConfig,
    BestRqForAudioFrameClassification,
    BestRqForCTC,
    BestRqForPreTraining,
    BestRqForSequenceClassification,
    BestRqForXVector,
    BestRqModel,
)
from hf_ssl.models.conformer import Chunks, MaskedBatchNorm, chunk_mask, shift_relative
from hf_ssl.models.modeling_best_rq import draw_chunks
from hf_ssl.training.activation_checkpointing import enable_activation_checkpointing
from hf_ssl.training.model_sizes import best_rq_config

ENCODERS = {
    "conformer": {},
    "recipe": {"symmetric_positions": True, "scale_attention_by_hidden_size": True},
    "paper": {"hidden_act": "silu", "conv_norm": "batch"},
    "causal": {"conv_causal": True},
    "transformer": {"encoder_type": "transformer"},
}


def make_model(model_class: type[PreTrainedModel], attn_implementation: str = "sdpa", **overrides) -> PreTrainedModel:
    """The same weights at every call, in evaluation mode, without dropout; 8 mel bins."""
    torch.manual_seed(0)
    dropouts = ("hidden_dropout", "attention_dropout", "activation_dropout", "subsampling_dropout")
    options = {"num_mel_bins": 8, "num_labels": 3, "vocab_size": 6} | dict.fromkeys(dropouts, 0.0)
    config = best_rq_config("tiny", **(options | overrides))
    config._attn_implementation = attn_implementation
    return model_class(config).eval()


def make_batch(*lengths: int, padded_to: int | None = None) -> dict[str, torch.Tensor]:
    """Noise of `lengths` mel frames; what stands in the padding differs every time."""
    padded_to = padded_to or max(lengths)
    features = torch.randn(len(lengths), padded_to, 8)
    attention_mask = torch.zeros(len(lengths), padded_to, dtype=torch.long)
    for row, length in enumerate(lengths):
        features[row, :length] = torch.randn(length, 8, generator=torch.Generator().manual_seed(length))
        attention_mask[row, :length] = 1
    return {"input_features": features, "attention_mask": attention_mask}


@pytest.mark.parametrize("options", ENCODERS.values(), ids=ENCODERS)
def test_eager_and_sdpa_agree(options: dict) -> None:
    batch = make_batch(80, 50)
    eager = make_model(BestRqModel, "eager", **options)(**batch).last_hidden_state
    sdpa = make_model(BestRqModel, "sdpa", **options)(**batch).last_hidden_state
    assert eager.shape == (2, 20, 32)
    torch.testing.assert_close(sdpa[0], eager[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(sdpa[1, :12], eager[1, :12], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("chunks", [{}, {"chunk_size": 4, "left_context_chunks": 1}], ids=["whole", "chunks"])
@pytest.mark.parametrize("options", ENCODERS.values(), ids=ENCODERS)
def test_padding_changes_nothing(options: dict, chunks: dict) -> None:
    model = make_model(BestRqModel, **options, **chunks)
    together = model(**make_batch(97, 50, padded_to=130)).last_hidden_state
    for row, length in enumerate((97, 50)):
        alone = model(make_batch(length)["input_features"]).last_hidden_state[0]
        assert len(alone) == length // 4
        torch.testing.assert_close(together[row, : len(alone)], alone, rtol=1e-4, atol=1e-5)


def test_recipe_lets_padding_into_convolutions() -> None:
    model = make_model(BestRqModel, convolve_padding=True)
    outputs = [model(**make_batch(97, 50)).last_hidden_state[1, :12] for _ in range(2)]
    assert (outputs[0] - outputs[1]).abs().max() > 1e-3


def test_recipe_pads_at_the_start() -> None:
    model = make_model(BestRqModel, pad_start=True)
    features = make_batch(41)["input_features"]
    shifted = torch.cat([torch.zeros(1, 3, 8), features], dim=1)
    outputs = model(features).last_hidden_state
    assert outputs.shape[1] == model.config.num_frames(41) == 11
    torch.testing.assert_close(outputs, model(shifted).last_hidden_state)


def test_incomplete_stack_at_the_end_is_dropped() -> None:
    model = make_model(BestRqModel)
    features = make_batch(43)["input_features"]
    outputs = model(features).last_hidden_state
    assert outputs.shape[1] == model.config.num_frames(43) == 10
    torch.testing.assert_close(outputs, model(features[:, :40]).last_hidden_state)


def test_subsampling_sees_its_own_stack_and_three_mel_frames_before() -> None:
    subsampling = make_model(BestRqModel).subsampling
    features = make_batch(40)["input_features"]
    expected = subsampling(features)
    for changed in (16, 17, 19):
        other = features.clone()
        other[:, changed] += 1
        differs = (subsampling(other) - expected).abs().amax(-1)[0] > 1e-6
        assert differs.nonzero().flatten().tolist() == ([4] if changed == 16 else [4, 5])


@pytest.mark.parametrize("num_past", [0, 3])
def test_shift_relative_by_definition(num_past: int) -> None:
    num_queries, num_keys = 5, 5 + num_past
    distances = torch.arange(num_keys - 1, -num_queries, -1.0)
    scores = distances.expand(2, 3, num_queries, -1)
    expected = torch.arange(num_queries).unsqueeze(-1) + num_past - torch.arange(num_keys)
    assert torch.equal(shift_relative(scores, num_keys), expected.float().expand(2, 3, -1, -1))


def test_symmetric_positions_do_not_know_the_direction() -> None:
    """Without convolutions that know it, reversed time gives reversed output, as in the open-source recipe."""
    features = torch.randn(1, 9, 32)
    for symmetric in (True, False):
        encoder = make_model(BestRqModel, symmetric_positions=symmetric, conv_kernel_size=1).encoder
        difference = (encoder(features).flip(1) - encoder(features.flip(1))).abs().max()
        assert (difference < 1e-4) == symmetric


def test_chunk_mask() -> None:
    expected = [
        [1, 1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0, 0],
        [0, 0, 1, 1, 1, 1, 0],
        [0, 0, 1, 1, 1, 1, 0],
        [0, 0, 0, 0, 1, 1, 1],
    ]
    assert chunk_mask(7, Chunks(2, 1)).int().tolist() == expected
    assert torch.equal(chunk_mask(7, Chunks(1)), torch.ones(7, 7).tril().bool())
    assert chunk_mask(7, Chunks(7, 0)).all()


@pytest.mark.parametrize("options", ENCODERS.values(), ids=ENCODERS)
def test_chunks_hide_the_future(options: dict) -> None:
    model = make_model(BestRqModel, chunk_size=3, **options)
    features = make_batch(48)["input_features"]
    other = features.clone()
    other[:, 24:] = torch.randn(1, 24, 8)
    first, second = model(features).last_hidden_state, model(other).last_hidden_state
    torch.testing.assert_close(first[:, :6], second[:, :6])
    assert (first[:, 6:] - second[:, 6:]).abs().amax(-1).min() > 1e-3


@pytest.mark.parametrize("left", [None, 0, 2])
@pytest.mark.parametrize("options", ENCODERS.values(), ids=ENCODERS)
def test_stream_gives_what_the_whole_gives(options: dict, left: int | None) -> None:
    model = make_model(BestRqModel, chunk_size=4, left_context_chunks=left, **options)
    features = torch.randn(2, 4 * 30 + 3, 8)  # the last chunk is shorter and has an incomplete stack
    expected = model(features).last_hidden_state
    outputs, cache = [], None
    for chunk in features.split(16, dim=1):
        hidden_states, cache = model.forward_chunk(chunk, cache)
        outputs.append(hidden_states)
    rms = expected.square().mean().sqrt()
    assert (torch.cat(outputs, dim=1) - expected).abs().max() < 1e-4 * rms


def test_memory_of_a_stream_does_not_grow() -> None:
    model = make_model(BestRqForCTC, chunk_size=4, left_context_chunks=2)
    sizes, cache = [], None
    for _ in range(8):
        logits, cache = model.forward_chunk(torch.randn(1, 16, 8), cache)
        assert logits.shape == (1, 4, 6)
        layers = [tensor for layer in cache.layers for tensor in layer]
        sizes.append(sum(tensor.numel() for tensor in (*cache.subsampling, *layers)))
    assert len(set(sizes[2:])) == 1
    assert cache.num_frames == 32


def test_errors_of_streams() -> None:
    chunk = torch.randn(1, 16, 8)
    with pytest.raises(ValueError, match=r"needs `config\.chunk_size`"):
        make_model(BestRqModel).forward_chunk(chunk)
    model = make_model(BestRqModel, chunk_size=4)
    with pytest.raises(ValueError, match="chunks of 16 mel frames"):
        model.forward_chunk(torch.randn(1, 20, 8))
    with pytest.raises(ValueError, match="at least 4"):
        model.forward_chunk(torch.randn(1, 3, 8))
    with pytest.raises(ValueError, match=r"call `model.eval\(\)`"):
        model.train().forward_chunk(chunk)
    _, cache = model.eval().forward_chunk(chunk[:, :8])
    with pytest.raises(ValueError, match="stream has ended"):
        model.forward_chunk(chunk, cache)
    weighted = make_model(BestRqForCTC, chunk_size=4, use_weighted_layer_sum=True)
    with pytest.raises(ValueError, match="no streaming form"):
        weighted.forward_chunk(chunk)


def test_dynamic_chunks_are_drawn_as_configured() -> None:
    config = BestRqConfig(dynamic_chunk_prob=0.6)
    torch.manual_seed(0)
    drawn = [draw_chunks(config) for _ in range(4000)]
    chunked = [chunks for chunks in drawn if chunks is not None]
    limited = [chunks.left for chunks in chunked if chunks.left is not None]
    assert len(chunked) / len(drawn) == pytest.approx(0.6, abs=0.03)
    assert len(limited) / len(chunked) == pytest.approx(0.75, abs=0.03)
    assert {chunks.size for chunks in chunked} == set(range(8, 33))
    assert set(limited) == set(range(2, 33))


def test_dynamic_chunks_are_for_training_only() -> None:
    model = make_model(BestRqModel, dynamic_chunk_prob=1.0, dynamic_chunk_sizes=(2, 2), dynamic_left_context_prob=0.0)
    features = make_batch(64)["input_features"]
    whole, chunked = model(features).last_hidden_state, model(features, chunk_size=2).last_hidden_state
    assert (whole - chunked).abs().max() > 1e-3
    torch.testing.assert_close(model.train()(features).last_hidden_state, chunked)


def test_chunks_that_make_no_sense() -> None:
    model, features = make_model(BestRqModel), make_batch(64)["input_features"]
    for options in ({"chunk_size": 0}, {"left_context_chunks": 2}):
        with pytest.raises(ValueError, match="Expected `chunk_size` of at least 1 frame"):
            model(features, **options)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_batch_norm_is_over_real_frames(dtype: torch.dtype) -> None:
    """Output, gradients and statistics of torch's over the real frames alone, whatever is in the padding."""
    torch.manual_seed(0)
    norm, expected = MaskedBatchNorm(4).train(), torch.nn.BatchNorm1d(4).train()
    for module in (norm, expected):
        module.load_state_dict(norm.state_dict() | {"weight": torch.rand(4), "bias": torch.rand(4)})
    expected.load_state_dict(norm.state_dict())
    frames = (3 + 2 * torch.randn(2, 6, 4)).to(dtype)
    frame_mask = torch.arange(6) < torch.tensor([[6], [3]])
    ours, theirs = frames.clone().requires_grad_(), frames[frame_mask].requires_grad_()
    ours_filled = ours.masked_fill(~frame_mask.unsqueeze(-1), torch.nan)
    gradient = torch.randn(9, 4).to(dtype)
    output, written_out = norm(ours_filled, frame_mask), expected(theirs)
    assert output.dtype == dtype
    assert output[~frame_mask].abs().max() == 0
    torch.testing.assert_close(output[frame_mask], written_out)
    output[frame_mask].backward(gradient)
    written_out.backward(gradient)
    tolerance = {"atol": 1e-5, "rtol": 1e-4} if dtype == torch.float32 else {"atol": 0.02, "rtol": 0.05}
    torch.testing.assert_close(ours.grad[frame_mask], theirs.grad, **tolerance)
    assert ours.grad[~frame_mask].abs().max() == 0
    for mine, other in zip(norm.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, **tolerance)
    for mine, other in zip(norm.buffers(), expected.buffers(), strict=True):
        torch.testing.assert_close(mine, other)


def test_bad_inputs() -> None:
    model = make_model(BestRqModel)
    with pytest.raises(ValueError, match=r"\(batch_size, num_mel_frames, num_mel_bins\) with 8 mel bins"):
        model(torch.randn(2, 40))
    with pytest.raises(ValueError, match="8 mel bins"):
        model(torch.randn(2, 40, 80))
    with pytest.raises(ValueError, match="`attention_mask` must have the shape"):
        model(torch.randn(2, 40, 8), attention_mask=torch.ones(2, 10))
    for batch in ({"input_features": torch.randn(1, 3, 8)}, make_batch(40, 3)):
        with pytest.raises(ValueError, match=r"utterance of 3 mel frames is too short.*4 mel frames \(480 samples\)"):
            model(**batch)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder_type": "rnn"}, "`encoder_type` must be one of"),
        ({"conv_norm": "group"}, "`conv_norm` must be one of"),
        ({"mask_sampling": "block"}, "`mask_sampling` must be one of"),
        ({"num_attention_heads": 7}, "multiple of `num_attention_heads`"),
        ({"num_mel_bins": 82}, "must be a multiple of 4"),
        ({"conv_dim": ()}, "at least one subsampling"),
        ({"conv_kernel_size": 4}, "must be odd"),
        ({"mask_prob": 0.0}, "strictly between 0 and 1"),
        ({"mask_length": 6}, "multiple of 4"),
        ({"codebook_size": 0}, "`codebook_size` must be at least 1"),
        ({"chunk_size": 0}, "at least 1 frame"),
        ({"left_context_chunks": 2}, "needs a `chunk_size`"),
        ({"dynamic_chunk_sizes": (8, 4)}, "smallest and the largest"),
    ],
)
def test_bad_configurations(options: dict, message: str) -> None:
    with pytest.raises(Exception, match=message):
        BestRqConfig(**options)


# Pre-training


def test_loss_is_the_cross_entropy_of_masked_codes() -> None:
    model = make_model(BestRqForPreTraining)
    batch = make_batch(80, 50)
    outputs = model(**batch)
    mask = outputs.mask_time_indices
    assert torch.equal(outputs.prediction_mask, mask)
    assert outputs.logits.shape == (int(mask.sum()), 1, 64)  # the head is applied to masked frames only
    assert outputs.codes.shape == (2, 20, 1)
    stacks = batch["input_features"].unflatten(1, (20, 4)).flatten(2)
    assert torch.equal(outputs.codes, model.quantizer(stacks))
    torch.testing.assert_close(outputs.loss, F.cross_entropy(outputs.logits[:, 0], outputs.codes[mask][:, 0]))


def test_hidden_mel_frames_are_hidden_and_still_the_target() -> None:
    model = make_model(BestRqForPreTraining)
    features = make_batch(80)["input_features"]
    mask = torch.zeros(1, 20, dtype=torch.bool)
    mask[:, 5:9] = True
    noise = torch.randn(1, 80, 8)
    other = features.clone()
    other[:, 20:36] = torch.randn(1, 16, 8)
    first = model(features, mask_time_indices=mask, mask_noise=noise)
    second = model(other, mask_time_indices=mask, mask_noise=noise)
    assert torch.equal(first.logits, second.logits)
    changed = (first.codes != second.codes)[0, :, 0]
    assert changed[5:9].any()
    assert not changed[:5].any()
    assert not changed[9:].any()
    assert (model(features, mask_time_indices=mask, mask_noise=-noise).logits - first.logits).abs().max() > 1e-3


def test_noise_has_the_configured_deviation() -> None:
    model = make_model(BestRqForPreTraining, mask_noise_std=0.3)
    mask = torch.zeros(1, 100, dtype=torch.bool)
    mask[:, ::2] = True
    features = torch.full((1, 400, 8), 5.0)
    hidden = model.hide_frames(features, mask).unflatten(1, (100, 4))
    assert hidden[~mask].unique().tolist() == [5.0]
    assert hidden[mask].std() == pytest.approx(0.3, rel=0.1)
    assert hidden[mask].mean() == pytest.approx(0, abs=0.05)


def test_labels_say_where_to_predict() -> None:
    model = make_model(BestRqForPreTraining)
    batch = make_batch(80, 50)
    mask = model.draw_masks([80, 50], 20)
    labels = torch.where(mask, 0, -100)
    labels[0] = -100
    outputs = model(**batch, mask_time_indices=mask, labels=labels)
    assert torch.equal(outputs.prediction_mask, labels != -100)
    assert len(outputs.logits) == int(mask[1].sum())


def test_loss_is_divided_by_the_global_count() -> None:
    model = make_model(BestRqForPreTraining)
    batch, mask = make_batch(80, 50), torch.zeros(2, 20, dtype=torch.bool)
    mask[0, 3:9] = mask[1, 2] = True
    noise = torch.randn(2, 80, 8)
    whole = model(**batch, mask_time_indices=mask, mask_noise=noise).loss
    parts = [
        model(
            batch["input_features"][row : row + 1],
            batch["attention_mask"][row : row + 1],
            mask_time_indices=mask[row : row + 1],
            mask_noise=noise[row : row + 1],
            num_items_in_batch=7,
        ).loss
        for row in range(2)
    ]
    torch.testing.assert_close(parts[0] + parts[1], whole)


def test_several_codebooks_are_averaged() -> None:
    model = make_model(BestRqForPreTraining, num_codebooks=3)
    outputs = model(**make_batch(80))
    codes = outputs.codes[outputs.prediction_mask]
    losses = [F.cross_entropy(outputs.logits[:, index], codes[:, index]) for index in range(3)]
    torch.testing.assert_close(outputs.loss, sum(losses) / 3)


def test_errors_of_masks() -> None:
    model, batch = make_model(BestRqForPreTraining), make_batch(80, 50)
    mask = torch.zeros(2, 20, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"\(2, 20\), but has \(2, 19\)"):
        model(**batch, mask_time_indices=mask[:, :19])
    with pytest.raises(ValueError, match="`labels` must have the shape"):
        model(**batch, mask_time_indices=mask, labels=torch.zeros(2, 19))
    with pytest.raises(ValueError, match=r"`mask_noise` must have shape \(2, 80, 8\)"):
        model(**batch, mask_time_indices=mask, mask_noise=torch.zeros(2, 20, 8))
    mask[1, 12] = True  # 50 mel frames are 12 frames
    with pytest.raises(ValueError, match="`mask_time_indices` marks 1 padded frames"):
        model(**batch, mask_time_indices=mask)
    with pytest.raises(ValueError, match="`labels` marks 1 padded frames"):
        model(**batch, labels=torch.where(mask, 0, -100))


@pytest.mark.parametrize("sampling", ["bernoulli", "grid"])
def test_every_utterance_is_masked_and_padding_never(sampling: str) -> None:
    model = make_model(BestRqForPreTraining, mask_sampling=sampling, mask_prob=0.01, mask_length=40)
    lengths = [4, 7, 8, 13, 40, 90, 400]
    for seed in range(50):
        torch.manual_seed(seed)
        masks = model.draw_masks(lengths, 100)
        for mask, length in zip(masks, lengths, strict=True):
            num_frames = length // 4
            assert mask[:num_frames].any()
            assert not mask[num_frames:].any()
            assert num_frames == 1 or not mask[:num_frames].all()


def test_one_mask_per_batch_is_as_long_as_the_shortest() -> None:
    model = make_model(BestRqForPreTraining, one_mask_per_batch=True, mask_sampling="grid", mask_length=4)
    masks = model.draw_masks([400, 80], 100)
    assert torch.equal(masks[0], masks[1])
    assert not masks[0, 20:].any()
    own = make_model(BestRqForPreTraining, mask_sampling="grid", mask_length=4).draw_masks([400, 80], 100)
    assert not torch.equal(own[0, :20], own[1, :20])
    assert own[0, 20:].any()


def test_quantizer_survives_saving_and_half_precision(tmp_path: Path) -> None:
    model = make_model(BestRqForPreTraining, quantizer_seed=5)
    model.quantizer.codebook.mul_(-1)  # no longer what the seed gives
    model.save_pretrained(tmp_path)
    loaded = BestRqForPreTraining.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert loaded.best_rq.encoder.layer_norm.weight.dtype == torch.bfloat16
    assert loaded.quantizer.codebook.dtype == torch.float32
    assert torch.equal(loaded.quantizer.codebook, model.quantizer.codebook)
    assert torch.equal(loaded.quantizer.projection, model.quantizer.projection)
    assert loaded(**make_batch(80)).loss.isfinite()


def test_encoder_alone_gets_the_quantizer_of_its_seed(tmp_path: Path) -> None:
    model = make_model(BestRqForPreTraining, quantizer_seed=5)
    model.best_rq.save_pretrained(tmp_path)
    torch.manual_seed(1)
    loaded = BestRqForPreTraining.from_pretrained(tmp_path)
    assert torch.equal(loaded.quantizer.codebook, model.quantizer.codebook)
    assert torch.equal(loaded.best_rq.encoder.layer_norm.weight, model.best_rq.encoder.layer_norm.weight)


@pytest.mark.parametrize("options", ENCODERS.values(), ids=ENCODERS)
def test_activation_checkpointing_gives_the_same_gradients(options: dict) -> None:
    gradients = []
    for checkpoints in (False, True):
        model = make_model(BestRqForPreTraining, **options).train()
        if checkpoints:
            enable_activation_checkpointing(model)
        torch.manual_seed(1)
        model(**make_batch(80)).loss.backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=name)


def test_autocast_stays_close() -> None:
    model = make_model(BestRqForPreTraining).train()
    mask = model.draw_masks([80, 50], 20)
    arguments = make_batch(80, 50) | {"mask_time_indices": mask, "mask_noise": torch.randn(2, 80, 8)}
    expected = model(**arguments)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = model(**arguments)
    assert outputs.logits.dtype == torch.bfloat16
    assert torch.equal(outputs.codes, expected.codes)
    assert outputs.loss.item() == pytest.approx(expected.loss.item(), rel=0.02)
    outputs.loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_learns_to_predict_codes() -> None:
    """Codes that follow from what is around them: features that alternate between two sounds."""
    torch.manual_seed(0)
    model = make_model(BestRqForPreTraining, mask_prob=0.05, mask_length=4).train()
    sounds = torch.randn(2, 4, 8)
    features = sounds[torch.arange(20) % 2].flatten(0, 1).expand(4, -1, -1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        loss = model(features).loss
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2


def test_compiled_step_gives_the_same_gradients() -> None:
    batch, mask = make_batch(80, 50), torch.zeros(2, 20, dtype=torch.bool)
    mask[:, 3:9] = True
    arguments = batch | {"mask_time_indices": mask, "mask_noise": torch.randn(2, 80, 8)}
    eager, model = make_model(BestRqForPreTraining).train(), make_model(BestRqForPreTraining).train()
    eager(**arguments).loss.backward()
    torch.compiler.reset()
    torch.compile(model, backend="aot_eager")(**arguments).loss.backward()
    for (name, expected), parameter in zip(eager.named_parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, expected.grad, rtol=1e-3, atol=1e-6, msg=name)


# Heads


def test_ctc_loss_is_torch_s() -> None:
    model, batch = make_model(BestRqForCTC), make_batch(80, 50)
    labels = torch.tensor([[1, 2, 3], [4, 5, -100]])
    outputs = model(**batch, labels=labels)
    expected = F.ctc_loss(
        outputs.logits.log_softmax(-1).transpose(0, 1),
        torch.tensor([1, 2, 3, 4, 5]),
        torch.tensor([20, 12]),
        torch.tensor([3, 2]),
        reduction="sum",
    )
    torch.testing.assert_close(outputs.loss, expected / 5)
    with pytest.raises(ValueError, match=r"smaller than `config\.vocab_size` = 6"):
        model(**batch, labels=labels + 4)
    with pytest.raises(ValueError, match=r"`config\.pad_token_id` must be set"):
        make_model(BestRqForCTC, pad_token_id=None)


@pytest.mark.parametrize(
    "model_class", [BestRqForSequenceClassification, BestRqForXVector, BestRqForAudioFrameClassification]
)
def test_heads_do_not_see_padding(model_class: type[PreTrainedModel]) -> None:
    model = make_model(model_class)
    together = model(**make_batch(97, 50)).logits[1]
    alone = model(make_batch(50)["input_features"]).logits[0]
    torch.testing.assert_close(together[: len(alone)], alone, rtol=1e-4, atol=1e-5)


def test_weighted_layer_sum() -> None:
    model = make_model(BestRqForAudioFrameClassification, use_weighted_layer_sum=True)
    batch = make_batch(80)
    states = model.best_rq(**batch, output_hidden_states=True).hidden_states
    assert len(states) == len(model.layer_weights) == 3
    torch.testing.assert_close(model(**batch).logits, model.classifier(torch.stack(states).mean(0)))


def test_spec_augment_masks_frames_in_training_only() -> None:
    model = make_model(BestRqModel, mask_time_prob=0.5, mask_time_length=2, mask_feature_prob=0.3)
    features = make_batch(80)["input_features"]
    expected = model(features).last_hidden_state
    assert (model.train()(features).last_hidden_state - expected).abs().max() > 1e-2
    torch.testing.assert_close(model.eval()(features).last_hidden_state, expected)


def test_frozen_parts() -> None:
    model = make_model(BestRqForCTC)
    model.freeze_feature_encoder()
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert frozen == {name for name, _ in model.named_parameters() if ".subsampling.layers." in name}
    model.freeze_base_model()
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == {"lm_head.weight", "lm_head.bias"}


def test_utterance_too_short_for_the_time_delay_network() -> None:
    model = make_model(BestRqForXVector)  # needs 3 frames
    with pytest.raises(ValueError, match=r"at least 3 frames \(12 mel frames\)"):
        model(**make_batch(80, 8))
