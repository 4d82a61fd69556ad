# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Configuration of data2vec-aqc."""

import math

from huggingface_hub.dataclasses import strict

from .configuration_data2vec_pretraining import Data2VecAudioPreTrainingConfig
from .option_checks import check_counts, check_not_negative, check_positive, check_shares

# Which class each Auto class makes of a folder where this package is not installed (`trust_remote_code=True`). The
# whole family, because a folder of any of its classes is opened as any other: pre-trained weights as a recogniser.
DATA2VEC_AQC_AUTO_MAP = {
    "AutoConfig": "configuration_data2vec_aqc.Data2VecAqcConfig",
    "AutoModel": "modeling_data2vec_aqc.Data2VecAqcModel",
    "AutoModelForPreTraining": "modeling_data2vec_aqc.Data2VecAqcForPreTraining",
    "AutoModelForCTC": "modeling_data2vec_aqc.Data2VecAqcForCTC",
    "AutoModelForAudioClassification": "modeling_data2vec_aqc.Data2VecAqcForSequenceClassification",
    "AutoModelForAudioFrameClassification": "modeling_data2vec_aqc.Data2VecAqcForAudioFrameClassification",
    "AutoModelForAudioXVector": "modeling_data2vec_aqc.Data2VecAqcForXVector",
}


