# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What do the frozen features of a speech encoder know? Linear probes, the same for every encoder.

Each clip becomes one vector per layer: mean and standard deviation over time. A linear classifier is trained on each
layer; its layer and regularisation are chosen on a validation split, never on the test split.

```python
>>> train = extract_pooled_features(model, feature_extractor, train_waveforms)
>>> test = extract_pooled_features(model, feature_extractor, test_waveforms)
>>> linear_probe(train, train_words, test, test_words, seed=0).accuracy
```
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import BatchFeature, PreTrainedModel
from transformers.audio_utils import mel_filter_bank, window_function

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline
    from threadpoolctl import threadpool_limits

    from ..data.collators import SpeechFeatureExtractor

REGULARISATION_STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)  # scikit-learn's `C`: small is strong


@dataclass(frozen=True)
class ProbeResult:
    """How well a linear classifier reads labels off frozen features.

    Args:
        accuracy (`float`): Share of test clips classified rightly by the chosen layer.
        best_layer (`int`): The layer chosen on the validation split; 0 is what enters the first layer.
        by_layer (`tuple[float, ...]`): Best accuracy of every layer on the VALIDATION split.
        inverse_regularisation (`float`): scikit-learn's `C`, chosen on the validation split.
        majority_accuracy (`float`): Test accuracy of always answering the most frequent training label.
        num_classes (`int`): Number of classes among the training labels.
        num_train (`int`): Number of training clips, a validation split carved out of them included.
        num_test (`int`): Number of test clips.
    """

    accuracy: float
    best_layer: int
    by_layer: tuple[float, ...]
    inverse_regularisation: float
    majority_accuracy: float
    num_classes: int
    num_train: int
    num_test: int


def extract_pooled_features(
    model: PreTrainedModel,
    feature_extractor: SpeechFeatureExtractor,
    waveforms: Iterable[np.ndarray],
    *,
    batch_seconds: float = 60.0,
    device: torch.device | str | None = None,
) -> np.ndarray:
    """Pools the hidden states of every layer over the real frames of each clip.

    Works with every encoder that takes what its feature extractor makes of waveforms, be it waveforms or log-mel
    features: `model(input_values or input_features, attention_mask=..., output_hidden_states=True)` and
    `model._get_feat_extract_output_lengths`, from the length of the input to that of the hidden states. Padding
    changes nothing: where the feature extractor gives no attention mask (encoders with a group norm over time, which
    sees the padding), only clips of equal length share a batch.

    Args:
        model (`PreTrainedModel`): The encoder. Its modes (training or evaluation) and its device are left as found.
        feature_extractor (`Wav2Vec2FeatureExtractor` or `BestRqFeatureExtractor`): Prepares waveforms for `model`.
        waveforms (iterable of `np.ndarray` of shape `(num_samples,)`): Clips at `feature_extractor.sampling_rate`.
        batch_seconds (`float`): Most seconds of a batch, padding included; a longer clip is a batch of its own.
        device (`torch.device` or `str`, *optional*): Where to run; where the model is, by default.

    Returns:
        `np.ndarray` of shape `(num_layers + 1, num_clips, 2 * hidden_size)`, float32: the mean and then the standard
        deviation over frames, in the order of `waveforms`. Index 0 is what enters the first layer.

    Raises:
        ValueError: There is no clip, or one is not a vector of finite numbers or too short for a single frame.
    """
    clips = _check_waveforms(waveforms)
    lengths = [len(clip) for clip in clips]
    most_samples = int(batch_seconds * feature_extractor.sampling_rate)
    masked = bool(feature_extractor.return_attention_mask)
    pooled: list[np.ndarray | None] = [None] * len(clips)
    with _evaluating(model, device), torch.inference_mode():
        _check_shortest(model, feature_extractor, clips)
        for indices in _length_sorted_batches(lengths, most_samples, padding=masked):
            batch = _extract(feature_extractor, [clips[index] for index in indices])
            features = _pool_batch(model, batch)
            for position, index in enumerate(indices):
                pooled[index] = features[:, position]
    return np.stack([clip for clip in pooled if clip is not None], axis=1)


