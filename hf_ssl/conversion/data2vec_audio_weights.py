# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Names of the weights of fairseq's data2vec for speech <-> transformers' and those of our pre-training."""

from collections.abc import Mapping

import torch

from .problems import Problems
from .weight_names import NameRule, original_name, our_name, store_weight

_LAYER_NAMES = {
    **{f"self_attn.{name}": f"attention.{name}" for name in ("k_proj", "v_proj", "q_proj", "out_proj")},
    "self_attn_layer_norm": "layer_norm",
    "fc1": "feed_forward.intermediate_dense",
    "fc2": "feed_forward.output_dense",
    "final_layer_norm": "final_layer_norm",
}
_CONV, _OUR_CONV = "feature_extractor.conv_layers.{layer}", "feature_extractor.conv_layers.{layer}"
_RULES = [
    NameRule("mask_emb", "masked_spec_embed"),
    NameRule(f"{_CONV}.0.{{kind}}", f"{_OUR_CONV}.conv.{{kind}}"),
    NameRule(f"{_CONV}.2.1.{{kind}}", f"{_OUR_CONV}.layer_norm.{{kind}}"),
    NameRule("layer_norm.{kind}", "feature_projection.layer_norm.{kind}"),
    NameRule("post_extract_proj.{kind}", "feature_projection.projection.{kind}"),
    NameRule("encoder.pos_conv.{layer}.0.{kind}", "encoder.pos_conv_embed.layers.{layer}.conv.{kind}"),
    NameRule("encoder.layer_norm.{kind}", "encoder.layer_norm.{kind}"),
    *(
        NameRule(f"encoder.layers.{{layer}}.{original}.{{kind}}", f"encoder.layers.{{layer}}.{ours}.{{kind}}")
        for original, ours in _LAYER_NAMES.items()
    ),
]
_HEAD_RULES = [NameRule("final_proj.{kind}", "final_proj.{kind}")]
_CTC_RULES = [NameRule("w2v_encoder.proj.{kind}", "lm_head.{kind}")]
_CTC_STUDENT = "w2v_encoder.w2v_model."
_OUR_STUDENT = "data2vec_audio."
# What the original's teacher of the whole model has too, and never reads: it is not kept.
_UNREAD_BY_TEACHER = ("mask_emb", "final_proj.")


def encoder_weight_name(name: str) -> str | None:
    """The name, in `Data2VecAudioModel`, of a weight of the original's student; `None` if it is not known."""
    return our_name(name, _RULES)


def original_encoder_weight_name(name: str) -> str:
    """The original's name of a weight of `Data2VecAudioModel`.

    Raises:
        ValueError: It has none.
    """
    return original_name(name, _RULES)


def pretraining_weight_name(name: str) -> str | None:
    """The name, in our pre-training model, of a weight of the original's student or of its regression head."""
    ours = encoder_weight_name(name)
    return f"{_OUR_STUDENT}{ours}" if ours else our_name(name, _HEAD_RULES)


def teacher_weight_name(name: str, scope: str) -> str | None:
    """The name, in our teacher, of a weight of the original's, which below scope `"model"` is an encoder alone."""
    return encoder_weight_name(name if scope == "model" else f"encoder.{name}")


# from the original


def rename_audio_pretraining(
    student: Mapping[str, torch.Tensor], teacher: Mapping[str, torch.Tensor] | None, scope: str, problems: Problems
) -> dict[str, torch.Tensor]:
    """Weights of [`~hf_ssl.Data2VecAudioForPreTraining`]; names that are not known go to `problems`."""
    weights: dict[str, torch.Tensor] = {}
    for name, tensor in student.items():
        store_weight(weights, name, pretraining_weight_name(name), tensor, problems)
    for name, tensor in (teacher or {}).items():
        if scope == "model" and name.startswith(_UNREAD_BY_TEACHER):
            continue
        ours = teacher_weight_name(name, scope)
        store_weight(weights, f"_ema.{name}", f"teacher.{ours}" if ours else None, tensor, problems)
    return weights


def rename_audio_ctc(model: Mapping[str, torch.Tensor], problems: Problems) -> dict[str, torch.Tensor]:
    """Weights of transformers' `Data2VecAudioForCTC`; names that are not known go to `problems`."""
    weights: dict[str, torch.Tensor] = {}
    for name, tensor in model.items():
        if name.startswith(_CTC_STUDENT):
            ours = encoder_weight_name(name.removeprefix(_CTC_STUDENT))
            ours = f"{_OUR_STUDENT}{ours}" if ours else None
        else:
            ours = our_name(name, _CTC_RULES)
        store_weight(weights, name, ours, tensor, problems)
    return weights


def copy_student_to_teacher(weights: dict[str, torch.Tensor], scope: str, student: str = _OUR_STUDENT) -> None:
    """Adds the teacher that the original would make of a student, whose weights' names begin with `student`; copies,
    for memory cannot be shared when saved."""
    for name, tensor in list(weights.items()):
        ours = name.removeprefix(student)
        is_averaged = ours.startswith("encoder.") or (scope == "model" and ours != "masked_spec_embed")
        if name.startswith(student) and is_averaged:
            weights[f"teacher.{ours}"] = tensor.clone()


# to the original


def original_audio_pretraining_weights(
    weights: Mapping[str, torch.Tensor], scope: str
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Student with regression head, and teacher, under the original's names."""
    student, teacher = {}, {}
    for name, tensor in weights.items():
        if name.startswith(_OUR_STUDENT):
            student[original_name(name.removeprefix(_OUR_STUDENT), _RULES)] = tensor
        elif name.startswith("teacher.") and name != "teacher.num_updates":
            original = original_name(name.removeprefix("teacher."), _RULES)
            teacher[original if scope == "model" else original.removeprefix("encoder.")] = tensor
        elif not name.startswith("teacher."):
            student[original_name(name, _HEAD_RULES)] = tensor
    if scope == "model":
        teacher |= {name: student[name].clone() for name in student if name.startswith(_UNREAD_BY_TEACHER)}
    return student, teacher


def original_audio_ctc_weights(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A fine-tuned model's weights under the original's names."""
    return {
        _CTC_STUDENT + original_name(name.removeprefix(_OUR_STUDENT), _RULES)
        if name.startswith(_OUR_STUDENT)
        else original_name(name, _CTC_RULES): tensor
        for name, tensor in weights.items()
    }
