# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Configurations of data2vec 2.0."""

import math

from huggingface_hub.dataclasses import strict
from transformers.configuration_utils import PreTrainedConfig

from .option_checks import check_counts, check_not_negative, check_regression, check_shares
from .size_checks import check_transformer
from .waveforms import count_frames, count_samples

TARGET_NORMS = ("batch", "instance", "layer")
TEACHER_SCOPES = ("trunk", "encoder", "model")

# Which class each Auto class makes of a speech model's folder where this package is not installed
# (`trust_remote_code=True`). The whole family, because a folder of any of its classes is opened as any other:
# pre-trained weights as a recogniser.
AUDIO_AUTO_MAP = {
    "AutoConfig": "configuration_data2vec2.Data2Vec2AudioConfig",
    "AutoModel": "modeling_data2vec2_audio.Data2Vec2AudioModel",
    "AutoModelForPreTraining": "modeling_data2vec2_audio.Data2Vec2AudioForPreTraining",
    "AutoModelForCTC": "modeling_data2vec2_audio.Data2Vec2AudioForCTC",
    "AutoModelForAudioClassification": "modeling_data2vec2_audio.Data2Vec2AudioForSequenceClassification",
    "AutoModelForAudioFrameClassification": "modeling_data2vec2_audio.Data2Vec2AudioForAudioFrameClassification",
    "AutoModelForAudioXVector": "modeling_data2vec2_audio.Data2Vec2AudioForXVector",
}


@strict
class Data2Vec2Config(PreTrainedConfig):
    r"""
    What the configurations of all modalities have in common: trunk, decoder, targets and teacher, which are written
    once. The fields are described where they are used, in [`Data2Vec2AudioConfig`] and its siblings.
    """

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_prenet_layers: int = 0
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout: float | int = 0.1
    attention_dropout: float | int = 0.1
    activation_dropout: float | int = 0.0
    input_dropout: float | int = 0.0
    prenet_dropout: float | int = 0.1
    layerdrop: float | int = 0.05
    prenet_layerdrop: float | int = 0.05
    drop_path_rates: list[float | int] | tuple[float | int, ...] = (0.0, 0.0)
    prenet_drop_path_rates: list[float | int] | tuple[float | int, ...] = (0.0, 0.0)
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-5
    layer_norm_affine: bool = True
    layer_norm_first: bool = False
    pre_norm_drops_residual: bool = False
    num_masks: int = 8
    mask_prob: float = 0.5
    mask_length: int = 5
    mask_noise_std: float | int = 0.01
    decoder_hidden_size: int = 384
    decoder_num_layers: int = 4
    decoder_kernel_size: int = 7
    decoder_groups: int = 16
    decoder_residual: bool = True
    decoder_input_dropout: float | int = 0.1
    average_top_k_layers: int = 8
    target_source: str = "ffn"
    target_layer_norms: list[str] | tuple[str, ...] = ("instance",)
    target_norms: list[str] | tuple[str, ...] = ()
    loss_beta: float | int = 0.0
    loss_scale: float | int | None = None
    ema_decay: float | int = 0.999
    ema_end_decay: float | int = 0.99999
    ema_anneal_end_step: int = 75_000
    teacher_scope: str = "encoder"

    def validate_architecture(self):
        """Part of the validation by `@strict`: what the fields must be in relation to each other."""
        check_transformer(
            hidden_act=self.hidden_act,
            hidden_size=self.hidden_size,
            num_attention_heads=self.num_attention_heads,
            intermediate_size=self.intermediate_size,
        )
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"`hidden_size` = {self.hidden_size} must be a multiple of `num_attention_heads` = "
                f"{self.num_attention_heads}."
            )
        if self.average_top_k_layers < 1 or self.average_top_k_layers > self.num_hidden_layers:
            raise ValueError(
                f"`average_top_k_layers` must be between 1 and `num_hidden_layers` = {self.num_hidden_layers}, but is "
                f"{self.average_top_k_layers}."
            )
        if not 0 < self.mask_prob < 1:
            raise ValueError(f"`mask_prob` must lie strictly between 0 and 1, but is {self.mask_prob}.")
        if self.num_masks < 1:
            raise ValueError(f"`num_masks` must be at least 1, but is {self.num_masks}.")
        self._validate_choice("target_source", self.target_source, ("ffn", "block"))
        self._validate_choice("teacher_scope", self.teacher_scope, TEACHER_SCOPES)
        for norm in (*self.target_layer_norms, *self.target_norms):
            if norm not in TARGET_NORMS:
                raise ValueError(f"Target normalisations must be among {TARGET_NORMS}, but {norm!r} was given.")
        self._validate_objective()
        self._validate_groups(
            "decoder_groups", math.gcd(self.hidden_size, self.decoder_hidden_size), self.decoder_groups
        )

    def _validate_objective(self) -> None:
        check_not_negative(mask_noise_std=self.mask_noise_std)
        check_regression(
            loss_beta=self.loss_beta,
            loss_scale=self.loss_scale,
            ema_decay=self.ema_decay,
            ema_end_decay=self.ema_end_decay,
            ema_anneal_end_step=self.ema_anneal_end_step,
        )

    # Options of modalities whose batches have padding.

    @property
    def norm_targets_over_padding(self) -> bool:
        return False

    @property
    def convolve_padding(self) -> bool:
        return False

    def _validate_choice(self, name: str, value: str, allowed: tuple[str, ...]) -> None:
        if value not in allowed:
            raise ValueError(f"`{name}` must be one of {allowed}, but is {value!r}.")

    def _validate_groups(self, name: str, channels: int, groups: int) -> None:
        check_counts(**{name: groups})
        if channels % groups:
            raise ValueError(f"`{name}` = {groups} must divide the channels of its convolutions ({channels}).")


