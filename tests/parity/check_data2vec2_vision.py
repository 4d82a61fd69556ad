# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""A data2vec 2.0 image case, the public way: convert, `from_pretrained`, forward, backward, one step, teacher."""

from pathlib import Path

import torch
from parity.golden import GoldenCase
from parity.pretraining_step import check_gradients, check_order, check_teacher_update, noise_in_time
from parity.recorder import Recorder

from hf_ssl import Data2Vec2VisionForPreTraining, Data2Vec2VisionModel
from hf_ssl.conversion import convert_checkpoint
from hf_ssl.conversion.data2vec2_vision_weights import image_decoder_weight_name, image_weight_name
from hf_ssl.training.monitoring import feature_std


def check(case: GoldenCase, folder: Path) -> None:
    case.load()
    convert_checkpoint(case.folder / "checkpoint.pt", folder)
    _check_features(case, folder)
    model = Data2Vec2VisionForPreTraining.from_pretrained(folder)
    model.train()
    _check_pretraining_step(case, model)
    check_gradients(case, model, _our_name)
    check_teacher_update(case, model, image_weight_name)
    case.assert_all_compared()


def _check_features(case: GoldenCase, folder: Path) -> None:
    model, recorder = Data2Vec2VisionModel.from_pretrained(folder), Recorder()
    recorder.watch("local_encoder", model.local_encoder.patch_embedding)
    recorder.watch("context_encoder_out", model.context_encoder)
    for index, layer in enumerate(model.trunk.layers):
        recorder.watch(f"block{index}.x", layer)
        recorder.watch(f"layer_result{index}", layer if model.config.target_source == "block" else layer.mlp)
    with torch.no_grad():
        outputs = model(case.use("input.source"))
    patches = _in_rows(recorder.outputs.pop("local_encoder"))
    for name in ("local_encoder", "local_features"):
        case.compare(f"feat.{name}", patches)
    for name, output in recorder.outputs.items():
        case.compare(f"feat.{name}", output)
    case.compare("feat.x", outputs.last_hidden_state)


def _check_pretraining_step(case: GoldenCase, model: Data2Vec2VisionForPreTraining) -> None:
    student, teacher, recorder = model.data2vec2_vision, model.teacher, Recorder()
    recorder.watch("patches", student.local_encoder.patch_embedding)
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
        bool_masked_pos=mask.view(batch_size, num_masks, -1),
        mask_noise=noise.view(batch_size, num_masks, *noise.shape[1:]),
    )
    outputs.loss.backward()

    case.compare("pre.mask", outputs.mask_time_indices.flatten(0, 1))
    case.compare("pre.local_features", _in_rows(recorder.outputs["patches"]))
    order = check_order(case, mask) + model.config.num_extra_tokens
    order = torch.cat([torch.zeros_like(order[:, :1]), order], dim=1)  # one extra token stands first
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
    case.compare("pre.loss_total", outputs.loss * num_predicted)
    case.compare("pre.loss.IMAGE_regression", outputs.regression_loss * num_predicted)
    case.compare("pre.loss.cls", outputs.cls_loss * num_predicted)
    case.compare("pre.masked_pct", outputs.mask_time_indices.float().mean())
    targets = outputs.targets.unsqueeze(1).expand(-1, num_masks, -1, -1)[outputs.prediction_mask]
    case.compare("pre.pred_var", feature_std(outputs.predictions))
    case.compare("pre.target_var", feature_std(targets))


def _in_rows(embedded: torch.Tensor) -> torch.Tensor:
    """`(batch_size, hidden_size, rows, columns)` -> `(batch_size, num_patches, hidden_size)`."""
    return embedded.flatten(2).transpose(1, 2)


def _our_name(name: str) -> str | None:
    ours = image_weight_name(name)
    return f"data2vec2_vision.{ours}" if ours else image_decoder_weight_name(name)
