# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""A data2vec audio case, the public way: convert, `from_pretrained`, forward, backward, one step, teacher.

The features are those of transformers' own encoder, opened from the converted folder.
"""

from pathlib import Path

import torch
from parity.golden import GoldenCase
from parity.recorder import Recorder
from transformers import Data2VecAudioModel

from hf_ssl import Data2VecAudioForPreTraining
from hf_ssl.conversion import convert_checkpoint
from hf_ssl.conversion.data2vec_audio_weights import pretraining_weight_name, teacher_weight_name


def check(case: GoldenCase, folder: Path) -> None:
    case.load()
    convert_checkpoint(case.folder / "checkpoint.pt", folder)
    _check_features(case, folder)
    model = Data2VecAudioForPreTraining.from_pretrained(folder)
    model.train()
    _check_pretraining_step(case, model)
    _check_gradients(case, model)
    _check_teacher_update(case, model)
    case.assert_all_compared()


def _check_features(case: GoldenCase, folder: Path) -> None:
    model, recorder = Data2VecAudioModel.from_pretrained(folder), Recorder()
    recorder.watch("conv", model.feature_extractor)
    recorder.watch("projected", model.feature_projection)
    recorder.watch("pos_conv", model.encoder.pos_conv_embed)
    for index, layer in enumerate(model.encoder.layers):
        recorder.watch(f"layer{index}.x", layer)
        recorder.watch(f"layer{index}.lr", layer.feed_forward)
    attention_mask = _attention_mask(case)
    with torch.no_grad():
        outputs = model(case.use("input.source"), attention_mask=attention_mask)
    if attention_mask is not None:
        frames = model._get_feature_vector_attention_mask(outputs.last_hidden_state.shape[1], attention_mask)
        case.compare("feat.padding_mask", ~frames)
        recorder.outputs["projected"][~frames] = 0  # both do so afterwards, the original in the recorded tensor
    for name, output in recorder.outputs.items():
        is_time_first = name.startswith("layer") or name == "pos_conv"
        dimensions = (1, 2) if name == "pos_conv" else (0, 1)
        case.compare(f"feat.{name}", output.transpose(*dimensions) if is_time_first else output)
    case.compare("feat.x", outputs.last_hidden_state)


def _check_pretraining_step(case: GoldenCase, model: Data2VecAudioForPreTraining) -> None:
    recorder, config = Recorder(), model.config
    recorder.watch("encoder", model.data2vec_audio.encoder)
    for index, layer in enumerate(model.teacher.encoder.layers):
        recorder.watch(f"teacher{index}", layer.feed_forward)
    attention_mask = _attention_mask(case)
    mask = case.use("input.mask_indices")
    outputs = model(case.use("input.source"), attention_mask=attention_mask, mask_time_indices=mask)
    outputs.loss.backward()

    encoder_in = recorder.inputs["encoder"]
    if outputs.frame_mask is not None:
        encoder_in = encoder_in * outputs.frame_mask.unsqueeze(-1)  # which the original does in the recorded tensor
    case.compare("pre.encoder_in", encoder_in)
    case.compare("pre.encoder_out", recorder.outputs["encoder"])
    case.compare("pre.final_proj_out", outputs.predictions)
    case.compare("pre.targets_masked", outputs.targets[mask])
    first = config.num_hidden_layers - config.average_top_k_layers
    for index in range(config.average_top_k_layers):
        layer_result = recorder.outputs[f"teacher{first + index}"]
        case.compare(f"pre.teacher.lr{index}", layer_result.transpose(0, 1))
    case.compare("pre.sample_size", mask.sum())
    case.compare("pre.loss", outputs.loss * mask.sum())


def _check_gradients(case: GoldenCase, model: Data2VecAudioForPreTraining) -> None:
    ours = dict(model.named_parameters())
    for name, norm in case.meta["grad_norms"].items():
        if name.endswith("k_proj.bias"):  # zero but for rounding
            case.use(f"grad.{name}")
            continue
        gradient = ours[pretraining_weight_name(name)].grad
        assert abs(gradient.norm().item() - norm) <= 1e-3 * norm, f"norm of gradient of {name}"
        if f"grad.{name}" in case.tensors:
            case.compare_gradient(f"grad.{name}", gradient)
    with_gradient = {name for name, parameter in ours.items() if parameter.grad is not None}
    assert with_gradient == {pretraining_weight_name(name) for name in case.meta["grad_norms"]}


def _check_teacher_update(case: GoldenCase, model: Data2VecAudioForPreTraining) -> None:
    ema, scope = case.meta["ema"], model.config.teacher_scope
    torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=ema["sgd_lr"]).step()
    decay = model.update_teacher(step=ema["set_num_updates"])
    assert abs(decay - ema["decay"]) < 1e-12
    teacher = dict(model.teacher.named_parameters())
    assert set(teacher) == {teacher_weight_name(name, scope) for name in ema["norms_after"]}
    for name, norm in ema["norms_after"].items():
        tensor = teacher[teacher_weight_name(name, scope)]
        assert abs(tensor.norm().item() - norm) <= 1e-5 * norm, f"norm of the teacher's {name}"
        if f"ema_after.{name}" in case.tensors:
            case.compare(f"ema_after.{name}", tensor)


def _attention_mask(case: GoldenCase) -> torch.Tensor | None:
    return (~case.use("input.padding_mask").bool()).long() if "input.padding_mask" in case.tensors else None
