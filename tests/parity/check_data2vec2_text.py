# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""A data2vec 2.0 text case, the public way: convert, `from_pretrained`, forward, backward, one step, teacher."""

from pathlib import Path

import torch
from parity.golden import GoldenCase
from parity.pretraining_step import check_gradients, check_order, check_teacher_update, noise_in_time
from parity.recorder import Recorder

from hf_ssl import Data2Vec2TextForPreTraining, Data2Vec2TextModel
from hf_ssl.conversion import convert_checkpoint, convert_to_fairseq
from hf_ssl.conversion.data2vec2_text_weights import text_names
from hf_ssl.conversion.weight_names import our_name
from hf_ssl.training.monitoring import feature_std

NAMES = text_names()


def check(case: GoldenCase, folder: Path) -> None:
    case.load()
    checkpoint = case.folder / "checkpoint.pt"
    convert_checkpoint(checkpoint, folder)
    check_way_back(checkpoint, folder)
    _check_features(case, folder)
    model = Data2Vec2TextForPreTraining.from_pretrained(folder)
    model.train()
    _check_pretraining_step(case, model)
    check_gradients(case, model, _our_name)
    is_trunk = model.config.teacher_scope == "trunk"
    check_teacher_update(case, model, lambda name: our_name(f"blocks.{name}" if is_trunk else name, NAMES.encoder))
    case.assert_all_compared()


def check_way_back(checkpoint: Path, folder: Path) -> None:
    """The same names, values and configuration."""
    back = torch.load(convert_to_fairseq(folder, folder.with_name("back.pt")), weights_only=True)
    original = torch.load(checkpoint, weights_only=True)
    assert back["cfg"] == original["cfg"]
    _assert_equal_weights(back["model"], original["model"])


def _assert_equal_weights(back: dict, original: dict) -> None:
    assert set(back) == set(original)
    for name, tensor in original.items():
        if isinstance(tensor, dict):
            _assert_equal_weights(back[name], tensor)
        else:
            assert back[name].dtype == tensor.dtype
            assert torch.equal(back[name], tensor), name


def _check_features(case: GoldenCase, folder: Path) -> None:
    model, recorder = Data2Vec2TextModel.from_pretrained(folder), Recorder()
    recorder.watch("local_encoder", model.local_encoder)
    recorder.watch("local_features", model.local_encoder)
    recorder.watch("context_encoder_out", model.context_encoder)
    for index, layer in enumerate(model.trunk.layers):
        recorder.watch(f"block{index}.x", layer)
        recorder.watch(f"layer_result{index}", layer if model.config.target_source == "block" else layer.mlp)
    input_ids = case.use("input.source")
    with torch.no_grad():
        outputs = model(input_ids, attention_mask=_attention_mask(case))
        without_mask = model(input_ids)
    for name, output in recorder.outputs.items():
        case.compare(f"feat.{name}", output)
    case.compare("feat.x", outputs.last_hidden_state)
    assert torch.equal(without_mask.last_hidden_state, outputs.last_hidden_state)  # padding is known by its id
    if "feat.padding_mask" in case.tensors:
        case.compare("feat.padding_mask", input_ids == model.config.pad_token_id)


def _check_pretraining_step(case: GoldenCase, model: Data2Vec2TextForPreTraining) -> None:
    student, teacher, recorder = model.data2vec2_text, model.teacher, Recorder()
    recorder.watch("local_features", student.local_encoder)
    recorder.watch("context_encoder", student.context_encoder)
    recorder.watch("context_encoder_in", student.context_encoder.dropout)
    recorder.watch("encoder_out", student.trunk)
    recorder.watch("decoder", model.decoder)
    recorder.watch("teacher.block0", teacher.trunk.layers[0])
    for index, layer in enumerate(teacher.trunk.layers):
        recorder.watch(f"teacher.layer_result{index}", layer if model.config.target_source == "block" else layer.mlp)

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
    order = check_order(case, mask)
    for name, tensor in (
        ("context_encoder_in", recorder.inputs["context_encoder_in"]),
        ("context_encoder_out", recorder.outputs["context_encoder"]),
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
    for name in ("pre.loss_total", "pre.loss.TEXT_regression"):
        case.compare(name, outputs.loss * num_predicted)
    case.compare("pre.masked_pct", outputs.mask_time_indices.float().mean())
    targets = outputs.targets.unsqueeze(1).expand(-1, num_masks, -1, -1)[outputs.prediction_mask]
    case.compare("pre.pred_var", feature_std(outputs.predictions))
    case.compare("pre.target_var", feature_std(targets))


def _our_name(name: str) -> str:
    ours = our_name(name, NAMES.encoder)
    return f"{NAMES.student}{ours}" if ours else our_name(name, NAMES.decoder)


def _attention_mask(case: GoldenCase) -> torch.Tensor | None:
    return (~case.use("input.padding_mask").bool()).long() if "input.padding_mask" in case.tensors else None