def log_mel_features(
    waveforms: Iterable[np.ndarray], *, sampling_rate: int = 16000, num_mel_filters: int = 80
) -> np.ndarray:
    """The baseline without any network: mean and standard deviation over time of a log mel spectrogram.

    Windows of 25 ms every 10 ms. Each clip is brought to zero mean and unit variance first, as the feature extractors
    do for the networks, so that the level of a recording is no feature.

    Args:
        waveforms (iterable of `np.ndarray` of shape `(num_samples,)`): Clips at `sampling_rate`.
        sampling_rate (`int`): In hertz.
        num_mel_filters (`int`): Number of mel bands.

    Returns:
        `np.ndarray` of shape `(1, num_clips, 2 * num_mel_filters)`, float32: like `extract_pooled_features` with a
        single layer.

    Raises:
        ValueError: There is no clip, or one is not a vector of finite numbers or shorter than a window.
    """
    frame_length, hop_length = sampling_rate // 40, sampling_rate // 100
    fft_length = 2 ** int(np.ceil(np.log2(frame_length)))
    mel_filters = mel_filter_bank(
        fft_length // 2 + 1, num_mel_filters, 20.0, sampling_rate / 2, sampling_rate, mel_scale="kaldi",
        triangularize_in_mel_space=True,
    )  # fmt: skip
    window = window_function(frame_length, "hann")
    pooled = []
    for index, clip in enumerate(_check_waveforms(waveforms)):
        if len(clip) < frame_length:
            raise ValueError(f"Clip {index} has {len(clip)} samples; a log mel window needs {frame_length}.")
        normalised = (clip - clip.mean()) / np.sqrt(clip.var() + 1e-7)
        # All windows at once: transformers' `spectrogram` takes them one by one and ten times as long.
        windows = np.lib.stride_tricks.sliding_window_view(normalised, frame_length)[::hop_length] * window
        power = np.abs(np.fft.rfft(windows, n=fft_length)) ** 2
        bands = np.log(np.maximum(power @ mel_filters, 1e-10))
        pooled.append(np.concatenate([bands.mean(axis=0), bands.std(axis=0)]))
    return np.stack(pooled).astype(np.float32)[None]


def linear_probe(
    train_features: np.ndarray,
    train_labels: Sequence[str] | Sequence[int] | np.ndarray,
    test_features: np.ndarray,
    test_labels: Sequence[str] | Sequence[int] | np.ndarray,
    *,
    validation: tuple[np.ndarray, Sequence[str] | Sequence[int] | np.ndarray] | None = None,
    seed: int = 0,
) -> ProbeResult:
    """Trains a linear classifier on frozen features; every encoder gets the same treatment.

    Features are standardised with the training clips' statistics. For every layer, a logistic regression is trained
    at each of `REGULARISATION_STRENGTHS`. The layer and strength that do best on the validation split (the lowest
    layer and the strongest regularisation among equals) are trained again on all training clips and meet the test
    split once. A test label that no training clip has counts as an error.

    Args:
        train_features (`np.ndarray` of shape `(num_layers, num_train, feature_size)`): Features to learn from.
        train_labels (sequence of `str` or `int` of length `num_train`): Their labels.
        test_features (`np.ndarray` of shape `(num_layers, num_test, feature_size)`): Features to score on.
        test_labels (sequence of `str` or `int` of length `num_test`): Their labels.
        validation (`tuple`, *optional*): Features and labels to choose on. By default a fifth of the training clips,
            every class in proportion.
        seed (`int`): Seed of that choice.

    Returns:
        `ProbeResult`: The accuracy on test and what was chosen.

    Raises:
        ImportError: scikit-learn is not installed.
        ValueError: Shapes and numbers of labels do not fit, features are not finite, there is but one class, or one
            with too few clips to carve a validation split.
    """
    threadpool_limits = _require_scikit_learn()
    train = _check_split("train", train_features, train_labels)
    test = _check_split("test", test_features, test_labels)
    classes, counts = np.unique(train[1], return_counts=True)
    if len(classes) < 2:
        raise ValueError(f"Expected at least two classes among the training labels, got {classes.tolist()}.")
    if validation is None:
        fitting, choosing = _carve_validation(train, seed)
    else:
        fitting, choosing = train, _check_split("validation", *validation)
    for name, features in (("test", test[0]), ("validation", choosing[0])):
        if features[:, 0].shape != train[0][:, 0].shape:
            raise ValueError(
                f"Expected {name} features of shape {(len(train[0]), 'num_clips', train[0].shape[2])} "
                f"as in training, got {features.shape}."
            )
    # These products are so small that several threads only wait for each other: 20 times slower on two busy cores.
    with threadpool_limits(limits=1):
        scores = np.array([_validation_scores(layer, fitting, choosing) for layer in range(len(train[0]))])
        best_layer, best_strength = np.unravel_index(scores.argmax(), scores.shape)
        strength = REGULARISATION_STRENGTHS[best_strength]
        classifier = _classifier(strength).fit(train[0][best_layer], train[1])
        predicted = classifier.predict(test[0][best_layer])
    return ProbeResult(
        accuracy=float(np.mean(predicted == test[1])),
        best_layer=int(best_layer),
        by_layer=tuple(scores.max(axis=1).tolist()),
        inverse_regularisation=strength,
        majority_accuracy=float(np.mean(test[1] == classes[counts.argmax()])),
        num_classes=len(classes),
        num_train=len(train[1]),
        num_test=len(test[1]),
    )


