# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""BEST-RQ: subsampling, encoder, pre-training, streaming, and heads for fine-tuning."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import (
    BaseModelOutput,
    CausalLMOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
    XVectorOutput,
)
from transformers.modeling_utils import PreTrainedModel
from transformers.models.wav2vec2.modeling_wav2vec2 import AMSoftmaxLoss, TDNNLayer
from transformers.utils import ModelOutput
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import OutputRecorder, capture_outputs

from .audio_heads import (
    ctc_loss,
    draw_time_mask,
    mask_channels,
    pool_mean,
    pool_statistics,
    replace_frames,
    weighted_layer_sum,
)
from .checkpointed_inputs import input_of_checkpoints
from .configuration_best_rq import BestRqConfig
from .conformer import BestRqAttention, BestRqEncoder, BestRqLayer, Chunks, LayerCache
from .dropout import Dropout
from .input_checks import (
    check_attention_mask,
    check_classes,
    check_floating,
    check_integer_labels,
    check_marks_real_steps,
    check_mask_type,
    shortest_right_padded,
)
from .layer_norm import LayerNorm
from .losses import at_least_one, classification_loss, mean_over_items
from .masking import draw_stack_masks, find_predicted
from .quantizers import RandomProjectionQuantizer
from .size_checks import check_layers
from .torch_init import init_like_torch


class HeadLinear(nn.Linear):
    """Linear layer of a fine-tuned head, of its own type because it starts from other weights than the encoder's."""


class PredictionHead(nn.Linear):
    """Scores of all codes; of its own type because it starts from torch's own initialisation."""


