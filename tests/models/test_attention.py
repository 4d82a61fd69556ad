# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""eager, sdpa and flex attention compute the same, and the kernel that was asked for is the one that runs."""

from collections.abc import Callable, Iterator
from unittest.mock import patch

import pytest
import torch
from transformers.integrations import flex_attention
from transformers.modeling_outputs import BaseModelOutput

from hf_ssl import Data2Vec2AudioForCTC, Data2Vec2AudioForPreTraining, Data2Vec2AudioModel
from hf_ssl.models.blocked_attention import ScoreBias
from hf_ssl.models.masking import find_predicted
from hf_ssl.models.modeling_data2vec2 import AttentionBias, alibi_slopes, position_distances
from hf_ssl.models.waveforms import find_real_frames

KERNELS = {
    "eager": patch.object(torch.nn.functional, "softmax", wraps=torch.nn.functional.softmax),
    "sdpa": patch.object(
        torch.nn.functional,
        "scaled_dot_product_attention",
        wraps=torch.nn.functional.scaled_dot_product_attention,
    ),
    "flex_attention": patch.object(
        flex_attention, "compile_friendly_flex_attention", wraps=flex_attention.compile_friendly_flex_attention
    ),
}
# What biases an attention score can have: one value for all layers, or per layer, or per head; learned or not; none.
ALIBI = {
    "global": {"alibi_scale_per_head": False},
    "per head": {"alibi_scale_per_head": True},
    "per layer": {"alibi_scale_per_layer": True, "alibi_scale_per_head": False},
    "per layer and head": {"alibi_scale_per_layer": True, "alibi_scale_per_head": True},
    "fixed": {"learn_alibi_scale": False, "alibi_scale": 0.5},
    "none": {"use_alibi": False},
}
LENGTHS = [700, 300, 60]  # the last has two frames


@pytest.fixture(autouse=True)
def _uncompiled_flex() -> Iterator[None]:
    """Flex attention without its compiler, which takes many seconds for each new shape; see the slow test."""
    with torch.compiler.set_stance("force_eager"):
        yield


def encode(model: Data2Vec2AudioModel, batch: dict) -> torch.Tensor:
    with torch.no_grad():
        outputs: BaseModelOutput = model(**batch)
    frame_mask = find_real_frames(batch["input_values"], batch.get("attention_mask"), model.config)
    hidden_states = outputs.last_hidden_state
    return hidden_states if frame_mask is None else hidden_states[frame_mask]


@pytest.mark.parametrize("implementation", sorted(KERNELS))
def test_the_kernel_that_was_asked_for_is_the_one_that_runs(
    make_model: Callable, make_batch: Callable, implementation: str
) -> None:
    model = make_model(Data2Vec2AudioModel, implementation)
    with KERNELS["eager"] as eager, KERNELS["sdpa"] as sdpa, KERNELS["flex_attention"] as flex:
        encode(model, make_batch(LENGTHS))
    calls = {"eager": eager.call_count, "sdpa": sdpa.call_count, "flex_attention": flex.call_count}
    assert calls == dict.fromkeys(calls, 0) | {implementation: model.config.num_hidden_layers}


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_teacher_and_student_of_pretraining_run_the_kernel(
    make_model: Callable, make_batch: Callable, implementation: str
) -> None:
    """The student's attention has a bias with a gradient: on CPUs it is written out, since torch would do so too."""
    model = make_model(Data2Vec2AudioForPreTraining, implementation).train()
    with KERNELS["eager"] as eager, KERNELS["sdpa"] as sdpa:
        model(**make_batch(LENGTHS))
    num_layers = model.config.num_hidden_layers
    expected = (2 * num_layers, 0) if implementation == "eager" else (num_layers, num_layers)
    assert (eager.call_count, sdpa.call_count) == expected


def test_the_default_is_sdpa(make_config: Callable) -> None:
    assert Data2Vec2AudioModel(make_config()).config._attn_implementation == "sdpa"


@pytest.mark.parametrize("alibi", sorted(ALIBI))
@pytest.mark.parametrize("is_padded", [False, True])
@pytest.mark.parametrize("implementation", ["sdpa", "flex_attention"])
def test_the_encoder_agrees_with_eager(
    make_model: Callable, make_batch: Callable, implementation: str, alibi: str, is_padded: bool
) -> None:
    batch = make_batch(LENGTHS)
    if not is_padded:
        del batch["attention_mask"]
    expected = encode(make_model(Data2Vec2AudioModel, "eager", num_prenet_layers=1, **ALIBI[alibi]), batch)
    actual = encode(make_model(Data2Vec2AudioModel, implementation, num_prenet_layers=1, **ALIBI[alibi]), batch)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("alibi", sorted(ALIBI))
