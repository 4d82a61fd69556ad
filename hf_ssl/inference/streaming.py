# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Recognition while the audio is still coming: log-mel, encoder and decoding advance chunk by chunk."""

import time

import numpy as np
import torch
from transformers import Wav2Vec2CTCTokenizer

from ..models.feature_extraction_best_rq import BestRqFeatureExtractor
from ..models.modeling_best_rq import BestRqForCTC, StreamCache
from ..models.streaming_log_mel import StreamingLogMel, stream_normalization
from .ctc_decoding import StreamingGreedyDecoder, Word
from .latency import LatencyHistogram
from .loading import LoadedModel
from .transcribing import TimedWord, timed_words


class StreamingTranscriber:
    """Takes audio in blocks of any length, and gives each word when it is complete.

    The words are those that [`transcribe`] gives for the whole recording in one window, decoded greedily: the model
    sees the same chunks. (With `config.pad_start`, those of a recording whose mel frames fill all stacks: what would
    have to be filled up at the beginning is not known before the end.) Time per chunk and memory do not depend on the
    length of the stream, if `config.left_context_chunks` is set.

    Args:
        loaded ([`LoadedModel`]): From [`load_ctc_model`].
        tokenizer (`Wav2Vec2CTCTokenizer`): The model's.

    Attributes:
        num_samples (`int`): Samples so far, of all streams.
        computing_seconds (`float`): Time spent on them: log-mel, model and decoding; without waiting for audio.
        chunk_seconds (`LatencyHistogram`): Time from a chunk's last sample to its words.

    Raises:
        ValueError: The model, or its feature extractor, is not for streams.
    """

    def __init__(self, loaded: LoadedModel, tokenizer: Wav2Vec2CTCTokenizer) -> None:
        self.model, feature_extractor = check_streams(loaded)
        self.sampling_rate = feature_extractor.sampling_rate
        self._seconds_per_frame = loaded.seconds_per_frame
        self._log_mel = StreamingLogMel(feature_extractor, stream_normalization(feature_extractor))
        self._decoder = StreamingGreedyDecoder(tokenizer)
        self._chunk_steps = _chunk_steps(self.model)
        self._begin()
        self._warm_up()
        self.num_samples = 0
        self.computing_seconds = 0.0
        self.chunk_seconds = LatencyHistogram()

    @property
    def chunk_length(self) -> float:
        """Seconds of audio per chunk."""
        return self._chunk_steps * self.model.config.hop_length / self.sampling_rate

    @property
    def look_ahead(self) -> float:
        """Seconds behind the last mel frame of a chunk that its window needs."""
        return self._log_mel.look_ahead / self.sampling_rate

    @property
    def cache(self) -> StreamCache | None:
        """What the model remembers of the stream; `None` before its first chunk."""
        return self._cache

    def add(self, samples: np.ndarray) -> list[TimedWord]:
        """Takes the next samples, `(num_samples,)`, float32 at the model's rate; returns the words they complete."""
        begin = time.perf_counter()
        self.num_samples += len(samples)
        self._take(self._log_mel.add(torch.from_numpy(samples)))
        return self._decode_chunks(begin)

    def finish(self) -> list[TimedWord]:
        """Returns what is left of the words; a new stream may begin."""
        begin = time.perf_counter()
        self._take(self._log_mel.finish())
        words = self._decode_chunks(begin)
        begin = time.perf_counter()
        if len(self._features) >= self.model.config.stack_size:
            words += self._timed(self._decode(self._features))
        words += self._timed(self._decoder.finish())
        self._begin()
        self.computing_seconds += time.perf_counter() - begin
        return words

    def _begin(self) -> None:
        self._features = torch.zeros(0, self.model.config.num_mel_bins)
        self._cache: StreamCache | None = None

    def _take(self, features: torch.Tensor) -> None:
        self._features = torch.cat([self._features, features])

    def _decode_chunks(self, begin: float) -> list[TimedWord]:
        """Decodes all whole chunks, and takes the time since `begin`."""
        words = []
        num_whole = len(self._features) // self._chunk_steps * self._chunk_steps
        whole, self._features = self._features[:num_whole], self._features[num_whole:].clone()
        for first in range(0, num_whole, self._chunk_steps):
            words += self._timed(self._decode(whole[first : first + self._chunk_steps]))
            end = time.perf_counter()
            self.chunk_seconds.add(end - begin)
            self.computing_seconds += end - begin
            begin = end
        self.computing_seconds += time.perf_counter() - begin
        return words

    @torch.inference_mode()
    def _decode(self, features: torch.Tensor) -> list[Word]:
        logits, self._cache = self.model.forward_chunk(features.unsqueeze(0).to(self.model.device), self._cache)
        return self._decoder.add(logits[0].float().cpu())

    def _timed(self, words: list[Word]) -> list[TimedWord]:
        return timed_words(words, self._seconds_per_frame)

    @torch.inference_mode()
    def _warm_up(self) -> None:
        """Two chunks of silence, so that what torch sets up at its first calls delays no word."""
        silence = torch.zeros(1, self._chunk_steps, self.model.config.num_mel_bins, device=self.model.device)
        _, cache = self.model.forward_chunk(silence)
        self.model.forward_chunk(silence, cache)


def check_streams(loaded: LoadedModel) -> tuple[BestRqForCTC, BestRqFeatureExtractor]:
    """The model and its feature extractor, if they can read streams.

    Raises:
        ValueError: They cannot; says what to do.
    """
    model, feature_extractor = loaded.model, loaded.feature_extractor
    if not isinstance(model, BestRqForCTC) or not isinstance(feature_extractor, BestRqFeatureExtractor):
        raise ValueError(
            f"expected a BEST-RQ recogniser (BestRqForCTC), got a {type(model).__name__}: models of its kind need the "
            "whole recording. Transcribe files without --stream"
        )
    if model.config.chunk_size is None:
        raise ValueError(
            f"{model.config.name_or_path} was configured for whole recordings: a stream needs `chunk_size`, the "
            f"frames (of {1000 * loaded.seconds_per_frame:g} ms) per chunk, and should have `left_context_chunks`, "
            "how many chunks before each one sees. Set both in config.json if the model was trained with chunks "
            "(`dynamic_chunk_prob`), or train one by training_scripts/recipes/ctc_best_rq_streaming.yaml"
        )
    return model, feature_extractor


def _chunk_steps(model: BestRqForCTC) -> int:
    assert model.config.chunk_size is not None
    return model.config.chunk_size * model.config.stack_size
