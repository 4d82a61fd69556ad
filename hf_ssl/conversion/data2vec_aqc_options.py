# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Options of the original's data2vec-aqc (`data2vec_audio` of a fork, and `wav2vec_ctc` around it) <-> our
configuration: those of data2vec, and what is told here."""

from collections.abc import Mapping
from typing import Any

from ..models.configuration_data2vec_aqc import Data2VecAqcConfig
from . import data2vec_audio_options
from .options import list_missing, list_unsupported, named_fields, named_options, section
from .problems import Problems

_FIELDS = {
    "local_grad_scale": "feature_grad_mult",
    "feat_quantizer_dropout": "dropout_features",
    "proj_codevector_dim": "final_proj_dim",
    "num_codevector_groups": "latent_groups",
    "num_codevectors_per_group": "latent_vars",
    "gumbel_temperature": "latent_temp",
    "quantizer_depth": "quantizer_depth",
    "quantizer_factor": "quantizer_factor",
    "contrastive_logits_temperature": "logit_temp",
    "num_negatives": "num_negatives",
    "num_cross_negatives": "cross_sample_negatives",
    "cluster_factor": "cluster_factor",
    "scale_factor": "scale_factor",
}
# Options that we do not have, with the value at which they do nothing.
_UNSUPPORTED_OPTIONS: dict[str, Any] = {
    "negatives_from_everywhere": False,
    "codebook_negatives": 0,
    "quantize_input": False,
    "target_glu": False,
}
# What the original does whatever its options say, where our defaults do otherwise.
_ORIGINAL_BEHAVIOUR: dict[str, Any] = {
    "convolve_padding": True,
    "norm_targets_over_padding": True,
    "cluster_scope": "batch",
    "cluster_weighting": "multiply",
    "cluster_only_on_collision": True,
    "num_kmeans_iterations": 100,
}
# What is written into the original's code.
_HARD_CODED: dict[str, Any] = {
    "student_contrastive_weight": 0.5,
    "teacher_contrastive_weight": 0.5,
    "diversity_loss_weight": 0.1,
    "features_penalty_weight": 10.0,
    "kmeans_tolerance": 1e-4,
}


# from the original


def aqc_pretraining_fields(model: Mapping[str, Any], problems: Problems) -> dict[str, Any] | None:
    """Fields of a pre-training configuration from `cfg.model`; `None`, and `problems`, if they cannot be made."""
    fields = data2vec_audio_options.pretraining_fields(model, problems)
    own_fields = _own_fields(dict(model), problems)
    return None if fields is None or own_fields is None else fields | own_fields


def aqc_ctc_fields(config: Mapping[str, Any], problems: Problems) -> dict[str, Any] | None:
    """Fields of a fine-tuned configuration from the whole `cfg`; `None`, and `problems`, if they cannot be made."""
    fields = data2vec_audio_options.ctc_fields(config, problems)
    student = section(section(section(config, "model"), "w2v_args"), "model")
    own_fields = _own_fields(student, problems)
    if fields is None or own_fields is None:
        return None
    top_k = min(student.get("average_top_k_layers", 1), fields["num_hidden_layers"])  # it may have lost layers since
    return fields | own_fields | {"average_top_k_layers": top_k}


def _own_fields(options: dict[str, Any], problems: Problems) -> dict[str, Any] | None:
    list_unsupported(options, _UNSUPPORTED_OPTIONS, problems)
    list_missing(options, (*_FIELDS.values(), "latent_dim"), problems)
    if problems.missing_options:
        return None
    codevector_dim = options["latent_dim"] or None  # 0 stands for the projection's size there
    return named_fields(options, _FIELDS) | _ORIGINAL_BEHAVIOUR | {"codevector_dim": codevector_dim}


# to the original


def aqc_pretraining_options(config: Data2VecAqcConfig) -> dict[str, Any]:
    """`cfg.model` of a pre-training checkpoint; what the configuration does not say has the original's defaults."""
    return data2vec_audio_options.pretraining_options(config) | _own_options(config)


def aqc_ctc_options(config: Data2VecAqcConfig, task: dict[str, Any]) -> dict[str, Any]:
    """`cfg.model` of a fine-tuned checkpoint, with the student's configuration in `w2v_args`, as the original has it.

    Args:
        config: The folder's.
        task: `cfg.task` of the checkpoint.
    """
    options = data2vec_audio_options.ctc_options(config, task)
    student = options["w2v_args"]["model"] | _own_options(config)
    return options | {
        "feature_grad_mult": config.local_grad_scale,
        "w2v_args": options["w2v_args"] | {"model": student},
    }


def _own_options(config: Data2VecAqcConfig) -> dict[str, Any]:
    options = named_options(config.to_dict(), _FIELDS)
    return (
        _UNSUPPORTED_OPTIONS
        | options
        | {"latent_dim": config.codevector_dim or 0, "latent_temp": list(config.gumbel_temperature)}
    )


def unsupported_aqc_fields(config: Data2VecAqcConfig) -> list[str]:
    """Fields for which the original has no option, with the value that they would need to have."""
    values = config.to_dict()
    own = [
        f"{name} = {values[name]!r} (it would have to be {value!r})"
        for name, value in _HARD_CODED.items()
        if values[name] != value
    ]
    if config.loss_beta != 0 or config.loss_scale is not None:
        own.append("loss_beta and loss_scale (the original stops with an error unless they are 0 and None)")
    return data2vec_audio_options.unsupported_audio_fields(config) + own


def different_aqc_behaviour(config: Data2VecAqcConfig) -> list[str]:
    """What the original will compute differently although it loads the weights."""
    values = config.to_dict()
    return [
        f"the original has `{name}` = {value!r}"
        for name, value in _ORIGINAL_BEHAVIOUR.items()
        if values[name] != value
    ]
