# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""A data2vec 2.0 audio case, the public way: convert, `from_pretrained`, forward, backward, one step, teacher."""

from pathlib import Path

import torch
from parity.golden import GoldenCase
from parity.pretraining_step import check_gradients, check_order, check_teacher_update, noise_in_time
from parity.recorder import Recorder

from hf_ssl import Data2Vec2AudioForPreTraining, Data2Vec2AudioModel
from hf_ssl.conversion import convert_checkpoint
from hf_ssl.conversion.data2vec2_weights import audio_weight_name, decoder_weight_name
from hf_ssl.training.monitoring import feature_std

PREFIX = "modality_encoders.AUDIO"


def check(case: GoldenCase, folder: Path) -> None:
    case.load()
    convert_checkpoint(case.folder / "checkpoint.pt", folder)
    _check_features(case, folder)
    model = Data2Vec2AudioForPreTraining.from_pretrained(folder)
    model.train()
    _check_pretraining_step(case, model)
    check_gradients(case, model, _our_name)
    check_teacher_update(case, model, audio_weight_name)
    case.assert_all_compared()


def _check_features(case: GoldenCase, folder: Path) -> None:
    model, recorder = Data2Vec2AudioModel.from_pretrained(folder), Recorder()
    recorder.watch("local_encoder", model.local_encoder.conv_layers[-1])
    recorder.watch("local_features", model.local_encoder)
    recorder.watch("conv_pos", model.context_encoder.position_encoder)
    recorder.watch("context_encoder_out", model.context_encoder)
    for index, layer in enumerate(model.trunk.layers):
        recorder.watch(f"block{index}.x", layer)
        recorder.watch(f"layer_result{index}", layer if model.config.target_source == "block" else layer.mlp)
    attention_mask = _attention_mask(case)
    with torch.no_grad():
        outputs = model(case.use("input.source"), attention_mask=attention_mask)
    for name, output in recorder.outputs.items():
        case.compare(f"feat.{name}", output)
    case.compare("feat.x", outputs.last_hidden_state)
    if attention_mask is not None:
        frames = model._get_feature_vector_attention_mask(outputs.last_hidden_state.shape[1], attention_mask)
        case.compare("feat.padding_mask", ~frames)


def _check_pretraining_step(case: GoldenCase, model: Data2Vec2AudioForPreTraining) -> None:
    student, teacher, recorder = model.data2vec2_audio, model.teacher, Recorder()
    recorder.watch("local_features", student.local_encoder)
    recorder.watch("conv_pos", student.context_encoder.position_encoder)
    recorder.watch("context_encoder_in", student.context_encoder.layer_norm)
    recorder.watch("context_encoder_out", student.context_encoder)
    recorder.watch("encoder_out", student.trunk)
    recorder.watch("decoder", model.decoder)
    recorder.watch("teacher.block0", teacher.trunk.layers[0])
    for index, layer in enumerate(teacher.trunk.layers):
        recorder.watch(f"teacher.layer_result{index}", layer.mlp)

    batch_size, num_masks = len(case.use("input.source")), model.config.num_masks
    mask = case.use("input.precomputed_mask").bool()
    noise = noise_in_time(case, mask)
    outputs = model(
        case.use("input.source"),
        attention_mask=_attention_mask(case),
        mask_time_indices=mask.view(batch_size, num_masks, -1),
        mask_noise=noise.view(batch_size, num_masks, *noise.shape[1:]),
    )
    outputs.loss.backward()

    case.compare("pre.mask", outputs.mask_time_indices.flatten(0, 1))
    case.compare("pre.local_features", recorder.outputs["local_features"])
    case.compare("pre.conv_pos", recorder.outputs["conv_pos"])
    order = check_order(case, mask)
    for name, tensor in (
        ("context_encoder_in", recorder.inputs["context_encoder_in"]),
        ("context_encoder_out", recorder.outputs["context_encoder_out"]),
        ("encoder_out", recorder.outputs["encoder_out"]),
    ):
        case.compare(f"pre.{name}", tensor.gather(1, order.unsqueeze(-1).expand_as(tensor)))
    decoder_in = recorder.inputs["decoder"]
    case.compare("pre.encoder_out_dense", decoder_in * ~mask.unsqueeze(-1))
    case.compare("pre.decoder_in", decoder_in)
    case.compare("pre.decoder_out", model.decoder.project(recorder.outputs["decoder"]))
    case.compare("pre.teacher.block0_in", recorder.inputs["teacher.block0"])
    for index in range(len(teacher.trunk.layers)):
        case.compare(f"pre.teacher.layer_result{index}", recorder.outputs[f"teacher.layer_result{index}"])
    case.compare("pre.targets", outputs.targets)
    _check_losses(case, outputs, num_masks)


def _check_losses(case: GoldenCase, outputs, num_masks: int) -> None:
    num_predicted = outputs.prediction_mask.sum()
    case.compare("pre.sample_size", num_predicted)
    for name in ("pre.loss_total", "pre.loss.AUDIO_regression"):
        case.compare(name, outputs.loss * num_predicted)
    case.compare("pre.masked_pct", outputs.mask_time_indices.float().mean())
    targets = outputs.targets.unsqueeze(1).expand(-1, num_masks, -1, -1)[outputs.prediction_mask]
    case.compare("pre.pred_var", feature_std(outputs.predictions))
    case.compare("pre.target_var", feature_std(targets))


def _our_name(name: str) -> str:
    ours = audio_weight_name(name)
    return f"data2vec2_audio.{ours}" if ours else decoder_weight_name(name)


def _attention_mask(case: GoldenCase) -> torch.Tensor | None:
    return (~case.use("input.padding_mask").bool()).long() if "input.padding_mask" in case.tensors else None
