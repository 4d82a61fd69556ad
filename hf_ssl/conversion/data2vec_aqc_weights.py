# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Names of the weights of the original's data2vec-aqc <-> ours."""

from collections.abc import Mapping

import torch

from ..models.configuration_data2vec_aqc import Data2VecAqcConfig
from .data2vec_audio_weights import encoder_weight_name, original_encoder_weight_name, teacher_weight_name
from .problems import Problems
from .weight_names import NameRule, original_name, our_name, store_weight

OUR_STUDENT = "data2vec_aqc."
_HEAD_RULES = [
    NameRule("final_proj.{kind}", "final_proj.{kind}"),
    NameRule("project_q.{kind}", "contrast.target_projection.{kind}"),
    NameRule("contr_proj.{kind}", "contrast.anchor_projection.{kind}"),
    NameRule("quantizer.vars", "contrast.quantizer.codevectors"),
]
_CTC_RULES = [NameRule("w2v_encoder.proj.{kind}", "lm_head.{kind}")]
_CTC_STUDENT = "w2v_encoder.w2v_model."
# What a fine-tuned file still has of pre-training. Nothing reads it.
_DEAD_IN_CTC = ("quantizer.", "project_q.", "contr_proj.")
# What the original's teacher of the whole model has too, and never reads: it is not kept.
_UNREAD_BY_TEACHER = ("mask_emb", "final_proj.", *_DEAD_IN_CTC)


def _head_rules(quantizer_depth: int) -> list[NameRule]:
    """With several layers, those of the original alternate with activations, in pairs; the last stands alone."""
    if quantizer_depth == 1:
        return [*_HEAD_RULES, NameRule("quantizer.weight_proj.{kind}", "contrast.quantizer.scores.{kind}")]
    return [
        *_HEAD_RULES,
        NameRule("quantizer.weight_proj.{layer}.0.{kind}", "contrast.quantizer.hidden_layers.{layer}.{kind}"),
        NameRule(f"quantizer.weight_proj.{quantizer_depth - 1}.{{kind}}", "contrast.quantizer.scores.{kind}"),
    ]


def aqc_weight_name(name: str, quantizer_depth: int = 1) -> str | None:
    """Our name of a weight of the original's student and heads; `None` if it is not known."""
    ours = encoder_weight_name(name)
    return f"{OUR_STUDENT}{ours}" if ours else our_name(name, _head_rules(quantizer_depth))


# from the original


def rename_aqc_pretraining(
    student: Mapping[str, torch.Tensor],
    teacher: Mapping[str, torch.Tensor] | None,
    config: Data2VecAqcConfig,
    problems: Problems,
) -> dict[str, torch.Tensor]:
    """Weights of [`~hf_ssl.Data2VecAqcForPreTraining`]; names that are not known go to `problems`."""
    weights: dict[str, torch.Tensor] = {}
    for name, tensor in student.items():
        if name == "quantizer.vars" and tensor.numel() % config.num_codevector_groups == 0:
            tensor = tensor.reshape(config.num_codevector_groups, -1, tensor.shape[-1])
        store_weight(weights, name, aqc_weight_name(name, config.quantizer_depth), tensor, problems)
    for name, tensor in (teacher or {}).items():
        if config.teacher_scope == "model" and name.startswith(_UNREAD_BY_TEACHER):
            continue
        ours = teacher_weight_name(name, config.teacher_scope)
        store_weight(weights, f"_ema.{name}", f"teacher.{ours}" if ours else None, tensor, problems)
    return weights


def rename_aqc_ctc(model: Mapping[str, torch.Tensor], problems: Problems) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Weights of [`~hf_ssl.Data2VecAqcForCTC`], and the names of those that nothing reads and that are left out;
    names that are not known go to `problems`."""
    weights: dict[str, torch.Tensor] = {}
    left_out = []
    for name, tensor in model.items():
        if not name.startswith(_CTC_STUDENT):
            ours = our_name(name, _CTC_RULES)
        elif name.removeprefix(_CTC_STUDENT).startswith(_DEAD_IN_CTC):
            left_out.append(name)
            continue
        else:
            ours = encoder_weight_name(name.removeprefix(_CTC_STUDENT))
            ours = f"{OUR_STUDENT}{ours}" if ours else None
        store_weight(weights, name, ours, tensor, problems)
    return weights, left_out


# to the original


def original_aqc_pretraining_weights(
    weights: Mapping[str, torch.Tensor], config: Data2VecAqcConfig
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Student with heads, and teacher, under the original's names."""
    student, teacher = {}, {}
    for name, tensor in weights.items():
        if name.startswith(OUR_STUDENT):
            student[original_encoder_weight_name(name.removeprefix(OUR_STUDENT))] = tensor
        elif not name.startswith("teacher."):
            original = original_name(name, _head_rules(config.quantizer_depth))
            student[original] = tensor.reshape(1, -1, tensor.shape[-1]) if original == "quantizer.vars" else tensor
        elif name != "teacher.num_updates":
            original = original_encoder_weight_name(name.removeprefix("teacher."))
            teacher[original if config.teacher_scope == "model" else original.removeprefix("encoder.")] = tensor
    if config.teacher_scope == "model":
        teacher |= {name: student[name].clone() for name in student if name.startswith(_UNREAD_BY_TEACHER)}
    return student, teacher


def original_aqc_ctc_weights(
    weights: Mapping[str, torch.Tensor], config: Data2VecAqcConfig
) -> dict[str, torch.Tensor]:
    """A fine-tuned model's weights under the original's names, with zeros for those that it wants and never reads."""
    renamed = {
        _CTC_STUDENT + original_encoder_weight_name(name.removeprefix(OUR_STUDENT))
        if name.startswith(OUR_STUDENT)
        else original_name(name, _CTC_RULES): tensor
        for name, tensor in weights.items()
    }
    return renamed | {f"{_CTC_STUDENT}{name}": torch.zeros(shape) for name, shape in _dead_shapes(config).items()}


def _dead_shapes(config: Data2VecAqcConfig) -> dict[str, tuple[int, ...]]:
    num_codes = config.num_codevector_groups * config.num_codevectors_per_group
    linear_layers = {
        "project_q": (config.codevector_size, config.proj_codevector_dim),
        "contr_proj": (config.hidden_size, config.proj_codevector_dim),
    }
    input_size = config.conv_dim[-1]
    if config.quantizer_depth == 1:
        linear_layers["quantizer.weight_proj"] = (input_size, num_codes)
    else:
        inner_size, last = input_size * config.quantizer_factor, config.quantizer_depth - 1
        linear_layers["quantizer.weight_proj.0.0"] = (input_size, inner_size)
        linear_layers |= {f"quantizer.weight_proj.{index}.0": (inner_size, inner_size) for index in range(1, last)}
        linear_layers[f"quantizer.weight_proj.{last}"] = (inner_size, num_codes)
    shapes: dict[str, tuple[int, ...]] = {
        "quantizer.vars": (1, num_codes, config.codevector_size // config.num_codevector_groups)
    }
    for name, (inputs, outputs) in linear_layers.items():
        shapes |= {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}
    return shapes