@strict
class Data2Vec2SequenceConfig(Data2Vec2Config):
    r"""
    What the configurations of sequences in time (speech, text) share besides: linear biases of attention, padding, and
    the output projection of their decoder. The fields are described in [`Data2Vec2AudioConfig`].
    """

    use_alibi: bool = True
    alibi_scale: float | int = 1.0
    learn_alibi_scale: bool = True
    alibi_scale_per_head: bool = True
    alibi_scale_per_layer: bool = False
    decoder_num_projections: int = 1
    decoder_projection_ratio: float | int = 2.0
    norm_targets_over_padding: bool = False
    convolve_padding: bool = False


@strict
class Data2Vec2AudioConfig(Data2Vec2SequenceConfig):
    r"""
    Configuration of data2vec 2.0 for speech ([Efficient Self-supervised Learning with Contextualized Target
    Representations for Vision, Speech and Language](https://huggingface.co/papers/2212.07525)). The defaults are the
    published base model (`base_audio_only_task.yaml` of the original code).

    Args:
        vocab_size (`int`, *optional*, defaults to 32):
            Number of labels of [`Data2Vec2AudioForCTC`].
        hidden_size, num_hidden_layers, num_attention_heads, intermediate_size (`int`):
            Size of the transformer trunk.
        num_prenet_layers (`int`, *optional*, defaults to 0):
            Transformer layers before the trunk. They are not among the layers that targets are averaged over.
        hidden_act (`str`, *optional*, defaults to `"gelu"`):
            Activation of the feed-forward layers.
        hidden_dropout (`float`, *optional*, defaults to 0.1):
            Dropout after the attention's output projection and after each feed-forward network.
        attention_dropout (`float`, *optional*, defaults to 0.1):
            Dropout of attention probabilities.
        activation_dropout (`float`, *optional*, defaults to 0.0):
            Dropout after both linear maps of the feed-forward network, before its output becomes a target.
        input_dropout (`float`, *optional*, defaults to 0.0):
            Dropout between prenet and trunk.
        prenet_dropout (`float`, *optional*, defaults to 0.1):
            Dropout before the prenet.
        final_dropout (`float`, *optional*, defaults to 0.0):
            Dropout before the classifier of fine-tuned models.
        layerdrop, prenet_layerdrop (`float`, *optional*, defaults to 0.05):
            Probability of skipping a layer of the trunk or the prenet in training.
        drop_path_rates, prenet_drop_path_rates (`tuple[float, float]`, *optional*, defaults to `(0.0, 0.0)`):
            Stochastic depth of the first and the last layer; linear in between.
        initializer_range (`float`, *optional*, defaults to 0.02):
            Standard deviation of initial linear weights.
        layer_norm_eps (`float`, *optional*, defaults to 1e-5): Epsilon of the transformer's layer norms.
        layer_norm_affine (`bool`, *optional*, defaults to `True`):
            Whether the transformer's layer norms have weights.
        layer_norm_first (`bool`, *optional*, defaults to `False`):
            Pre-norm instead of post-norm.
        pre_norm_drops_residual (`bool`, *optional*, defaults to `False`):
            Reproduce the original's pre-norm layer, which leaves the residual out and doubles the feed-forward output
            instead. No published checkpoint uses pre-norm; conversion sets this for those that do.
        conv_dim, conv_kernel, conv_stride (`tuple[int]`):
            Channels, kernel sizes and strides of the waveform encoder.
        conv_bias (`bool`, *optional*, defaults to `False`): Whether its convolutions have a bias.
        feat_extract_norm (`str`, *optional*, defaults to `"layer"`):
            `"layer"` for layer norm in every layer of the waveform encoder, `"group"` for group norm in the first only
            (whose statistics run over padding, so that results depend on it).
        local_grad_scale (`float`, *optional*, defaults to 1.0):
            Factor on the gradient that reaches the waveform encoder.
        num_conv_pos_embeddings, conv_pos_kernel_size, num_conv_pos_embedding_groups (`int`):
            Depth, kernel size and groups of the convolutional relative positions.
        conv_pos_layer_norm_first (`bool`, *optional*, defaults to `False`):
            Layer norm before the convolutional positions.
        use_alibi (`bool`, *optional*, defaults to `True`):
            Whether attention has linear biases by distance (symmetric ALiBi).
        alibi_scale (`float`, *optional*, defaults to 1.0): Initial scale of the biases.
        learn_alibi_scale, alibi_scale_per_head, alibi_scale_per_layer (`bool`):
            Whether the scale is learned, and has a value for each head and each layer.
        num_masks (`int`, *optional*, defaults to 8):
            Masked copies of each utterance that share its local features and targets (M of section 3.3).
        mask_prob, mask_prob_adjust (`float`), mask_length (`int`), mask_dropout (`float`), inverse_mask (`bool`):
            See [`~hf_ssl.models.masking.draw_span_masks`].
        mask_noise_std (`float`, *optional*, defaults to 0.01):
            Standard deviation of the noise that the decoder sees at masked frames, and that replaces masked frames in
            fine-tuning.
        encoder_zero_mask (`bool`, *optional*, defaults to `True`):
            Zero masked frames before the convolutional positions; noise instead if `False`.
        decoder_hidden_size, decoder_num_layers, decoder_kernel_size, decoder_groups (`int`):
            Size of the convolutional decoder.
        decoder_residual (`bool`, *optional*, defaults to `True`): Residual connections in the decoder.
        decoder_num_projections (`int`), decoder_projection_ratio (`float`): The decoder's output projection.
        decoder_input_dropout (`float`, *optional*, defaults to 0.1): Dropout on the encoded frames it reads.
        average_top_k_layers (`int`, *optional*, defaults to 8): Layers of the teacher's trunk in the targets.
        target_source (`str`, *optional*, defaults to `"ffn"`):
            `"ffn"`: outputs of the feed-forward networks before residual; `"block"`: outputs of whole layers.
        target_layer_norms, target_norms (`tuple[str]`, *optional*, default to `("instance",)` and `()`):
            Normalisations of each layer and of their average, in order: `"batch"`, `"instance"`, `"layer"`.
        norm_targets_over_padding (`bool`, *optional*, defaults to `False`):
            Let padded frames into the statistics of `"instance"` and `"batch"`, as the original does.
        convolve_padding (`bool`, *optional*, defaults to `False`):
            Let padded frames into the convolutional positions and the decoder, as the original does. Results then
            depend on how much an utterance was padded.
        loss_beta (`float`, *optional*, defaults to 0.0): Of the smooth L1 loss; 0 for L2.
        loss_scale (`float`, *optional*): Factor on the loss; `1 / sqrt(hidden_size)` if `None`.
        ema_decay, ema_end_decay (`float`), ema_anneal_end_step (`int`):
            Schedule of the teacher, see [`~hf_ssl.models.teacher.ema_decay`].
        teacher_scope (`str`, *optional*, defaults to `"encoder"`):
            What the teacher averages: `"trunk"` (the transformer trunk only), `"encoder"` (everything behind the local
            features: the published audio models) or `"model"` (the local encoder too). It shares the rest.
        apply_spec_augment (`bool`, *optional*, defaults to `True`):
            Whether the encoder masks frames and channels when it is trained without a mask, that is in fine-tuning.
        mask_time_prob, mask_time_length, mask_time_min_masks, mask_feature_prob, mask_feature_length,
        mask_feature_min_masks:
            Those masks, see [`~hf_ssl.models.masking.draw_mask_indices`].
        ctc_loss_reduction (`str`, *optional*, defaults to `"mean"`):
            `"mean"`: per target token, over the global batch in the `Trainer`; `"sum"`.
        ctc_zero_infinity (`bool`, *optional*, defaults to `False`):
            Whether transcripts that do not fit into their audio give no loss instead of an infinite one.
        use_weighted_layer_sum (`bool`, *optional*, defaults to `False`):
            Whether classifiers read a learned weighted sum of all layers instead of the last.
        classifier_proj_size (`int`), tdnn_dim, tdnn_kernel, tdnn_dilation (`tuple[int]`), xvector_output_dim (`int`):
            Heads, as in `Wav2Vec2Config`.
    """

    model_type = "data2vec2-audio"

    vocab_size: int = 32
    final_dropout: float | int = 0.0
    conv_dim: list[int] | tuple[int, ...] = (512, 512, 512, 512, 512, 512, 512)
    conv_kernel: list[int] | tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    conv_stride: list[int] | tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    conv_bias: bool = False
    feat_extract_norm: str = "layer"
    local_grad_scale: float | int = 1.0
    num_conv_pos_embeddings: int = 5
    conv_pos_kernel_size: int = 19
    num_conv_pos_embedding_groups: int = 16
    conv_pos_layer_norm_first: bool = False
    mask_prob_adjust: float | int = 0.05
    mask_dropout: float | int = 0.0
    inverse_mask: bool = False
    encoder_zero_mask: bool = True
    apply_spec_augment: bool = True
    mask_time_prob: float | int = 0.0
    mask_time_length: int = 10
    mask_time_min_masks: int = 0
    mask_feature_prob: float | int = 0.0
    mask_feature_length: int = 64
    mask_feature_min_masks: int = 0
    ctc_loss_reduction: str = "mean"
    ctc_zero_infinity: bool = False
    use_weighted_layer_sum: bool = False
    classifier_proj_size: int = 256
    tdnn_dim: list[int] | tuple[int, ...] = (512, 512, 512, 512, 1500)
    tdnn_kernel: list[int] | tuple[int, ...] = (5, 3, 3, 1, 1)
    tdnn_dilation: list[int] | tuple[int, ...] = (1, 2, 3, 1, 1)
    xvector_output_dim: int = 512
    pad_token_id: int | None = 0
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        # Also over what was loaded, which names the repository it came from: the code is saved beside the weights.
        self.auto_map = dict(AUDIO_AUTO_MAP)

    def validate_architecture(self):
        """Part of the validation by `@strict`: what the fields must be in relation to each other."""
        lengths = {name: len(field) for name, field in self._conv_fields().items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"`conv_dim`, `conv_kernel` and `conv_stride` must be equally long, but are {lengths}.")
        super().validate_architecture()
        self._validate_groups("num_conv_pos_embedding_groups", self.hidden_size, self.num_conv_pos_embedding_groups)
        check_shares(mask_dropout=self.mask_dropout)
        check_not_negative(local_grad_scale=self.local_grad_scale)
        self._validate_choice("feat_extract_norm", self.feat_extract_norm, ("layer", "group"))
        self._validate_choice("ctc_loss_reduction", self.ctc_loss_reduction, ("mean", "sum"))

    def _conv_fields(self) -> dict:
        return {"conv_dim": self.conv_dim, "conv_kernel": self.conv_kernel, "conv_stride": self.conv_stride}

    @property
    def num_feat_extract_layers(self) -> int:
        return len(self.conv_dim)

    @property
    def inputs_to_logits_ratio(self) -> int:
        """Samples per frame."""
        return math.prod(self.conv_stride)

    @property
    def receptive_field(self) -> int:
        """Samples that one frame sees: the shortest input, in samples."""
        return count_samples(self.conv_kernel, self.conv_stride)

    def num_frames(self, num_samples: int) -> int:
        """Frames that the waveform encoder makes of `num_samples` samples; 0 or less if they are too few."""
        return count_frames(num_samples, self.conv_kernel, self.conv_stride)


__all__ = ["Data2Vec2AudioConfig", "Data2Vec2Config", "Data2Vec2SequenceConfig"]
