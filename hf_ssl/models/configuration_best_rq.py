# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Configuration of BEST-RQ."""

from huggingface_hub.dataclasses import strict
from transformers.configuration_utils import PreTrainedConfig

from .size_checks import check_transformer

# Which class each Auto class makes of a folder where this package is not installed (`trust_remote_code=True`). The
# whole family, because a folder of any of its classes is opened as any other: pre-trained weights as a recogniser.
BEST_RQ_AUTO_MAP = {
    "AutoConfig": "configuration_best_rq.BestRqConfig",
    "AutoModel": "modeling_best_rq.BestRqModel",
    "AutoModelForPreTraining": "modeling_best_rq.BestRqForPreTraining",
    "AutoModelForCTC": "modeling_best_rq.BestRqForCTC",
    "AutoModelForAudioClassification": "modeling_best_rq.BestRqForSequenceClassification",
    "AutoModelForAudioFrameClassification": "modeling_best_rq.BestRqForAudioFrameClassification",
    "AutoModelForAudioXVector": "modeling_best_rq.BestRqForXVector",
}


@strict
class BestRqConfig(PreTrainedConfig):
    r"""
    Configuration of BEST-RQ ([Self-supervised Learning with Random-projection Quantizer for Speech
    Recognition](https://huggingface.co/papers/2202.01855)).

    Sizes are those of the open-source base model ([SpeechBrain's recipe](https://huggingface.co/papers/2405.04296)),
    masks those of the original paper. What the recipe does otherwise has an option: `mask_prob=0.15`, `mask_length=4`,
    `mask_sampling="grid"`, `one_mask_per_batch=True`, `pad_start=True`, `convolve_padding=True`,
    `symmetric_positions=True`, `scale_attention_by_hidden_size=True`, `dynamic_chunk_prob=0.6`; conversion sets them.

    *Mel frames* are the model's input, one per 10 ms; *frames* are what the encoder gives, one per `stack_size` mel
    frames (40 ms).

    Args:
        vocab_size (`int`, *optional*, defaults to 32): Number of labels of [`BestRqForCTC`].
        num_mel_bins (`int`, *optional*, defaults to 80): Channels of a mel frame.
        hop_length (`int`, *optional*, defaults to 160): Samples between mel frames, as in the feature extractor.
        conv_dim (`tuple[int]`, *optional*, defaults to `(128, 32)`):
            Channels of the subsampling convolutions, each of which halves time and mel bins.
        encoder_type (`str`, *optional*, defaults to `"conformer"`):
            `"conformer"` with relative positions, or `"transformer"`: plain pre-norm layers on sinusoidal positions.
        hidden_size, num_hidden_layers, num_attention_heads, intermediate_size (`int`): Size of the encoder.
        hidden_act (`str`, *optional*, defaults to `"gelu"`):
            Activation of feed-forward networks and of the Conformer's convolutions (`"silu"` in its paper).
        conv_kernel_size (`int`, *optional*, defaults to 31): Of the Conformer's depthwise convolutions; odd.
        conv_norm (`str`, *optional*, defaults to `"layer"`):
            What follows the depthwise convolution: `"layer"` norm (open source), or `"batch"` norm over real frames
            (Conformer paper).
        conv_causal (`bool`, *optional*, defaults to `False`):
            Whether depthwise convolutions see the past only, as in the paper's streaming models.
        symmetric_positions (`bool`, *optional*, defaults to `False`):
            Give frames at the same distance before and after the same positions, as the open-source recipe does;
            otherwise they differ (Transformer-XL).
        scale_attention_by_hidden_size (`bool`, *optional*, defaults to `False`):
            Divide attention scores by the root of `hidden_size`, as the recipe does, instead of a head's size.
        hidden_dropout, attention_dropout, activation_dropout, subsampling_dropout, final_dropout (`float`):
            Dropout of residual branches and input projection, of attention, inside feed-forward networks, after each
            subsampling convolution, and before a fine-tuned head.
        layerdrop (`float`, *optional*, defaults to 0.0): Probability to skip a layer in training.
        initializer_range (`float`, *optional*, defaults to 0.02):
            Standard deviation of weights of fine-tuned heads. The encoder starts from Xavier's as in the recipe.
        layer_norm_eps, final_layer_norm_eps (`float`): Of the layers' norms, and of the last one.
        chunk_size (`int`, *optional*):
            Frames per chunk: a frame sees its own chunk and chunks before. `None`: the whole utterance.
        left_context_chunks (`int`, *optional*): How many chunks before its own attention sees. `None`: all.
        dynamic_chunk_prob (`float`, *optional*, defaults to 0.0):
            Dynamic-chunk training: probability of a training batch to have a random chunk size (0.6 in the recipe).
        dynamic_chunk_sizes (`tuple[int]`, *optional*, defaults to `(8, 32)`): Smallest and largest of them.
        dynamic_left_context_prob (`float`, *optional*, defaults to 0.75): Share of these whose past is limited,
        dynamic_left_context_chunks (`tuple[int]`, *optional*, defaults to `(2, 32)`): to so many chunks.
        num_codebooks, codebook_size, codebook_dim (`int`, *optional*, default to 1, 8192 and 16):
            The quantizer. With several codebooks a frame has several codes, each with its own predictions.
        quantizer_seed (`int`, *optional*, defaults to 0): Determines the quantizer.
        mask_prob (`float`, *optional*, defaults to 0.01): Probability that a masked span starts at a mel frame.
        mask_length (`int`, *optional*, defaults to 40):
            Mel frames per span, a multiple of `stack_size`: 400 ms in the paper, 40 ms (4) in the recipe.
        mask_sampling (`str`, *optional*, defaults to `"bernoulli"`):
            `"bernoulli"`: spans start anywhere, independently, and overlap (paper); `"grid"`: they are drawn from a
            grid of `mask_length` (recipe), so that `mask_prob * mask_length` of the mel frames are masked.
        one_mask_per_batch (`bool`, *optional*, defaults to `False`):
            One mask for all utterances, as long as the shortest, as in the recipe.
        mask_noise_std (`float`, *optional*, defaults to 0.1): Of the noise that replaces masked mel frames.
        pad_start (`bool`, *optional*, defaults to `False`):
            Fill the last stack of mel frames up by zeros at the *start* of time, as the recipe does, which shifts mel
            frames against masks and lengths by up to three. Otherwise an incomplete stack at the end is dropped.
        convolve_padding (`bool`, *optional*, defaults to `False`):
            Let padded frames into the Conformer's convolutions, as the recipe does. Results then depend on how much an
            utterance was padded.
        apply_spec_augment (`bool`), mask_time_prob, mask_time_length, mask_time_min_masks, mask_feature_prob,
        mask_feature_length, mask_feature_min_masks:
            Masks of fine-tuning over encoder frames and channels, as in `Wav2Vec2Config`.
        ctc_loss_reduction (`str`), ctc_zero_infinity (`bool`), use_weighted_layer_sum (`bool`), classifier_proj_size
        (`int`), tdnn_dim, tdnn_kernel, tdnn_dilation (`tuple[int]`), xvector_output_dim (`int`):
            Heads, as in `Wav2Vec2Config`.
    """

    model_type = "best-rq"

    vocab_size: int = 32
    num_mel_bins: int = 80
    hop_length: int = 160
    conv_dim: list[int] | tuple[int, ...] = (128, 32)
    encoder_type: str = "conformer"
    hidden_size: int = 576
    num_hidden_layers: int = 12
    num_attention_heads: int = 8
    intermediate_size: int = 2048
    hidden_act: str = "gelu"
    conv_kernel_size: int = 31
    conv_norm: str = "layer"
    conv_causal: bool = False
    symmetric_positions: bool = False
    scale_attention_by_hidden_size: bool = False
    hidden_dropout: float | int = 0.1
    attention_dropout: float | int = 0.1
    activation_dropout: float | int = 0.1
    subsampling_dropout: float | int = 0.1
    final_dropout: float | int = 0.0
    layerdrop: float | int = 0.0
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-5
    final_layer_norm_eps: float = 1e-6
    chunk_size: int | None = None
    left_context_chunks: int | None = None
    dynamic_chunk_prob: float | int = 0.0
    dynamic_chunk_sizes: list[int] | tuple[int, ...] = (8, 32)
    dynamic_left_context_prob: float | int = 0.75
    dynamic_left_context_chunks: list[int] | tuple[int, ...] = (2, 32)
    num_codebooks: int = 1
    codebook_size: int = 8192
    codebook_dim: int = 16
    quantizer_seed: int = 0
    mask_prob: float = 0.01
    mask_length: int = 40
    mask_sampling: str = "bernoulli"
    one_mask_per_batch: bool = False
    mask_noise_std: float | int = 0.1
    pad_start: bool = False
    convolve_padding: bool = False
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
        self.auto_map = dict(BEST_RQ_AUTO_MAP)

    def validate_architecture(self):
        """Part of the validation by `@strict`: what the fields must be in relation to each other."""
        self._validate_shapes()
        self._validate_choices()
        self._validate_masks()
        self._validate_chunks()

    def _validate_shapes(self) -> None:
        check_transformer(
            hidden_act=self.hidden_act,
            hidden_size=self.hidden_size,
            num_attention_heads=self.num_attention_heads,
            intermediate_size=self.intermediate_size,
        )
        if self.num_hidden_layers < 1:
            raise ValueError(f"`num_hidden_layers` must be at least 1, but is {self.num_hidden_layers}.")
        if self.hidden_size % self.num_attention_heads or self.hidden_size % 2:
            raise ValueError(
                f"`hidden_size` = {self.hidden_size} must be even and a multiple of `num_attention_heads` = "
                f"{self.num_attention_heads}."
            )
        if not self.conv_dim:
            raise ValueError("`conv_dim` must have at least one subsampling convolution.")
        if self.num_mel_bins % self.stack_size:
            raise ValueError(
                f"`num_mel_bins` = {self.num_mel_bins} must be a multiple of {self.stack_size}: each of the "
                f"{len(self.conv_dim)} convolutions of `conv_dim` halves it."
            )
        if self.conv_kernel_size % 2 == 0:
            raise ValueError(f"`conv_kernel_size` must be odd, but is {self.conv_kernel_size}.")
        for name in ("num_codebooks", "codebook_size", "codebook_dim"):
            if self.to_dict()[name] < 1:
                raise ValueError(f"`{name}` must be at least 1, but is {self.to_dict()[name]}.")

    def _validate_choices(self) -> None:
        choices = {
            "encoder_type": ("conformer", "transformer"),
            "conv_norm": ("layer", "batch"),
            "mask_sampling": ("bernoulli", "grid"),
            "ctc_loss_reduction": ("mean", "sum"),
        }
        values = self.to_dict()
        for name, allowed in choices.items():
            if values[name] not in allowed:
                raise ValueError(f"`{name}` must be one of {allowed}, but is {values[name]!r}.")

    def _validate_masks(self) -> None:
        if not 0 < self.mask_prob < 1:
            raise ValueError(f"`mask_prob` must lie strictly between 0 and 1, but is {self.mask_prob}.")
        if self.mask_length < 1 or self.mask_length % self.stack_size:
            raise ValueError(
                f"`mask_length` = {self.mask_length} mel frames must be a multiple of {self.stack_size}, the mel "
                "frames that have one code in common."
            )

    def _validate_chunks(self) -> None:
        if self.chunk_size is not None and self.chunk_size < 1:
            raise ValueError(f"`chunk_size` must be at least 1 frame, but is {self.chunk_size}.")
        if self.left_context_chunks is not None and (self.chunk_size is None or self.left_context_chunks < 0):
            raise ValueError(
                f"`left_context_chunks` = {self.left_context_chunks} must not be negative, and needs a `chunk_size`."
            )
        for name, smallest in (("dynamic_chunk_sizes", 1), ("dynamic_left_context_chunks", 0)):
            bounds = list(self.to_dict()[name])
            if len(bounds) != 2 or not smallest <= bounds[0] <= bounds[1]:
                raise ValueError(f"`{name}` must be the smallest and the largest number, but is {bounds}.")

    @property
    def stack_size(self) -> int:
        """Mel frames per frame: what the quantizer sees at once, and what the convolutions make one of."""
        return int(2 ** len(self.conv_dim))

    @property
    def inputs_to_logits_ratio(self) -> int:
        """Samples per frame."""
        return self.hop_length * self.stack_size

    def num_frames(self, num_mel_frames: int) -> int:
        """Frames that the encoder makes of `num_mel_frames` mel frames."""
        missing = self.stack_size - 1 if self.pad_start else 0
        return (num_mel_frames + missing) // self.stack_size


__all__ = ["BestRqConfig"]