@pytest.mark.parametrize("implementation", ["sdpa", "flex_attention"])
def test_pretraining_agrees_with_eager(
    make_model: Callable, make_batch: Callable, implementation: str, alibi: str
) -> None:
    """With masks of unequal counts, padding, and an utterance whose one frame is hidden."""
    batch = make_batch([700, 300, 44])
    config = make_model(Data2Vec2AudioForPreTraining).config
    mask = torch.zeros(3, 2, config.num_frames(700), dtype=torch.bool)
    mask[0, :, 5:30] = mask[1, 0, 2:5] = mask[1, 1, 3:12] = mask[2, :, 0] = True
    noise = torch.randn(*mask.shape, config.hidden_size)
    losses = []
    for kernel in ("eager", implementation):
        model = make_model(Data2Vec2AudioForPreTraining, kernel, **ALIBI[alibi])
        with torch.no_grad():
            losses.append(model(**batch, mask_time_indices=mask, mask_noise=noise))
    torch.testing.assert_close(losses[1].predictions, losses[0].predictions, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(losses[1].loss, losses[0].loss)


@pytest.mark.parametrize("alibi", sorted(ALIBI))
def test_gradients_of_sdpa_and_eager_agree(make_model: Callable, make_batch: Callable, alibi: str) -> None:
    batch = make_batch([700, 300, 44])
    mask = torch.zeros(3, 2, 42, dtype=torch.bool)
    mask[0, :, 5:30] = mask[1, 0, 2:5] = mask[1, 1, 3:12] = mask[2, :, 0] = True
    noise = torch.randn(3, 2, 42, 16)
    gradients = []
    for kernel in ("eager", "sdpa"):
        model = make_model(Data2Vec2AudioForPreTraining, kernel, **ALIBI[alibi]).train()
        model(**batch, mask_time_indices=mask, mask_noise=noise).loss.backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert len(gradients[0]) == len(gradients[1]) > 40
    for name, expected in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], expected, atol=1e-5, rtol=1e-3, msg=name)


@pytest.mark.slow
def test_compiled_flex_attention_agrees_with_eager(make_model: Callable, make_batch: Callable) -> None:
    batch = make_batch(LENGTHS)
    expected = encode(make_model(Data2Vec2AudioModel, "eager"), batch)
    with torch.compiler.set_stance("default"):
        actual = encode(make_model(Data2Vec2AudioModel, "flex_attention"), batch)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.gpu
def test_gradients_of_compiled_flex_attention_and_eager_agree(make_model: Callable, make_batch: Callable) -> None:
    """Heads of 16 dimensions, the smallest that flex attention computes on a GPU."""
    batch = {name: tensor.cuda() for name, tensor in make_batch([700, 300, 44]).items()}
    mask = torch.zeros(3, 2, 42, dtype=torch.bool, device="cuda")
    mask[0, :, 5:30] = mask[1, 0, 2:5] = mask[1, 1, 3:12] = mask[2, :, 0] = True
    noise = torch.randn(3, 2, 42, 32, device="cuda")
    gradients = []
    for kernel in ("eager", "flex_attention"):
        model = make_model(Data2Vec2AudioForPreTraining, kernel, hidden_size=32).train().cuda()
        with torch.compiler.set_stance("default"):
            model(**batch, mask_time_indices=mask, mask_noise=noise).loss.backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert len(gradients[0]) == len(gradients[1]) > 40
    for name, expected in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], expected, atol=1e-4, rtol=1e-2, msg=name)


def test_the_implementation_can_be_changed_afterwards(make_model: Callable, make_batch: Callable) -> None:
    model = make_model(Data2Vec2AudioForCTC, "eager")
    model.set_attn_implementation("sdpa")
    with KERNELS["sdpa"] as sdpa, torch.no_grad():
        model(**make_batch(LENGTHS))
    assert sdpa.call_count == model.config.num_hidden_layers


