# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Models in use: transcripts and features of audio files of any length, and files for transformers' pipelines."""

from .ctc_decoding import Decoding, GreedyDecoder, StreamingGreedyDecoder, Word
from .features import extract_features
from .inputs import Failures, InputFile, list_inputs
from .language_model import BeamSearchDecoder, make_beam_search_decoder
from .live_audio import file_blocks, paced, pcm_blocks
from .loading import LoadedModel, load_ctc_model, load_encoder
from .streaming import StreamingTranscriber
from .streams import PipelineAudio, read_for_pipeline
from .transcribing import TimedWord, Transcript, transcribe
from .windows import FrameGeometry, Window, WindowSize, cut_windows, plan_windows

__all__ = [
    "BeamSearchDecoder",
    "Decoding",
    "Failures",
    "FrameGeometry",
    "GreedyDecoder",
    "InputFile",
    "LoadedModel",
    "PipelineAudio",
    "StreamingGreedyDecoder",
    "StreamingTranscriber",
    "TimedWord",
    "Transcript",
    "Window",
    "WindowSize",
    "Word",
    "cut_windows",
    "extract_features",
    "file_blocks",
    "list_inputs",
    "load_ctc_model",
    "load_encoder",
    "make_beam_search_decoder",
    "paced",
    "pcm_blocks",
    "plan_windows",
    "read_for_pipeline",
    "transcribe",
]
