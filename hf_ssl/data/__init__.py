# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Audio data: reading files, listing sources, data sets that decode on access, samplers and collators."""

from .audio import AUDIO_EXTENSIONS, AudioInfo, AudioReadError, audio_info, read_audio, stream_audio
from .collators import DataCollatorForAudioClassification, DataCollatorForCTC
from .dataset import AudioDataset, LengthGroupedSampler, StreamedAudioDataset, item_seed
from .skipped import SkippedFiles
from .sources import load_audio_sources
from .windows import ClipLimits, equal_windows

__all__ = [
    "AUDIO_EXTENSIONS",
    "AudioDataset",
    "AudioInfo",
    "AudioReadError",
    "ClipLimits",
    "DataCollatorForAudioClassification",
    "DataCollatorForCTC",
    "LengthGroupedSampler",
    "SkippedFiles",
    "StreamedAudioDataset",
    "audio_info",
    "equal_windows",
    "item_seed",
    "load_audio_sources",
    "read_audio",
    "stream_audio",
]