def _check_waveforms(waveforms: Iterable[np.ndarray]) -> list[np.ndarray]:
    clips = [np.asarray(waveform, dtype=np.float32) for waveform in waveforms]
    if not clips:
        raise ValueError("Expected at least one waveform, got none.")
    for index, clip in enumerate(clips):
        if clip.ndim != 1 or clip.size == 0:
            raise ValueError(
                f"Expected mono waveforms of shape (num_samples,), got {clip.shape} for clip {index}. "
                "Average the channels of a stereo recording; drop empty clips."
            )
        if not np.isfinite(clip).all():
            raise ValueError(f"Clip {index} holds NaN or infinite samples. Drop it or repair the recording.")
    return clips


def _extract(feature_extractor: SpeechFeatureExtractor, clips: list[np.ndarray]) -> BatchFeature:
    return feature_extractor(clips, sampling_rate=feature_extractor.sampling_rate, padding=True, return_tensors="pt")


def _count_frames(model: PreTrainedModel, batch: BatchFeature) -> torch.Tensor:
    """Number of real frames of every clip of a batch, `(batch_size,)`, on the CPU."""
    if "attention_mask" in batch:
        lengths = batch["attention_mask"].sum(-1)
    else:
        inputs = batch[model.main_input_name]
        lengths = torch.full(inputs.shape[:1], inputs.shape[1])
    return model._get_feat_extract_output_lengths(lengths)  # type: ignore[operator]


def _check_shortest(
    model: PreTrainedModel, feature_extractor: SpeechFeatureExtractor, clips: list[np.ndarray]
) -> None:
    """Finds a clip without a frame before any other is encoded."""
    index = min(range(len(clips)), key=lambda index: len(clips[index]))
    if _count_frames(model, _extract(feature_extractor, [clips[index]])) < 1:
        raise ValueError(
            f"Clip {index} has {len(clips[index])} samples, too few for one frame of {type(model).__name__}. Drop it."
        )