class SubsamplingLayer(GradientCheckpointingLayer):
    """Convolution that halves time and mel bins, layer norm over bins and channels, leaky ReLU.

    With a kernel of 3 and a stride of 2 an output sees its two inputs and the one before: never the future. Before the
    first input stands the mirror image, as in the open-source recipe.
    """

    def __init__(self, config: BestRqConfig, layer_index: int):
        super().__init__()
        in_channels = config.conv_dim[layer_index - 1] if layer_index > 0 else 1
        out_channels = config.conv_dim[layer_index]
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=2)
        num_bins = config.num_mel_bins // 2 ** (layer_index + 1)
        self.layer_norm = LayerNorm((num_bins, out_channels))
        self.dropout = nn.Dropout(config.subsampling_dropout)  # torch's own: parity replays the original's draws

    def forward(self, hidden_states: torch.Tensor, past: torch.Tensor | None = None) -> torch.Tensor:
        """
        Args:
            hidden_states: `(batch_size, num_steps, num_bins, in_channels)`, two steps or more. An odd one at the end
                is dropped.
            past: The step before, `(batch_size, 1, num_bins, in_channels)`; the mirror image if absent.

        Returns:
            `(batch_size, num_steps // 2, num_bins // 2, out_channels)`.
        """
        before = hidden_states[:, 1:2] if past is None else past
        seen = torch.cat([before, hidden_states], dim=1)
        seen = torch.cat([seen[:, :, 1:2], seen], dim=2)  # the last bin needs no mirror: an even number is halved
        hidden_states = self.conv(seen.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return self.dropout(F.leaky_relu(self.layer_norm(hidden_states)))


class BestRqSubsampling(nn.Module):
    """Mel frames -> one vector per stack of them."""

    def __init__(self, config: BestRqConfig):
        super().__init__()
        self.layers = nn.ModuleList(SubsamplingLayer(config, index) for index in range(len(config.conv_dim)))
        num_bins = config.num_mel_bins // config.stack_size
        self.projection = nn.Linear(num_bins * config.conv_dim[-1], config.hidden_size)

    def forward(self, input_features: torch.Tensor) -> torch.Tensor:
        """`(batch_size, num_mel_frames, num_mel_bins)` -> `(batch_size, num_frames, hidden_size)`."""
        hidden_states = input_features.to(self.projection.weight.dtype).unsqueeze(-1)
        if self.training:
            hidden_states = input_of_checkpoints(hidden_states, self.layers)
        for layer in self.layers:
            hidden_states = layer(hidden_states)
        return self.projection(hidden_states.flatten(2))

    def forward_chunk(
        self, input_features: torch.Tensor, pasts: list[torch.Tensor] | None
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The same for the next mel frames of a stream, with the last step of every layer's input remembered."""
        hidden_states = input_features.to(self.projection.weight.dtype).unsqueeze(-1)
        next_pasts = []
        for index, layer in enumerate(self.layers):
            next_pasts.append(hidden_states[:, -1:])
            hidden_states = layer(hidden_states, None if pasts is None else pasts[index])
        return self.projection(hidden_states.flatten(2)), next_pasts


class BestRqPreTrainedModel(PreTrainedModel):
    config: BestRqConfig
    config_class = BestRqConfig
    base_model_prefix = "best_rq"
    main_input_name = "input_features"
    input_modalities = "audio"
    supports_gradient_checkpointing = True
    _no_split_modules = ["ConformerLayer", "TransformerLayer"]
    _supports_sdpa = True
    _can_record_outputs = {
        "hidden_states": BestRqLayer,
        "attentions": OutputRecorder(BestRqAttention, index=1),
    }

    def __init__(self, config: BestRqConfig):
        check_layers(num_hidden_layers=config.num_hidden_layers)
        super().__init__(config)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Xavier-normal in the encoder, torch's own in subsampling and prediction, as in the open-source recipe.

        Every weight is set on the very module that owns it: what a parent sets is ignored for weights that are missing
        from a checkpoint, because their owner has been marked as initialised by then.
        """
        if isinstance(module, RandomProjectionQuantizer):
            module.init_weights()
        elif isinstance(module, HeadLinear):
            init.normal_(module.weight, mean=0.0, std=self.config.initializer_range)
            init.zeros_(module.bias)
        elif isinstance(module, PredictionHead | nn.Conv2d):
            init_like_torch(module)
        elif isinstance(module, nn.Linear | nn.Conv1d):
            init.xavier_normal_(module.weight)
            if module.bias is not None:
                init.uniform_(module.bias, a=-(module.weight[0].numel() ** -0.5), b=module.weight[0].numel() ** -0.5)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm1d):
            super()._init_weights(module)
        elif isinstance(module, BestRqAttention) and module.relative:
            init.xavier_normal_(module.content_bias)
            init.xavier_normal_(module.position_bias)
        elif isinstance(module, AMSoftmaxLoss):
            init.normal_(module.weight)

    def _get_feat_extract_output_lengths(self, input_lengths: Any) -> Any:
        """Frames of utterances of `input_lengths` mel frames; a tensor or a number, as what is given."""
        missing = self.config.stack_size - 1 if self.config.pad_start else 0
        return (input_lengths + missing) // self.config.stack_size

    def _get_feature_vector_attention_mask(
        self, feature_vector_length: int, attention_mask: torch.Tensor
    ) -> torch.Tensor:
        """Real frames, `(batch_size, feature_vector_length)`, bool, of real mel frames `(batch_size, num_mel_frames)`.

        With `config.pad_start` the lengths are not shifted by the zeros at the start, as in the open-source recipe
        (which rounds where this takes the next whole number).
        """
        lengths = self._get_feat_extract_output_lengths(attention_mask.long().sum(-1))
        return torch.arange(feature_vector_length, device=attention_mask.device) < lengths.unsqueeze(-1)

    def _frame_mask(self, input_features: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor | None:
        """Checks the input and turns the mask of real mel frames into one of real frames (`None` if all are real)."""
        num_mel_bins = self.config.num_mel_bins
        if input_features.dim() != 3 or input_features.shape[2] != num_mel_bins or input_features.shape[0] == 0:
            raise ValueError(
                "`input_features` must have shape (batch_size, num_mel_frames, num_mel_bins) with "
                f"{num_mel_bins} mel bins, but have {tuple(input_features.shape)}. `BestRqFeatureExtractor` makes "
                "them of waveforms."
            )
        check_floating("input_features", input_features, "`BestRqFeatureExtractor` makes features of waveforms.")
        if attention_mask is not None:
            check_attention_mask(attention_mask, tuple(input_features.shape[:2]), "input_features[:, :, 0]")
        if not torch.compiler.is_compiling():  # a graph can ask neither for values nor for lengths
            self._check_shortest(input_features, attention_mask)
        if attention_mask is None:
            return None
        num_frames = self._get_feat_extract_output_lengths(input_features.shape[1])
        return self._get_feature_vector_attention_mask(num_frames, attention_mask)

    def _check_shortest(self, input_features: torch.Tensor, attention_mask: torch.Tensor | None) -> None:
        shortest, stack_size = input_features.shape[1], self.config.stack_size
        if attention_mask is not None:
            shortest = shortest_right_padded(attention_mask)
        if shortest < stack_size:
            raise ValueError(
                f"An utterance of {shortest} mel frames is too short: one frame of the encoder is made of "
                f"{stack_size} mel frames ({(stack_size - 1) * self.config.hop_length} samples). Leave it out or "
                "pad it with silence."
            )

    def _fill_start(self, input_features: torch.Tensor) -> torch.Tensor:
        """With `config.pad_start`, zeros at the start up to a multiple of `config.stack_size` mel frames. What is
        incomplete at the end the convolutions drop."""
        if not self.config.pad_start:
            return input_features
        return F.pad(input_features, (0, 0, -input_features.shape[1] % self.config.stack_size, 0))

    def _whole_stacks(self, input_features: torch.Tensor) -> torch.Tensor:
        """Features filled up at the start, or else cut, to a multiple of `config.stack_size` mel frames."""
        features = self._fill_start(input_features)
        return features[:, : features.shape[1] // self.config.stack_size * self.config.stack_size]


# What a pre-training folder has more than an encoder needs; no reason for a warning.
_PRETRAINING_KEYS = [r"^quantizer\.", r"^prediction_head\."]


class StreamCache(NamedTuple):
    """What a model remembers of a stream between chunks. Its size depends on the chunks, not on the stream.

    `num_frames`: encoder frames so far. `subsampling`: last input of every convolution. `layers`: see `LayerCache`.
    """

    num_frames: int
    subsampling: list[torch.Tensor]
    layers: list[LayerCache]


class BestRqModel(BestRqPreTrainedModel):
    """The encoder: mel frames in, one vector per 40 ms out.

    Args:
        config ([`BestRqConfig`]): Its configuration.
    """

    _keys_to_ignore_on_load_unexpected = _PRETRAINING_KEYS

    def __init__(self, config: BestRqConfig):
        super().__init__(config)
        self.subsampling = BestRqSubsampling(config)
        self.dropout = Dropout(config.hidden_dropout)
        self.encoder = BestRqEncoder(config)
        self.post_init()

    def freeze_feature_encoder(self) -> None:
        """Stops training the subsampling convolutions."""
        self.subsampling.layers.requires_grad_(False)

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_features: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        mask_time_indices: torch.Tensor | None = None,
        chunk_size: int | None = None,
        left_context_chunks: int | None = None,
        **kwargs,
    ) -> BaseModelOutput:
        r"""
        Args:
            input_features (`torch.FloatTensor` of shape `(batch_size, num_mel_frames, num_mel_bins)`):
                Normalised log-mel features, from `BestRqFeatureExtractor`.
            attention_mask (`torch.LongTensor` of shape `(batch_size, num_mel_frames)`, *optional*):
                1 at real mel frames, 0 at padding (on the right).
            mask_time_indices (`torch.BoolTensor` of shape `(batch_size, sequence_length)`, *optional*):
                Frames to replace by noise behind the subsampling. Drawn in training if `config.apply_spec_augment`.
            chunk_size, left_context_chunks (`int`, *optional*):
                What a frame sees, instead of what the configuration says.

        Returns:
            `last_hidden_state` of shape `(batch_size, sequence_length, hidden_size)`; on request `hidden_states` and
            `attentions`.
        """
        frame_mask = self._frame_mask(input_features, attention_mask)
        chunks = self.choose_chunks(chunk_size, left_context_chunks)
        features = self.dropout(self.subsampling(self._fill_start(input_features)))
        features = self._augment(features, frame_mask, mask_time_indices)
        hidden_states = self.encoder(features, frame_mask, chunks, **kwargs)
        return BaseModelOutput(last_hidden_state=hidden_states)

    @torch.no_grad()
    def forward_chunk(
        self, input_features: torch.Tensor, cache: StreamCache | None = None
    ) -> tuple[torch.Tensor, StreamCache]:
        """The next chunk of a stream, with the same result as the whole stream under the same `config.chunk_size`.

        Args:
            input_features: `(batch_size, num_mel_frames, num_mel_bins)`: `chunk_size * stack_size` mel frames; the
                stream's last chunk may have fewer.
            cache: What the call before returned; `None` at the beginning.

        Returns:
            `(batch_size, num_frames, hidden_size)`, and the cache for the next call.

        Raises:
            ValueError: The configuration has no `chunk_size`, or the chunk has another size.
        """
        config = self.config
        if config.chunk_size is None:
            raise ValueError("A stream needs `config.chunk_size`, the encoder frames per chunk; it is `None`.")
        if self.training:
            raise ValueError("Streams are for inference: call `model.eval()` before.")
        expected = config.chunk_size * config.stack_size
        if not config.stack_size <= input_features.shape[1] <= expected:
            raise ValueError(
                f"Expected chunks of {expected} mel frames (the last may have fewer, but at least "
                f"{config.stack_size}), got {input_features.shape[1]}."
            )
        input_features = input_features[:, : input_features.shape[1] // config.stack_size * config.stack_size]
        features, pasts = self.subsampling.forward_chunk(input_features, None if cache is None else cache.subsampling)
        if cache is None:
            cache = StreamCache(0, [], self.encoder.empty_caches(features.shape[0], features))
        elif cache.num_frames % config.chunk_size:
            raise ValueError("The stream has ended: the chunk before was shorter than `config.chunk_size`.")
        chunks = Chunks(config.chunk_size, config.left_context_chunks)
        hidden_states, layers = self.encoder.forward_chunk(features, cache.layers, chunks, cache.num_frames)
        return hidden_states, StreamCache(cache.num_frames + features.shape[1], pasts, layers)

    def choose_chunks(self, chunk_size: int | None = None, left_context_chunks: int | None = None) -> Chunks | None:
        """How time is cut: as asked for, else as drawn in training, else as the configuration says."""
        config = self.config
        if (chunk_size is not None and chunk_size < 1) or (chunk_size is None and left_context_chunks is not None):
            raise ValueError(
                "Expected `chunk_size` of at least 1 frame, and `left_context_chunks` only beside it, got "
                f"{chunk_size} and {left_context_chunks}."
            )
        if chunk_size is not None:
            return Chunks(chunk_size, left_context_chunks)
        if self.training and config.dynamic_chunk_prob > 0:
            return draw_chunks(config)
        return None if config.chunk_size is None else Chunks(config.chunk_size, config.left_context_chunks)

    def _augment(
        self, features: torch.Tensor, frame_mask: torch.Tensor | None, mask_time_indices: torch.Tensor | None
    ) -> torch.Tensor:
        """SpecAugment-like masks of fine-tuning: noise at spans of frames, zeros at spans of channels."""
        draws = self.training and self.config.apply_spec_augment
        if draws and mask_time_indices is None:
            mask_time_indices = draw_time_mask(self.config, features, frame_mask)
        if mask_time_indices is not None:
            features = replace_frames(features, mask_time_indices, self.config.mask_noise_std)
        return mask_channels(self.config, features) if draws else features


def draw_chunks(config: BestRqConfig) -> Chunks | None:
    """Dynamic-chunk training: how time is cut for one batch, from torch's global generator."""
    if torch.rand([]) >= config.dynamic_chunk_prob:
        return None
    smallest, largest = config.dynamic_chunk_sizes
    size = int(torch.randint(smallest, largest + 1, ()))
    if torch.rand([]) >= config.dynamic_left_context_prob:
        return Chunks(size)
    fewest, most = config.dynamic_left_context_chunks
    return Chunks(size, int(torch.randint(fewest, most + 1, ())))


@dataclass
class BestRqForPreTrainingOutput(ModelOutput):
    """
    Output of pre-training with BEST-RQ.

    Args:
        loss (`torch.FloatTensor` of shape `(1,)`):
            Cross-entropy of the codes, averaged over codebooks and over predicted frames of the (global) batch.
        logits (`torch.FloatTensor` of shape `(num_predicted, num_codebooks, codebook_size)`):
            Scores of the codes at predicted frames, ordered by utterance and time.
        codes (`torch.LongTensor` of shape `(batch_size, sequence_length, num_codebooks)`):
            The quantizer's codes of all frames, which are the targets; those of padded frames are meaningless.
        prediction_mask (`torch.BoolTensor` of shape `(batch_size, sequence_length)`): Which frames were predicted.
        mask_time_indices (`torch.BoolTensor` of shape `(batch_size, sequence_length)`): Which were hidden.
        frame_mask (`torch.BoolTensor` of shape `(batch_size, sequence_length)`, *optional*):
            Which frames are real; `None` if all are.
        local_features (`torch.FloatTensor` of shape `(batch_size, sequence_length, hidden_size)`):
            What the convolutions make of the input with noise at hidden frames, without gradient, for monitors.
        predicted_codes (`torch.LongTensor` of shape `(num_predicted, num_codebooks)`):
            Those of `codes` that `logits` are the scores for; -100 at filler of `predicted_positions`.
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    codes: torch.Tensor | None = None
    prediction_mask: torch.Tensor | None = None
    mask_time_indices: torch.Tensor | None = None
    frame_mask: torch.Tensor | None = None
    local_features: torch.Tensor | None = None
    predicted_codes: torch.Tensor | None = None


class BestRqForPreTraining(BestRqPreTrainedModel):
    """BEST-RQ pre-training: predict the codes of hidden frames from the rest of the utterance.

    Example:

    ```python
    >>> import torch
    >>> from hf_ssl import BestRqConfig, BestRqFeatureExtractor, BestRqForPreTraining

    >>> model = BestRqForPreTraining(BestRqConfig(num_hidden_layers=2))
    >>> feature_extractor = BestRqFeatureExtractor()
    >>> inputs = feature_extractor([torch.randn(16000)] * 2, sampling_rate=16000, return_tensors="pt")
    >>> model(**inputs).loss.backward()
    ```
    """

    accepts_loss_kwargs = True
    _keep_in_fp32_modules_strict = {"quantizer"}

    def __init__(self, config: BestRqConfig):
        super().__init__(config)
        self.best_rq = BestRqModel(config)
        self.quantizer = RandomProjectionQuantizer(
            config.num_mel_bins * config.stack_size,
            config.num_codebooks,
            config.codebook_size,
            config.codebook_dim,
            config.quantizer_seed,
        )
        self.prediction_head = PredictionHead(config.hidden_size, config.num_codebooks * config.codebook_size)
        self.post_init()

    def freeze_feature_encoder(self) -> None:
        """Stops training the subsampling convolutions."""
        self.best_rq.freeze_feature_encoder()

    @can_return_tuple
    def forward(
        self,
        input_features: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        mask_time_indices: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        mask_noise: torch.Tensor | None = None,
        predicted_positions: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs,
    ) -> BestRqForPreTrainingOutput:
        r"""
        Args:
            input_features (`torch.FloatTensor` of shape `(batch_size, num_mel_frames, num_mel_bins)`):
                Normalised log-mel features.
            attention_mask (`torch.LongTensor` of shape `(batch_size, num_mel_frames)`, *optional*):
                1 at real mel frames, 0 at padding (on the right).
            mask_time_indices (`torch.BoolTensor` of shape `(batch_size, sequence_length)`, *optional*):
                Frames whose mel frames are replaced by noise. In training they come from the data collator; drawn
                here if absent.
            labels (`torch.LongTensor` of shape `(batch_size, sequence_length)`, *optional*):
                -100 at frames that are not predicted, any other value at those that are; `mask_time_indices` if
                absent. What is to be predicted there are the quantizer's codes. The `Trainer` counts labels to
                normalise the loss over devices and accumulation steps.
            mask_noise (`torch.FloatTensor` of shape `(batch_size, sequence_length * stack_size, num_mel_bins)`,
                *optional*):
                What stands at hidden mel frames; drawn if absent.
            predicted_positions (`torch.LongTensor` of shape `(batch_size, max_predicted)`, *optional*):
                Positions of the frames that are predicted, in order, then -1, as the data collator gives them. Their
                shape says how many there are: without them the forward asks the device, and a compiled graph breaks
                there.
            num_items_in_batch (`int`, *optional*):
                Predicted frames of the global batch, by which the loss is divided; this batch's if absent.
        """
        frame_mask = self._frame_mask(input_features, attention_mask)
        mask_time_indices = self._checked_mask(mask_time_indices, input_features, attention_mask, frame_mask)
        prediction_mask = self._prediction_mask(labels, mask_time_indices, frame_mask)

        codes = self.target_codes(input_features)
        hidden_features = self.hide_frames(input_features, mask_time_indices, mask_noise)
        local_features = self.best_rq.subsampling(hidden_features)
        frames = self.best_rq.dropout(local_features)
        encoded = self.best_rq.encoder(frames, frame_mask, self.best_rq.choose_chunks(), **kwargs)
        predicted = find_predicted(prediction_mask, predicted_positions)
        logits, predicted_codes = self.predict(predicted.of(encoded)), predicted.of(codes)
        if predicted.is_real is not None:
            predicted_codes = predicted_codes.masked_fill(~predicted.is_real.unsqueeze(-1), -100)
        loss = code_loss(logits, predicted_codes, num_items_in_batch)

        return BestRqForPreTrainingOutput(
            loss=loss,
            logits=logits,
            codes=codes,
            prediction_mask=prediction_mask,
            mask_time_indices=mask_time_indices,
            frame_mask=frame_mask,
            local_features=local_features.detach(),
            predicted_codes=predicted_codes,
        )

    @torch.no_grad()
    def target_codes(self, input_features: torch.Tensor) -> torch.Tensor:
        """Codes of all stacks of mel frames: `(batch_size, sequence_length, num_codebooks)`."""
        stacks = self._whole_stacks(input_features).unflatten(1, (-1, self.config.stack_size))
        return self.quantizer(stacks.flatten(2))

    def hide_frames(
        self, input_features: torch.Tensor, mask_time_indices: torch.Tensor, mask_noise: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Noise instead of the mel frames of masked stacks; whole stacks as in `mask_noise`."""
        features = self._whole_stacks(input_features)
        if mask_noise is None:
            mask_noise = torch.randn_like(features) * self.config.mask_noise_std
        if mask_noise.shape != features.shape:
            raise ValueError(
                f"`mask_noise` must have shape {tuple(features.shape)}, but has {tuple(mask_noise.shape)}."
            )
        mel_mask = mask_time_indices.repeat_interleave(self.config.stack_size, dim=1).unsqueeze(-1)
        # the product is 0, or NaN: features without a number have no code either, and must not be hidden by the mask
        return torch.where(mel_mask, mask_noise.to(features.dtype) + 0 * features, features)

    def predict(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """`(num_predicted, hidden_size)` -> scores of codes, `(num_predicted, num_codebooks, codebook_size)`."""
        return self.prediction_head(hidden_states).unflatten(-1, (self.config.num_codebooks, -1))

    def draw_masks(self, lengths: list[int], sequence_length: int) -> torch.Tensor:
        """Masks as configured for utterances of `lengths` mel frames; `(batch_size, sequence_length)`, bool."""
        return draw_stack_masks(
            lengths,
            sequence_length,
            stack_size=self.config.stack_size,
            mask_prob=self.config.mask_prob,
            mask_length=self.config.mask_length,
            sampling=self.config.mask_sampling,
            one_mask_per_batch=self.config.one_mask_per_batch,
        )

    def _checked_mask(
        self,
        mask_time_indices: torch.Tensor | None,
        input_features: torch.Tensor,
        attention_mask: torch.Tensor | None,
        frame_mask: torch.Tensor | None,
    ) -> torch.Tensor:
        batch_size, num_mel_frames = input_features.shape[:2]
        sequence_length = self.config.num_frames(num_mel_frames)
        if mask_time_indices is None:
            lengths = (
                [num_mel_frames] * batch_size if attention_mask is None else attention_mask.long().sum(-1).tolist()
            )
            return self.draw_masks(lengths, sequence_length).to(input_features.device)
        if mask_time_indices.shape != (batch_size, sequence_length):
            raise ValueError(
                "`mask_time_indices` must have shape (batch_size, sequence_length) = "
                f"({batch_size}, {sequence_length}), but has {tuple(mask_time_indices.shape)}. "
                "`config.num_frames(num_mel_frames)` gives the sequence length."
            )
        check_mask_type("mask_time_indices", mask_time_indices)
        mask_time_indices = mask_time_indices.bool()
        check_marks_real_steps("mask_time_indices", mask_time_indices, frame_mask)
        return mask_time_indices

    def _prediction_mask(
        self, labels: torch.Tensor | None, mask_time_indices: torch.Tensor, frame_mask: torch.Tensor | None
    ) -> torch.Tensor:
        if labels is None:
            return mask_time_indices
        if labels.shape != mask_time_indices.shape:
            raise ValueError(
                f"`labels` must have the shape of `mask_time_indices`, {tuple(mask_time_indices.shape)}, but have "
                f"{tuple(labels.shape)}."
            )
        check_integer_labels(labels)
        check_marks_real_steps("labels", labels != -100, frame_mask)
        return labels != -100


def code_loss(
    logits: torch.Tensor, codes: torch.Tensor, num_predicted: torch.Tensor | int | None = None
) -> torch.Tensor:
    """Cross-entropy, averaged over codebooks and over predicted frames.

    Args:
        logits: `(num_predicted, num_codebooks, codebook_size)`.
        codes: `(num_predicted, num_codebooks)`, -100 at filler.
        num_predicted: Divisor: the number of predicted frames of the global batch; this batch's if absent.
    """
    loss = F.cross_entropy(logits.flatten(0, 1).float(), codes.flatten(), reduction="sum") / codes.shape[1]
    return mean_over_items(loss, num_predicted, (codes[:, 0] != -100).sum())


class BestRqHeadModel(BestRqPreTrainedModel):
    """What the fine-tuned models have in common."""

    accepts_loss_kwargs = True
    _keys_to_ignore_on_load_unexpected = _PRETRAINING_KEYS

    def __init__(self, config: BestRqConfig):
        super().__init__(config)
        self.num_labels: int = config.num_labels or 1
        self.best_rq = BestRqModel(config)
        self.dropout = nn.Dropout(config.final_dropout)
        self.layer_weights: nn.Parameter | None = None
        if config.use_weighted_layer_sum:
            num_states = config.num_hidden_layers + 1
            self.layer_weights = nn.Parameter(torch.full((num_states,), 1 / num_states))

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, BestRqHeadModel) and module.layer_weights is not None:
            init.constant_(module.layer_weights, 1 / len(module.layer_weights))

    def freeze_feature_encoder(self) -> None:
        """Stops training the subsampling convolutions."""
        self.best_rq.freeze_feature_encoder()

    def freeze_base_model(self) -> None:
        """Stops training everything but the head."""
        self.best_rq.requires_grad_(False)

    def _encode(
        self, input_features: torch.Tensor, attention_mask: torch.Tensor | None, **kwargs
    ) -> tuple[torch.Tensor, BaseModelOutput]:
        """Frames for the head, `(batch_size, sequence_length, hidden_size)`, and the encoder's whole output."""
        if self.layer_weights is None:
            outputs = self.best_rq(input_features, attention_mask=attention_mask, **kwargs)
            return self.dropout(outputs.last_hidden_state), outputs
        kwargs["output_hidden_states"] = True
        outputs = self.best_rq(input_features, attention_mask=attention_mask, **kwargs)
        return self.dropout(weighted_layer_sum(self.layer_weights, outputs.hidden_states)), outputs

    def _frame_lengths(self, input_features: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
        if attention_mask is None:
            attention_mask = torch.ones(input_features.shape[:2], dtype=torch.long, device=input_features.device)
        return self._get_feat_extract_output_lengths(attention_mask.long().sum(-1))


class BestRqForCTC(BestRqHeadModel):
    """Speech recognition: a linear layer over frames, trained with connectionist temporal classification."""

    def __init__(self, config: BestRqConfig):
        super().__init__(config)
        if config.pad_token_id is None:
            raise ValueError(
                "`config.pad_token_id` must be set: it is the blank of connectionist temporal classification."
            )
        self.blank_id = config.pad_token_id
        self.lm_head = HeadLinear(config.hidden_size, config.vocab_size)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_features: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs,
    ) -> CausalLMOutput:
        r"""
        Args:
            input_features (`torch.FloatTensor` of shape `(batch_size, num_mel_frames, num_mel_bins)`):
                Normalised log-mel features.
            attention_mask (`torch.LongTensor` of shape `(batch_size, num_mel_frames)`, *optional*):
                1 at real mel frames.
            labels (`torch.LongTensor` of shape `(batch_size, target_length)`, *optional*):
                Tokens of the transcripts, -100 at padding. The blank is `config.pad_token_id`.
            num_items_in_batch (`int`, *optional*): Target tokens of the global batch; this batch's if absent.

        Returns:
            `logits` of shape `(batch_size, sequence_length, vocab_size)`, and `loss` if there are labels.
        """
        hidden_states, outputs = self._encode(input_features, attention_mask, **kwargs)
        logits = self.lm_head(hidden_states)
        loss = None
        if labels is not None:
            loss = ctc_loss(
                logits,
                labels,
                self._frame_lengths(input_features, attention_mask),
                num_items_in_batch,
                blank=self.blank_id,
                reduction=self.config.ctc_loss_reduction,
                zero_infinity=self.config.ctc_zero_infinity,
            )
        return CausalLMOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )

    @torch.no_grad()
    def forward_chunk(
        self, input_features: torch.Tensor, cache: StreamCache | None = None
    ) -> tuple[torch.Tensor, StreamCache]:
        """Logits of the next chunk of a stream, `(batch_size, num_frames, vocab_size)`; see
        [`BestRqModel.forward_chunk`]."""
        if self.layer_weights is not None:
            raise ValueError("A weighted sum of layers has no streaming form: `config.use_weighted_layer_sum` is set.")
        hidden_states, cache = self.best_rq.forward_chunk(input_features, cache)
        return self.lm_head(hidden_states), cache


class BestRqForSequenceClassification(BestRqHeadModel):
    """One or several labels per utterance: mean of the real frames, then a linear layer."""

    def __init__(self, config: BestRqConfig):
        super().__init__(config)
        self.projector = HeadLinear(config.hidden_size, config.classifier_proj_size)
        self.classifier = HeadLinear(config.classifier_proj_size, self.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_features: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs,
    ) -> SequenceClassifierOutput:
        r"""
        Args:
            input_features (`torch.FloatTensor` of shape `(batch_size, num_mel_frames, num_mel_bins)`):
                Normalised log-mel features.
            attention_mask (`torch.LongTensor` of shape `(batch_size, num_mel_frames)`, *optional*):
                1 at real mel frames.
            labels (*optional*):
                `torch.LongTensor` of shape `(batch_size,)` for one label per utterance, or a float tensor of shape
                `(batch_size, num_labels)` of zeros and ones for several (`config.problem_type =
                "multi_label_classification"`, taken from the labels' shape if it is not set).
            num_items_in_batch (`int`, *optional*): Labels of the global batch; this batch's if absent.

        Returns:
            `logits` of shape `(batch_size, num_labels)`, and `loss` if there are labels.
        """
        hidden_states, outputs = self._encode(input_features, attention_mask, **kwargs)
        frame_mask = None
        if attention_mask is not None:
            frame_mask = self._get_feature_vector_attention_mask(hidden_states.shape[1], attention_mask)
        logits = self.classifier(pool_mean(self.projector(hidden_states), frame_mask))
        loss = None
        if labels is not None:
            problem_type = self.config.problem_type
            is_multi_label = labels.dim() == 2 if problem_type is None else problem_type.startswith("multi_label")
            loss = classification_loss(logits, labels, is_multi_label, num_items_in_batch)
        return SequenceClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


class BestRqForAudioFrameClassification(BestRqHeadModel):
    """Labels for every frame, for example who speaks when."""

    def __init__(self, config: BestRqConfig):
        super().__init__(config)
        self.classifier = HeadLinear(config.hidden_size, self.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_features: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs,
    ) -> TokenClassifierOutput:
        r"""
        Args:
            input_features (`torch.FloatTensor` of shape `(batch_size, num_mel_frames, num_mel_bins)`):
                Normalised log-mel features.
            attention_mask (`torch.LongTensor` of shape `(batch_size, num_mel_frames)`, *optional*):
                1 at real mel frames.
            labels (*optional*):
                `torch.LongTensor` of shape `(batch_size, sequence_length)`, -100 where there is none; or, for several
                labels per frame, a float tensor of shape `(batch_size, sequence_length, num_labels)`, -100 likewise.
            num_items_in_batch (`int`, *optional*): Labels of the global batch; this batch's if absent.

        Returns:
            `logits` of shape `(batch_size, sequence_length, num_labels)`, and `loss` if there are labels.
        """
        hidden_states, outputs = self._encode(input_features, attention_mask, **kwargs)
        logits = self.classifier(hidden_states)
        loss = None
        if labels is not None:
            if labels.shape[:2] != logits.shape[:2]:
                raise ValueError(
                    "`labels` must have one entry per frame, shape (batch_size, sequence_length[, num_labels]) with "
                    f"sequence_length {logits.shape[1]}, but have {tuple(labels.shape)}."
                )
            loss = classification_loss(logits, labels, labels.dim() == 3, num_items_in_batch)
        return TokenClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


class BestRqForXVector(BestRqHeadModel):
    """Speaker embeddings: time-delay network, statistics pooling, additive-margin softmax (as in wav2vec 2.0's)."""

    def __init__(self, config: BestRqConfig):
        super().__init__(config)
        self.projector = HeadLinear(config.hidden_size, config.tdnn_dim[0])
        self.tdnn = nn.ModuleList(TDNNLayer(config, index) for index in range(len(config.tdnn_dim)))
        self.feature_extractor = HeadLinear(config.tdnn_dim[-1] * 2, config.xvector_output_dim)
        self.classifier = HeadLinear(config.xvector_output_dim, config.xvector_output_dim)
        self.objective = AMSoftmaxLoss(config.xvector_output_dim, self.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_features: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs,
    ) -> XVectorOutput:
        r"""
        Args:
            input_features (`torch.FloatTensor` of shape `(batch_size, num_mel_frames, num_mel_bins)`):
                Normalised log-mel features.
            attention_mask (`torch.LongTensor` of shape `(batch_size, num_mel_frames)`, *optional*):
                1 at real mel frames.
            labels (`torch.LongTensor` of shape `(batch_size,)`, *optional*): Speakers.
            num_items_in_batch (`int`, *optional*): Utterances of the global batch; this batch's if absent.

        Returns:
            `embeddings` and `logits` of shape `(batch_size, xvector_output_dim)`, and `loss` if there are labels.
        """
        hidden_states, outputs = self._encode(input_features, attention_mask, **kwargs)
        lengths = self._tdnn_lengths(self._frame_lengths(input_features, attention_mask))
        hidden_states = self.projector(hidden_states)
        for layer in self.tdnn:
            hidden_states = layer(hidden_states)
        embeddings = self.feature_extractor(pool_statistics(hidden_states, lengths))
        logits = self.classifier(embeddings)
        loss = None
        if labels is not None:
            check_classes(labels, tuple(logits.shape[:1]), self.num_labels, may_be_ignored=False)
            loss = self.objective(logits, labels.long())
            if num_items_in_batch is not None:
                loss = loss * len(labels) / at_least_one(num_items_in_batch)
        return XVectorOutput(
            loss=loss,
            logits=logits,
            embeddings=embeddings,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def _tdnn_lengths(self, frame_lengths: torch.Tensor) -> torch.Tensor:
        context = sum(
            (kernel - 1) * dilation
            for kernel, dilation in zip(self.config.tdnn_kernel, self.config.tdnn_dilation, strict=True)
        )
        # a compiled graph cannot ask for values
        shortest = context + 1 if torch.compiler.is_compiling() else int(frame_lengths.min())
        if shortest <= context:
            raise ValueError(
                f"An utterance of {shortest} frames is too short for the time-delay network, which needs at least "
                f"{context + 1} frames ({(context + 1) * self.config.stack_size} mel frames)."
            )
        return frame_lengths - context


__all__ = [
    "BestRqForAudioFrameClassification",
    "BestRqForCTC",
    "BestRqForPreTraining",
    "BestRqForSequenceClassification",
    "BestRqForXVector",
    "BestRqModel",
    "BestRqPreTrainedModel",
]
