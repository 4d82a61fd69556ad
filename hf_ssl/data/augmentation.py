# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Augmentation of waveforms for pre-training: noise, reverberation, gain, band limits, clipping, speed.

Everything is drawn from the generator that is given, so that an item's augmentation depends on its seed alone. All but
speed keep every sound at its sample: both views of an utterance stay aligned. Libraries such as audiomentations draw
from the process's global generators, so that an item would depend on those that its worker read before.
"""

from dataclasses import dataclass, field, fields

import numpy as np
import soxr

from .reverberation import apply_response, synthetic_response
from .skipped import SkippedFiles
from .sound_files import SoundFiles


@dataclass
class AugmentationArguments:
    """What is done to waveforms, each with a probability of its own; nothing by default.

    Ranges are two numbers between which a value is drawn uniformly.
    """

    speed_prob: float = field(default=0.0, metadata={"help": "Probability to change the speed, of both views."})
    speed_range: list[float] = field(default_factory=lambda: [0.9, 1.1], metadata={"help": "Factors of the speed."})
    reverberation_prob: float = field(default=0.0, metadata={"help": "Probability of reverberation."})
    reverberation_data: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Folders of sound files of measured room impulse responses; responses are simulated if there are "
            "none."
        },
    )
    reverberation_seconds: list[float] = field(
        default_factory=lambda: [0.1, 0.8],
        metadata={"help": "Simulated rooms: time in which the sound decays by 60 dB."},
    )
    direct_to_reverberant_db: list[float] = field(
        default_factory=lambda: [-3.0, 12.0],
        metadata={"help": "Simulated rooms: energy of the direct sound over that of its reverberation."},
    )
    noise_prob: float = field(default=0.0, metadata={"help": "Probability to add a part of a recording of noise."})
    noise_data: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Folders of sound files (no manifests, parquet or data of the Hub), nested as in MUSAN. The "
            "training recordings themselves give other voices, and now and then an item's own."
        },
    )
    noise_snr_db: list[float] = field(
        default_factory=lambda: [0.0, 20.0], metadata={"help": "Signal-to-noise ratio of these."}
    )
    white_noise_prob: float = field(default=0.0, metadata={"help": "Probability to add white noise."})
    white_noise_level: list[float] = field(
        default_factory=lambda: [0.001, 0.7],
        metadata={"help": "Its amplitude relative to the signal's (root mean squares)."},
    )
    gain_prob: float = field(default=0.0, metadata={"help": "Probability to change the level."})
    gain_db: list[float] = field(default_factory=lambda: [-12.0, 6.0], metadata={"help": "Change of the level."})
    band_limit_prob: float = field(default=0.0, metadata={"help": "Probability to take high frequencies away."})
    band_limit_hz: list[float] = field(
        default_factory=lambda: [2000.0, 6000.0], metadata={"help": "Highest frequency that is left."}
    )
    clipping_prob: float = field(default=0.0, metadata={"help": "Probability to clip."})
    clipping_level: list[float] = field(
        default_factory=lambda: [0.2, 0.9], metadata={"help": "Where it clips, relative to the highest peak."}
    )

    def __post_init__(self) -> None:
        for name, value in self._probabilities().items():
            if not 0 <= value <= 1:
                raise ValueError(f"--{name} must lie between 0 and 1, got {value}.")
        for name, bounds in self._ranges().items():
            if len(bounds) != 2 or not np.isfinite(bounds).all() or bounds[0] > bounds[1]:
                raise ValueError(
                    f"--{name} must be the lowest and the highest value, two finite numbers, got {bounds}."
                )
        positive = ("speed_range", "reverberation_seconds", "band_limit_hz", "clipping_level")
        for name in positive:
            if self._ranges()[name][0] <= 0:
                raise ValueError(f"--{name} must be positive, got {self._ranges()[name]}.")
        if self.white_noise_level[0] < 0:
            raise ValueError(f"--white_noise_level must not be negative, got {self.white_noise_level}.")
        if self.noise_prob > 0 and not self.noise_data:
            raise ValueError("--noise_prob needs --noise_data, folders of noises.")

    @property
    def is_active(self) -> bool:
        """Whether anything may be done."""
        return any(value > 0 for value in self._probabilities().values())

    @property
    def unused_folders(self) -> dict[str, str]:
        """Folders that are given although nothing is drawn from them: their argument, and that of the probability
        that is 0."""
        pairs = {"noise_data": "noise_prob", "reverberation_data": "reverberation_prob"}
        return {data: prob for data, prob in pairs.items() if vars(self)[data] and vars(self)[prob] == 0}

    def _probabilities(self) -> dict[str, float]:
        return {entry.name: vars(self)[entry.name] for entry in fields(self) if entry.name.endswith("_prob")}

    def _ranges(self) -> dict[str, list[float]]:
        return {
            entry.name: vars(self)[entry.name] for entry in fields(self) if not entry.name.endswith(("_prob", "_data"))
        }


class WaveformAugmentation:
    """Makes the student's view of a waveform.

    Args:
        arguments: What is done how often.
        sampling_rate: Samples per second of the waveforms.
        skipped: Takes the files of noises and responses that cannot be used.

    Raises:
        ValueError: A folder has no usable file.
    """

    def __init__(self, arguments: AugmentationArguments, *, sampling_rate: int, skipped: SkippedFiles):
        self.arguments = arguments
        self.sampling_rate = sampling_rate
        self.noises: SoundFiles | None = None
        self.responses: SoundFiles | None = None
        if arguments.noise_prob > 0:
            self.noises = SoundFiles(arguments.noise_data, sampling_rate=sampling_rate, skipped=skipped)
        if arguments.reverberation_prob > 0 and arguments.reverberation_data:
            self.responses = SoundFiles(arguments.reverberation_data, sampling_rate=sampling_rate, skipped=skipped)

    def change_speed(self, waveform: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """With its probability, the utterance faster or slower (and so higher or lower), of another length. For both
        views of an utterance, before the student's is made."""
        if generator.random() >= self.arguments.speed_prob:
            return waveform
        factor = _draw(self.arguments.speed_range, generator)
        return soxr.resample(waveform, self.sampling_rate * factor, self.sampling_rate).astype(np.float32)

    def __call__(self, waveform: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """The augmented waveform: as sound gets into a recording, room first, then noise, then the device.

        Args:
            waveform: `(num_samples,)`, float32.
            generator: Source of all randomness.

        Returns:
            `(num_samples,)`, float32; every sound is at its sample.
        """
        arguments, changed = self.arguments, np.asarray(waveform, dtype=np.float32)
        if generator.random() < arguments.reverberation_prob:
            changed = apply_response(changed, self._draw_response(generator))
        if generator.random() < arguments.white_noise_prob:
            level = _draw(arguments.white_noise_level, generator)
            changed = add_noise(changed, generator.standard_normal(len(changed), dtype=np.float32), level)
        if self.noises is not None and generator.random() < arguments.noise_prob:
            noise = self.noises.draw(len(changed), generator)
            changed = add_noise(changed, noise, 10 ** (-_draw(arguments.noise_snr_db, generator) / 20))
        if generator.random() < arguments.gain_prob:
            changed = changed * 10 ** (_draw(arguments.gain_db, generator) / 20)
        if generator.random() < arguments.band_limit_prob:
            changed = limit_band(changed, _draw(arguments.band_limit_hz, generator), self.sampling_rate)
        if generator.random() < arguments.clipping_prob:
            peak = np.abs(changed).max(initial=0) * _draw(arguments.clipping_level, generator)
            changed = changed.clip(-peak, peak)
        return changed.astype(np.float32)

    def _draw_response(self, generator: np.random.Generator) -> np.ndarray:
        arguments = self.arguments
        if self.responses is not None:
            return self.responses.draw_whole(generator)
        return synthetic_response(
            _draw(arguments.reverberation_seconds, generator),
            _draw(arguments.direct_to_reverberant_db, generator),
            self.sampling_rate,
            generator,
        )


def add_noise(waveform: np.ndarray, noise: np.ndarray, level: float) -> np.ndarray:
    """Adds noise of the same length whose root mean square is `level` times the waveform's. Silence has no level:
    silent noise adds nothing, and nothing is added to a silent waveform."""
    signal_rms, noise_rms = _root_mean_square(waveform), _root_mean_square(noise)
    if noise_rms == 0:
        return waveform
    return waveform + noise * np.float32(level * signal_rms / noise_rms)


def limit_band(waveform: np.ndarray, highest: float, sampling_rate: int) -> np.ndarray:
    """Takes frequencies above `highest` Hz away, over a tenth of it, without a delay."""
    spectrum = np.fft.rfft(waveform)
    frequencies = np.fft.rfftfreq(len(waveform), 1 / sampling_rate)
    excess = ((frequencies - highest) / (0.1 * highest)).clip(0, 1)
    return np.fft.irfft(spectrum * np.cos(0.5 * np.pi * excess), len(waveform)).astype(np.float32)


def _draw(bounds: list[float], generator: np.random.Generator) -> float:
    lowest, highest = bounds
    return generator.uniform(lowest, highest)


def _root_mean_square(waveform: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64)))) if len(waveform) else 0.0


def augmentation_generator(seed: int) -> np.random.Generator:
    """Of an item's augmentation; another stream than that of its mask, which is made of the seed alone."""
    return np.random.default_rng([seed, 1])