def _length_sorted_batches(lengths: list[int], most_samples: int, *, padding: bool) -> Iterator[list[int]]:
    """Groups indices by length, longest first, so that running out of memory shows at once."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        longest = lengths[batch[0]] if batch else lengths[index]
        full = longest * (len(batch) + 1) > most_samples
        if batch and (full or (lengths[index] != longest and not padding)):
            yield batch
            batch = []
        batch.append(index)
    yield batch


@contextmanager
def _evaluating(model: PreTrainedModel, device: torch.device | str | None) -> Iterator[None]:
    """Puts the model in evaluation mode on `device`; afterwards every module has its own mode and device back."""
    modes = {module: module.training for module in model.modules()}
    found_device = model.device
    model.eval().to(device or found_device)  # type: ignore[arg-type]
    try:
        yield
    finally:
        model.to(found_device)  # type: ignore[arg-type]
        # One by one: `model.train()` would wake up parts that were frozen in evaluation mode, such as a teacher.
        for module, training in modes.items():
            module.training = training


def _pool_batch(model: PreTrainedModel, batch: BatchFeature) -> np.ndarray:
    """Returns `np.ndarray` of shape `(num_layers + 1, batch_size, 2 * hidden_size)`."""
    num_frames = _count_frames(model, batch)
    attention_mask = batch["attention_mask"].to(model.device) if "attention_mask" in batch else None
    inputs = batch[model.main_input_name].to(model.device, model.dtype)
    outputs = model(inputs, attention_mask=attention_mask, output_hidden_states=True)
    sequence_length = outputs.hidden_states[0].shape[1]
    if sequence_length != num_frames.max():
        raise ValueError(
            f"{type(model).__name__} promised {num_frames.max()} frames and gave {sequence_length}. Its hidden states "
            "must be those of its feature encoder's frames (an adapter, for example, changes their number)."
        )
    frame_mask = torch.arange(sequence_length) < num_frames[:, None]
    frame_mask = frame_mask.to(model.device)
    return (
        torch.stack([_mean_and_deviation(layer.float(), frame_mask) for layer in outputs.hidden_states]).cpu().numpy()
    )


def _mean_and_deviation(hidden_states: torch.Tensor, frame_mask: torch.Tensor) -> torch.Tensor:
    """Mean and standard deviation over real frames.

    Args:
        hidden_states (`torch.FloatTensor` of shape `(batch_size, sequence_length, hidden_size)`): One layer.
        frame_mask (`torch.BoolTensor` of shape `(batch_size, sequence_length)`): True for real frames.

    Returns:
        `torch.FloatTensor` of shape `(batch_size, 2 * hidden_size)`.
    """
    real = frame_mask[:, :, None]
    num_frames = real.sum(dim=1)
    # masked_fill, not a product: what a model leaves in padded frames may be anything, infinity included.
    mean = hidden_states.masked_fill(~real, 0).sum(dim=1) / num_frames
    deviation = (hidden_states - mean[:, None]).masked_fill(~real, 0)
    return torch.cat([mean, (deviation.square().sum(dim=1) / num_frames).sqrt()], dim=-1)


Split = tuple[np.ndarray, np.ndarray]


def _check_split(name: str, features: np.ndarray, labels: Sequence[str] | Sequence[int] | np.ndarray) -> Split:
    features, labels = np.asarray(features), np.asarray(labels)
    if features.ndim != 3 or 0 in features.shape:
        raise ValueError(
            f"Expected {name} features of shape (num_layers, num_clips, feature_size), none of them 0, "
            f"got {features.shape}."
        )
    if labels.shape != features.shape[1:2]:
        raise ValueError(f"Expected {features.shape[1]} {name} labels, one per clip, got shape {labels.shape}.")
    if not np.isfinite(features).all():
        raise ValueError(f"The {name} features hold NaN or infinite values. Has the model diverged?")
    return features, labels


def _carve_validation(train: Split, seed: int) -> tuple[Split, Split]:
    from sklearn.model_selection import train_test_split

    features, labels = train
    classes, counts = np.unique(labels, return_counts=True)
    num_held_out = max(round(0.2 * len(labels)), len(classes))
    if counts.min() < 2 or len(labels) - num_held_out < len(classes):
        raise ValueError(
            "Expected at least two training clips of every class to carve a validation split, got "
            f"{counts.min()} of {classes[counts.argmin()]!r} ({len(labels)} clips of {len(classes)} classes). "
            "Give `validation=(features, labels)` or drop rare classes."
        )
    fitting, choosing = train_test_split(
        np.arange(len(labels)), test_size=num_held_out, stratify=labels, random_state=seed
    )
    return (features[:, fitting], labels[fitting]), (features[:, choosing], labels[choosing])


def _validation_scores(layer: int, fitting: Split, choosing: Split) -> list[float]:
    """Returns the validation accuracy of one layer at each of `REGULARISATION_STRENGTHS`."""
    scores = []
    for strength in REGULARISATION_STRENGTHS:
        classifier = _classifier(strength).fit(fitting[0][layer], fitting[1])
        scores.append(float(np.mean(classifier.predict(choosing[0][layer]) == choosing[1])))
    return scores


def _classifier(inverse_regularisation: float) -> Pipeline:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=inverse_regularisation, max_iter=1000))


def _require_scikit_learn() -> type[threadpool_limits]:
    """Returns what limits the threads of scikit-learn's linear algebra; scikit-learn installs it."""
    try:
        import sklearn  # noqa: F401
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise ImportError(
            'Linear probes need scikit-learn, which is not installed. Install it with: pip install "hf-ssl[demo]"'
        ) from error
    return threadpool_limits