@strict
class Data2VecAqcConfig(Data2VecAudioPreTrainingConfig):
    r"""
    Configuration of data2vec-aqc ([data2vec-aqc: Search for the right Teaching Assistant in the Teacher-Student
    training setup](https://huggingface.co/papers/2211.01246)).

    The encoder is that of data2vec for speech, and so are teacher, masks and regression: their fields are those of
    [`Data2VecAudioPreTrainingConfig`] and of `Data2VecAudioConfig`. Sizes and objective are by default those of the
    published base model. Where the original's code does something else than what serves a user best there is an
    option, and conversion sets it: `cluster_scope="batch"`, `cluster_weighting="multiply"`,
    `cluster_only_on_collision=True`, `norm_targets_over_padding=True` (which also lets padded frames into the penalty
    on features), `convolve_padding=True`, `num_kmeans_iterations=100`. `require_same_masks`, true by
    default in the original, has the file's value.

    Args:
        convolve_padding (`bool`, *optional*, defaults to `False`):
            Let padded frames, which are zero before the first of the convolutional positions, into the following ones.
            Results then depend on how much an utterance was padded.
        local_grad_scale (`float`, *optional*, defaults to 1.0):
            Factor on the gradient that the waveform encoder gets of the clean view (`feature_grad_mult` of the
            original): of the only one in fine-tuning, and in pre-training without an augmented view. That of an
            augmented view is not scaled, but for 0, which trains the waveform encoder with neither.
        student_contrastive_weight, teacher_contrastive_weight (`float`, *optional*, default to 0.5):
            Of the student's contrastive loss against quantized clean features, and of the teacher's against quantized
            augmented ones.
        diversity_loss_weight (`float`, *optional*, defaults to 0.1): Of the quantizer's unused share of codes.
        features_penalty_weight (`float`, *optional*, defaults to 10.0): Of the mean square of clean local features.
        proj_codevector_dim (`int`, *optional*, defaults to 256): Size of the vectors that are contrasted.
        codevector_dim (`int`, *optional*): Size of the quantizer's vectors; `proj_codevector_dim` if `None`.
        num_codevector_groups, num_codevectors_per_group (`int`, *optional*, default to 2 and 320): The quantizer.
        quantizer_depth, quantizer_factor (`int`, *optional*, default to 1 and 3):
            Linear layers that score the codes, and, if there are several, how much wider the inner ones are.
        feat_quantizer_dropout (`float`, *optional*, defaults to 0.0): Dropout of the quantizer's input.
        gumbel_temperature (`tuple[float]`, *optional*, defaults to `(2.0, 0.5, 0.999995)`):
            Of the Gumbel softmax: at the first update, at least, and the factor per update.
        contrastive_logits_temperature (`float`, *optional*, defaults to 0.1): Divides cosine similarities.
        num_negatives (`int`, *optional*, defaults to 100): Negatives per masked frame, from its own utterance.
        num_cross_negatives (`int`, *optional*, defaults to 0): Further ones from the whole batch.
        cluster_factor (`int`, *optional*, defaults to 16): Frames of an utterance per cluster of k-means.
        scale_factor (`float`, *optional*, defaults to 0.3):
            How much a negative from the positive's cluster still weighs; 1 switches the clustering off.
        cluster_weighting (`str`, *optional*, defaults to `"log"`):
            `"log"`: adds `log(scale_factor)` to the negative's logit, so that the share of the negative in the softmax
            is scaled. `"multiply"`: multiplies the logit, as the original, which strengthens negatives whose
            similarity is below zero.
        cluster_only_on_collision (`bool`, *optional*, defaults to `False`):
            Weaken negatives only in batches in which some negative has the very code of its positive, as the original.
        cluster_scope (`str`, *optional*, defaults to `"utterance"`):
            What is clustered at once: both views of an `"utterance"`, or of the whole `"batch"` with as many clusters
            as for one utterance, as in the original; clusters are then the coarser, the larger the batch is.
        num_kmeans_iterations (`int`, *optional*, defaults to 20): At most so many; 100 in the original.
        kmeans_tolerance (`float`, *optional*, defaults to 1e-4): Squared movement of the centroids that ends it.
        apply_spec_augment (`bool`, *optional*, defaults to `True`):
            Whether the encoder masks frames and channels when it is trained without a mask, that is in fine-tuning.
    """

    model_type = "data2vec-aqc"

    final_dropout: float | int = 0.0
    convolve_padding: bool = False
    local_grad_scale: float | int = 1.0
    student_contrastive_weight: float | int = 0.5
    teacher_contrastive_weight: float | int = 0.5
    diversity_loss_weight: float | int = 0.1
    features_penalty_weight: float | int = 10.0
    proj_codevector_dim: int = 256
    codevector_dim: int | None = None
    num_codevector_groups: int = 2
    num_codevectors_per_group: int = 320
    quantizer_depth: int = 1
    quantizer_factor: int = 3
    feat_quantizer_dropout: float | int = 0.0
    gumbel_temperature: list[float | int] | tuple[float | int, ...] = (2.0, 0.5, 0.999995)
    contrastive_logits_temperature: float | int = 0.1
    num_negatives: int = 100
    num_cross_negatives: int = 0
    cluster_factor: int = 16
    scale_factor: float | int = 0.3
    cluster_weighting: str = "log"
    cluster_only_on_collision: bool = False
    cluster_scope: str = "utterance"
    num_kmeans_iterations: int = 20
    kmeans_tolerance: float = 1e-4
    apply_spec_augment: bool = True
    mask_time_prob: float | int = 0.0
    mask_time_min_masks: int = 0
    mask_feature_length: int = 64

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        # Also over what was loaded, which names the repository it came from: the code is saved beside the weights.
        self.auto_map = dict(DATA2VEC_AQC_AUTO_MAP)

    def validate_architecture(self):
        """Part of the validation by `@strict`: what the fields must be in relation to each other."""
        super().validate_architecture()
        self._validate_encoder()
        self._validate_choices()
        self._validate_weights()
        self._validate_contrast()
        self._validate_quantizer()

    def _validate_encoder(self) -> None:
        check_counts(num_conv_pos_embedding_groups=self.num_conv_pos_embedding_groups)
        for name, parts in (
            ("num_attention_heads", self.num_attention_heads),
            ("num_conv_pos_embedding_groups", self.num_conv_pos_embedding_groups),
        ):
            if self.hidden_size % parts:
                raise ValueError(f"`hidden_size` = {self.hidden_size} must be a multiple of `{name}` = {parts}.")

    def _validate_choices(self) -> None:
        choices = {
            "cluster_weighting": ("log", "multiply"),
            "cluster_scope": ("utterance", "batch"),
            "ctc_loss_reduction": ("mean", "sum"),
        }
        values = self.to_dict()
        for name, allowed in choices.items():
            if values[name] not in allowed:
                raise ValueError(f"`{name}` must be one of {allowed}, but is {values[name]!r}.")

    def _validate_weights(self) -> None:
        check_not_negative(
            local_grad_scale=self.local_grad_scale,
            student_contrastive_weight=self.student_contrastive_weight,
            teacher_contrastive_weight=self.teacher_contrastive_weight,
            diversity_loss_weight=self.diversity_loss_weight,
            features_penalty_weight=self.features_penalty_weight,
            kmeans_tolerance=self.kmeans_tolerance,
        )

    def _validate_contrast(self) -> None:
        if self.num_negatives < 0 or self.num_cross_negatives < 0 or self.num_all_negatives < 1:
            raise ValueError(
                f"`num_negatives` = {self.num_negatives} and `num_cross_negatives` = {self.num_cross_negatives} must "
                "not be negative, and not both 0."
            )
        if not 0 < self.scale_factor <= 1:
            raise ValueError(
                f"`scale_factor` must lie between 0 (excluded) and 1 (no weakening), but is {self.scale_factor}."
            )
        check_positive(contrastive_logits_temperature=self.contrastive_logits_temperature)
        check_counts(cluster_factor=self.cluster_factor, num_kmeans_iterations=self.num_kmeans_iterations)

    def _validate_quantizer(self) -> None:
        check_shares(feat_quantizer_dropout=self.feat_quantizer_dropout)
        check_counts(
            proj_codevector_dim=self.proj_codevector_dim,
            codevector_dim=self.codevector_size,
            num_codevector_groups=self.num_codevector_groups,
            num_codevectors_per_group=self.num_codevectors_per_group,
            quantizer_depth=self.quantizer_depth,
            quantizer_factor=self.quantizer_factor,
        )
        if self.codevector_size % self.num_codevector_groups:
            raise ValueError(
                f"`codevector_dim` = {self.codevector_size} must be a multiple of `num_codevector_groups` = "
                f"{self.num_codevector_groups}."
            )
        start, end, decay = (*self.gumbel_temperature, 0, 0, 0)[:3]
        if len(self.gumbel_temperature) != 3 or not (math.inf > start >= end > 0 and 0 < decay <= 1):
            raise ValueError(
                "`gumbel_temperature` must be the first and the lowest temperature and a factor of at most 1 per "
                f"update, but is {list(self.gumbel_temperature)}."
            )

    @property
    def codevector_size(self) -> int:
        """Size of the quantizer's vectors."""
        return self.proj_codevector_dim if self.codevector_dim is None else self.codevector_dim

    @property
    def num_all_negatives(self) -> int:
        """Negatives per masked frame."""
        return self.num_negatives + self.num_cross_negatives


__all__ = ["Data2VecAqcConfig"]
