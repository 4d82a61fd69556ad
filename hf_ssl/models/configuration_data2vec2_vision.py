# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Configuration of data2vec 2.0 for images."""

from huggingface_hub.dataclasses import strict

from .configuration_data2vec2 import Data2Vec2Config
from .option_checks import check_not_negative, check_shares

# Which class each Auto class makes of a folder where this package is not installed, see `AUDIO_AUTO_MAP`.
VISION_AUTO_MAP = {
    "AutoConfig": "configuration_data2vec2_vision.Data2Vec2VisionConfig",
    "AutoModel": "modeling_data2vec2_vision.Data2Vec2VisionModel",
    "AutoModelForPreTraining": "modeling_data2vec2_vision.Data2Vec2VisionForPreTraining",
    "AutoModelForImageClassification": "modeling_data2vec2_vision.Data2Vec2VisionForImageClassification",
}


@strict
class Data2Vec2VisionConfig(Data2Vec2Config):
    r"""
    Configuration of data2vec 2.0 for images ([Efficient Self-supervised Learning with Contextualized Target
    Representations for Vision, Speech and Language](https://huggingface.co/papers/2212.07525)). The defaults are the
    published base model (`base_images_only_task.yaml` of the original code).

    Args:
        image_size (`int`, *optional*, defaults to 224): Height and width of the images, in pixels.
        patch_size (`int`, *optional*, defaults to 16): Height and width of a patch, in pixels.
        num_channels (`int`, *optional*, defaults to 3): Channels of the images.
        num_extra_tokens (`int`, *optional*, defaults to 1):
            Learned tokens before the patches. The last of them is the CLS token.
        hidden_size, num_hidden_layers, num_attention_heads, intermediate_size (`int`):
            Size of the transformer trunk.
        num_prenet_layers (`int`, *optional*, defaults to 2):
            Transformer layers before the trunk. They are not among the layers that targets are averaged over.
        hidden_act (`str`, *optional*, defaults to `"gelu"`):
            Activation of the feed-forward layers.
        hidden_dropout, attention_dropout, activation_dropout, input_dropout, prenet_dropout, layerdrop,
        prenet_layerdrop (`float`, *optional*, default to 0.0):
            See [`Data2Vec2AudioConfig`].
        final_dropout (`float`, *optional*, defaults to 0.0):
            Dropout before the classifier of fine-tuned models.
        drop_path_rates, prenet_drop_path_rates (`tuple[float, float]`, *optional*, defaults to `(0.0, 0.0)`):
            Stochastic depth of the first and the last layer; linear in between.
        initializer_range (`float`, *optional*, defaults to 0.02):
            Standard deviation of initial linear weights.
        layer_norm_eps (`float`, *optional*, defaults to 1e-6): Epsilon of the transformer's layer norms.
        layer_norm_affine (`bool`, *optional*, defaults to `True`):
            Whether the transformer's layer norms have weights.
        layer_norm_first (`bool`, *optional*, defaults to `False`):
            Pre-norm instead of post-norm.
        pre_norm_drops_residual (`bool`, *optional*, defaults to `False`):
            Reproduce the original's pre-norm layer, see [`Data2Vec2AudioConfig`].
        num_masks (`int`, *optional*, defaults to 16):
            Masked copies of each image that share its patch embeddings and targets (M of section 3.3).
        mask_prob, mask_prob_adjust (`float`), mask_length (`int`), mask_dropout (`float`), inverse_mask (`bool`):
            See [`~hf_ssl.models.masking.draw_block_masks`]. `mask_length` is the side of a block in patches.
        mask_noise_std (`float`, *optional*, defaults to 0.01):
            Standard deviation of the noise that the decoder sees at masked patches.
        decoder_hidden_size, decoder_num_layers, decoder_kernel_size, decoder_groups (`int`):
            Size of the 2-d convolutional decoder.
        decoder_residual (`bool`, *optional*, defaults to `True`): Residual connections in the decoder.
        decoder_input_dropout (`float`, *optional*, defaults to 0.0): Dropout on the encoded patches it reads.
        average_top_k_layers (`int`, *optional*, defaults to 10): Layers of the teacher's trunk in the targets.
        target_source, target_layer_norms, target_norms:
            Of the targets, see [`Data2Vec2AudioConfig`]. By default instance norm of each layer over the patches of an
            image, and layer norm of their average.
        loss_beta (`float`, *optional*, defaults to 0.0): Of the smooth L1 loss; 0 for L2.
        loss_scale (`float`, *optional*): Factor on the loss; `1 / sqrt(hidden_size)` if `None`.
        cls_loss_weight (`float`, *optional*, defaults to 2.56):
            Weight of the CLS token's loss: it predicts the mean of all targets of the image.
        cls_loss_reduction (`str`, *optional*, defaults to `"mean"`):
            `"mean"` over the masked copies of the batch; `"sum"`, as in the original, whose weight so grows with the
            images per device: its 0.01 is 2.56 at its 16 images of 16 masks.
        ema_decay, ema_end_decay (`float`), ema_anneal_end_step (`int`):
            Schedule of the teacher, see [`~hf_ssl.models.teacher.ema_decay`].
        teacher_scope (`str`, *optional*, defaults to `"model"`):
            What the teacher averages: `"trunk"`, `"encoder"` or `"model"` (with the patch embedding, as published).
        pooling (`str`, *optional*, defaults to `"mean"`):
            What is classified: the `"mean"` of the patches, or the `"cls"` token.
        use_pooled_layer_norm (`bool`, *optional*, defaults to `True`):
            Whether a layer norm (with an epsilon of 1e-6) stands before the classifier.
    """

    model_type = "data2vec2-vision"

    image_size: int = 224
    patch_size: int = 16
    num_channels: int = 3
    num_extra_tokens: int = 1
    num_hidden_layers: int = 10
    num_prenet_layers: int = 2
    hidden_dropout: float | int = 0.0
    attention_dropout: float | int = 0.0
    prenet_dropout: float | int = 0.0
    final_dropout: float | int = 0.0
    layerdrop: float | int = 0.0
    prenet_layerdrop: float | int = 0.0
    layer_norm_eps: float = 1e-6
    num_masks: int = 16
    mask_prob: float = 0.8
    mask_prob_adjust: float | int = 0.07
    mask_length: int = 3
    mask_dropout: float | int = 0.0
    inverse_mask: bool = True
    decoder_hidden_size: int = 768
    decoder_num_layers: int = 6
    decoder_kernel_size: int = 3
    decoder_input_dropout: float | int = 0.0
    average_top_k_layers: int = 10
    target_norms: list[str] | tuple[str, ...] = ("layer",)
    cls_loss_weight: float | int = 2.56
    cls_loss_reduction: str = "mean"
    ema_decay: float | int = 0.9998
    ema_anneal_end_step: int = 100_000
    teacher_scope: str = "model"
    pooling: str = "mean"
    use_pooled_layer_norm: bool = True

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        self.auto_map = dict(VISION_AUTO_MAP)

    def validate_architecture(self):
        """Part of the validation by `@strict`: what the fields must be in relation to each other."""
        self._validate_choice("cls_loss_reduction", self.cls_loss_reduction, ("mean", "sum"))
        self._validate_choice("pooling", self.pooling, ("mean", "cls"))
        check_shares(mask_dropout=self.mask_dropout)
        check_not_negative(cls_loss_weight=self.cls_loss_weight)
        if self.patch_size < 1 or self.image_size < self.patch_size or self.image_size % self.patch_size:
            raise ValueError(
                f"`image_size` = {self.image_size} must be a multiple of `patch_size` = {self.patch_size}: an image "
                "is cut into whole patches."
            )
        if self.hidden_size % 4:
            raise ValueError(
                f"`hidden_size` = {self.hidden_size} must be a multiple of 4: positions are the sine and cosine of "
                "row and column."
            )
        if self.num_extra_tokens < 1 and (self.cls_loss_weight > 0 or self.pooling == "cls"):
            raise ValueError(
                "`num_extra_tokens` = 0 leaves no CLS token: set `cls_loss_weight` to 0 and `pooling` to 'mean', or "
                "have at least one extra token."
            )
        super().validate_architecture()

    @property
    def grid_size(self) -> int:
        """Patches on a side of an image."""
        return self.image_size // self.patch_size

    @property
    def num_patches(self) -> int:
        """Patches of an image."""
        return self.grid_size**2

    @property
    def num_recorded_layers(self) -> int:
        """Layers of prenet and trunk, which all give hidden states."""
        return self.num_prenet_layers + self.num_hidden_layers


__all__ = ["Data2Vec2VisionConfig"]