def test_eager_attentions_are_probabilities_that_ignore_padding(make_model: Callable, make_batch: Callable) -> None:
    model = make_model(Data2Vec2AudioModel, "eager")
    attentions = model(**make_batch([700, 300]), output_attentions=True).attentions
    assert len(attentions) == model.config.num_hidden_layers
    for attention in attentions:
        assert attention.shape == (2, 2, 42, 42)
        torch.testing.assert_close(attention.sum(-1), torch.ones(2, 2, 42))
        assert (attention[1, ..., model.config.num_frames(300) :] == 0).all()


def test_slopes_are_those_of_alibi() -> None:
    assert alibi_slopes(8) == pytest.approx([2**-k for k in range(1, 9)])
    assert alibi_slopes(12) == pytest.approx([2**-k for k in range(1, 9)] + [2 ** -(k + 0.5) for k in range(4)])


def test_bias_falls_with_the_distance_of_original_positions() -> None:
    distances = position_distances(torch.tensor([[0, 3, 10]]))
    bias = ScoreBias(distances, torch.tensor(alibi_slopes(8))).dense()
    assert bias.shape == (1, 8, 3, 3)
    torch.testing.assert_close(bias[0, 0], -0.5 * torch.tensor([[0.0, 3, 10], [3, 0, 7], [10, 7, 0]]))
    torch.testing.assert_close(bias[0, 1], bias[0, 0] / 2)


def test_grid_distances() -> None:
    corners = torch.tensor([[[0.0, 0.0], [3.0, 4.0]]])
    assert position_distances(corners)[0, 0, 1] == 7
    assert position_distances(corners, euclidean=True)[0, 0, 1] == 5


def test_layers_and_heads_have_their_own_scales(make_config: Callable) -> None:
    bias = AttentionBias(make_config(alibi_scale_per_layer=True, alibi_scale_per_head=True, num_prenet_layers=1))
    with torch.no_grad():
        bias.scale.copy_(torch.arange(8.0).view(4, 2))
    first, second = alibi_slopes(2)
    for layer, layer_bias in enumerate(bias(torch.arange(4).unsqueeze(0))):
        assert layer_bias.slopes.tolist() == [first * 2 * layer, second * (2 * layer + 1)]


def test_a_shared_scale_is_computed_once(make_config: Callable) -> None:
    assert len(AttentionBias(make_config())(torch.arange(4).unsqueeze(0))) == 1


def test_a_negative_scale_counts_as_zero(make_config: Callable) -> None:
    bias = AttentionBias(make_config())
    torch.nn.init.constant_(bias.scale, -1.0)
    assert (bias(torch.arange(4).unsqueeze(0))[0].slopes == 0).all()


def test_visible_frames_keep_their_original_distances(make_model: Callable, make_batch: Callable) -> None:
    """Hiding all but two frames: their attention depends on how far apart they were."""
    model = make_model(Data2Vec2AudioForPreTraining, alibi_scale=5.0, num_conv_pos_embeddings=0)
    batch = make_batch([700])
    mask = torch.ones(1, 2, 42, dtype=torch.bool)
    mask[0, :, 4] = mask[0, 0, 6] = mask[0, 1, 30] = False
    features = model.data2vec2_audio.local_encoder(batch["input_values"]).clone()
    features[:, 30] = features[:, 6]  # the same content, nearer or farther
    seen = []
    model.data2vec2_audio.trunk.register_forward_hook(lambda module, inputs, output: seen.append(output))
    model.student_predictions(features, None, mask, find_predicted(mask))
    near, far = seen[0][0, 0], seen[0][1, 0]
    assert not torch.allclose(near, far, atol=1e-3)


def test_a_traced_model_does_not_take_its_example_for_all(make_model: Callable, make_batch: Callable) -> None:
    """What was traced without padding computes a batch with it."""
    model = make_model(Data2Vec2AudioModel).requires_grad_(False)
    full, padded = make_batch([700, 700, 700]), make_batch(LENGTHS)

    def encode_frames(input_values: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return model(input_values, attention_mask).last_hidden_state

    with torch.no_grad():
        traced = torch.jit.trace(encode_frames, (full["input_values"], torch.ones_like(padded["attention_mask"])))
    frame_mask = find_real_frames(padded["input_values"], padded["attention_mask"], model.config)
    actual = traced(padded["input_values"], padded["attention_mask"])
    torch.testing.assert_close(actual[frame_mask], encode(model, padded), atol=1e-5, rtol=1e-4)
