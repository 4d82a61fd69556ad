# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Configuration of data2vec 2.0 for text."""

from huggingface_hub.dataclasses import strict

from .configuration_data2vec2 import Data2Vec2SequenceConfig

# Which class each Auto class makes of a text model's folder where this package is not installed; the whole family, as
# for speech.
TEXT_AUTO_MAP = {
    "AutoConfig": "configuration_data2vec2_text.Data2Vec2TextConfig",
    "AutoModel": "modeling_data2vec2_text.Data2Vec2TextModel",
    "AutoModelForPreTraining": "modeling_data2vec2_text.Data2Vec2TextForPreTraining",
    "AutoModelForSequenceClassification": "modeling_data2vec2_text.Data2Vec2TextForSequenceClassification",
    "AutoModelForTokenClassification": "modeling_data2vec2_text.Data2Vec2TextForTokenClassification",
    "AutoModelForQuestionAnswering": "modeling_data2vec2_text.Data2Vec2TextForQuestionAnswering",
}


@strict
class Data2Vec2TextConfig(Data2Vec2SequenceConfig):
    r"""
    Configuration of data2vec 2.0 for text ([Efficient Self-supervised Learning with Contextualized Target
    Representations for Vision, Speech and Language](https://huggingface.co/papers/2212.07525)). The defaults are the
    published base model (`base_text_only_task.yaml` of the original code).

    Args:
        vocab_size (`int`, *optional*, defaults to 50265):
            Number of token ids.
        max_position_embeddings (`int`, *optional*, defaults to 512):
            Longest text in tokens, special ones included. The table of positions has `pad_token_id + 1` rows more:
            positions are counted from there on, as in RoBERTa.
        embedding_dropout (`float`, *optional*, defaults to 0.1):
            Dropout after the embeddings' layer norm. The teacher reads the student's embeddings after it.
        hidden_size, num_hidden_layers, num_attention_heads, intermediate_size (`int`):
            Size of the transformer trunk.
        num_prenet_layers (`int`, *optional*, defaults to 0):
            Transformer layers before the trunk. They are not among the layers that targets are averaged over.
        hidden_act, hidden_dropout, attention_dropout, activation_dropout, input_dropout, prenet_dropout, layerdrop,
        prenet_layerdrop, drop_path_rates, prenet_drop_path_rates, initializer_range, layer_norm_eps,
        layer_norm_affine, layer_norm_first, pre_norm_drops_residual, use_alibi, alibi_scale, learn_alibi_scale,
        alibi_scale_per_head, alibi_scale_per_layer:
            Of the transformer, as in [`Data2Vec2AudioConfig`]; published are dropouts of 0.1, no LayerDrop, post-norm
            and no ALiBi.
        num_masks (`int`, *optional*, defaults to 8):
            Masked copies of each text that share its embeddings and targets (M of section 3.3).
        mask_prob (`float`, *optional*, defaults to 0.48):
            Share of tokens to mask.
        mask_length (`int`, *optional*, defaults to 1):
            1 for single tokens ([`~hf_ssl.models.masking.draw_random_masks`]), as published; more for spans
            ([`~hf_ssl.models.masking.draw_span_masks`]).
        mask_padding (`bool`, *optional*, defaults to `False`):
            Let masks fall on padding, which is then predicted too, as in the original.
        mask_noise_std (`float`, *optional*, defaults to 0.01):
            Standard deviation of the noise that the decoder sees at masked tokens.
        decoder_hidden_size, decoder_num_layers, decoder_kernel_size, decoder_groups, decoder_residual,
        decoder_num_projections, decoder_projection_ratio, decoder_input_dropout:
            The convolutional decoder, as in [`Data2Vec2AudioConfig`].
        average_top_k_layers, target_source, target_layer_norms, target_norms, norm_targets_over_padding,
        convolve_padding, loss_beta, loss_scale:
            Targets and loss, as in [`Data2Vec2AudioConfig`].
        ema_decay, ema_end_decay, ema_anneal_end_step:
            Schedule of the teacher, see [`~hf_ssl.models.teacher.ema_decay`].
        teacher_scope (`str`, *optional*, defaults to `"trunk"`):
            What the teacher averages: `"trunk"`, as published, `"encoder"` (the prenet too) or `"model"` (the
            embeddings too). It shares the rest.
        classifier_dropout (`float`, *optional*, defaults to 0.0):
            Dropout in the heads of fine-tuned models.
    """

    model_type = "data2vec2-text"

    vocab_size: int = 50265
    max_position_embeddings: int = 512
    embedding_dropout: float | int = 0.1
    prenet_dropout: float | int = 0.0
    layerdrop: float | int = 0.0
    prenet_layerdrop: float | int = 0.0
    use_alibi: bool = False
    learn_alibi_scale: bool = False
    alibi_scale_per_head: bool = False
    mask_prob: float | int = 0.48
    mask_length: int = 1
    mask_padding: bool = False
    decoder_hidden_size: int = 768
    decoder_num_layers: int = 5
    decoder_kernel_size: int = 9
    decoder_groups: int = 1
    decoder_residual: bool = False
    decoder_num_projections: int = 2
    average_top_k_layers: int = 12
    loss_scale: float | int | None = 1.0
    ema_decay: float | int = 0.9999
    ema_end_decay: float | int = 0.99999
    ema_anneal_end_step: int = 100_000
    teacher_scope: str = "trunk"
    classifier_dropout: float | int = 0.0
    bos_token_id: int | None = 0
    pad_token_id: int = 1
    eos_token_id: int | list[int] | None = 2

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        # Also over what was loaded, which names the repository it came from: the code is saved beside the weights.
        self.auto_map = dict(TEXT_AUTO_MAP)

    def validate_architecture(self):
        """Part of the validation by `@strict`: what the fields must be in relation to each other."""
        super().validate_architecture()
        for name, value in (
            ("max_position_embeddings", self.max_position_embeddings),
            ("mask_length", self.mask_length),
        ):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1, but is {value}.")
        if not 0 <= self.pad_token_id < self.vocab_size:
            raise ValueError(
                f"`pad_token_id` = {self.pad_token_id} must be one of the `vocab_size` = {self.vocab_size} tokens: "
                "positions are counted from it on."
            )


__all__ = ["Data2Vec2TextConfig"]
