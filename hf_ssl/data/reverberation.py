# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Reverberation: waveforms as a room would give them back."""

import numpy as np

# A response is cut where it has decayed by this much.
_DECAY_DB = 60.0
# The direct sound is followed by nothing for as long as sound needs to the nearest wall and back, about.
_FIRST_REFLECTION_SECONDS = 0.002


def synthetic_response(
    decay_seconds: float, direct_to_reverberant_db: float, sampling_rate: int, generator: np.random.Generator
) -> np.ndarray:
    """The impulse response of a simulated room: the direct sound, and white noise that decays exponentially.

    Args:
        decay_seconds: In which it decays by 60 dB.
        direct_to_reverberant_db: Energy of the direct sound over that of the rest.
        sampling_rate: Samples per second.
        generator: Source of the noise.

    Returns:
        `(num_samples,)`, float32, the direct sound first.
    """
    first = max(1, round(_FIRST_REFLECTION_SECONDS * sampling_rate))
    num_samples = max(first + 1, round(decay_seconds * sampling_rate))
    decay = 10 ** (-_DECAY_DB / 20 * np.arange(num_samples) / (decay_seconds * sampling_rate))
    tail = generator.standard_normal(num_samples) * decay
    tail[:first] = 0
    tail *= 10 ** (-direct_to_reverberant_db / 20) / np.sqrt(np.square(tail).sum())
    tail[0] = 1
    return tail.astype(np.float32)


def apply_response(waveform: np.ndarray, response: np.ndarray) -> np.ndarray:
    """The waveform in the room of an impulse response: of the same length and root mean square, and with every sound
    at its sample, for what a measured response has before its highest peak, the direct sound, is cut off.

    Args:
        waveform: `(num_samples,)`.
        response: `(response_samples,)`; a silent one changes nothing.
    """
    response = response[int(np.abs(response).argmax()) :] if len(response) else response
    if not np.any(response) or not np.any(waveform):
        return waveform
    size = 1 << (len(waveform) + len(response) - 2).bit_length()
    spectrum = np.fft.rfft(waveform, size) * np.fft.rfft(response, size)
    changed = np.fft.irfft(spectrum, size)[: len(waveform)]
    level = np.sqrt(np.square(waveform, dtype=np.float64).sum() / np.square(changed).sum())
    return (changed * level * np.sign(response[0])).astype(np.float32)
