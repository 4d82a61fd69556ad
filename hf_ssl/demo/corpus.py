# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""A many-voice spoken corpus with transcripts, synthesised on the spot.

The demo needs speech on a machine that may be offline, and needs to know what is said and who says it. eSpeak NG
(GPL-3.0-or-later, a separately installed library that runs in a process of its own, see `espeak.py`) speaks random
sequences of short words in many voices. Every utterance goes through its own channel: level, spectral tilt, and
coloured noise, so that neither words nor voices can be told from level or background.

The corpus is a pure function of its `CorpusConfig`: the same configuration gives the same bytes, for given versions
of eSpeak NG, NumPy, soxr and libsndfile.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

import numpy as np
import soundfile
import soxr

from .espeak import EspeakProcess, SpeechRequest

SPLITS = ("train", "validation", "test", "test_seen_voices")
METADATA_COLUMNS = ("file_name", "transcription", "word", "voice", "duration")

# fmt: off
DEFAULT_WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    "red", "blue", "green", "black", "white", "yellow", "brown", "pink",
    "left", "right", "up", "down", "north", "south", "east", "west",
    "cat", "dog", "bird", "fish", "horse", "mouse", "cow", "lion",
    "stop", "go", "yes", "no",
)

ACCENTS = (
    "en-us", "en", "en-gb-scotland", "en-029", "en-us-nyc", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd",
)

# eSpeak NG's bundled voice variants, less robots, whispers, demons and those that overload the output.
VARIANTS = (
    "f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8",
    "Alex", "Alicia", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Henrique", "Hugo", "Lee", "Mario",
    "Michael", "Mike", "Nguyen", "Reed", "Storm", "adam", "anika", "aunty", "belinda", "benjamin", "boris", "caleb",
    "david", "ed", "edward", "edward2", "grandma", "grandpa", "gustave", "ian", "iven3", "iven4", "john",
    "kaukovalta", "klatt3", "klatt4", "linda", "marcelo", "max", "michel", "miguel", "mike2", "norbert", "pablo",
    "paul", "pedro", "quincy", "rob", "robert", "sandro", "shelby", "steph", "travis", "victor", "zac",
)
# fmt: on


@dataclass(frozen=True)
class CorpusConfig:
    """What to synthesise.

    Args:
        num_hours (`float`): Hours of the `train` split. The three other splits come on top, see `evaluation_share`.
        num_voices (`int`): Voices over all splits: about 70 % speak `train` and `test_seen_voices`, 10 % `validation`
            and 20 % `test`. At least 3, at most 560. No two voices share a variant up to 70 voices.
        words (`tuple[str, ...]`): The words that are spoken, each of lower-case letters `a` to `z`.
        words_per_utterance (`tuple[int, int]`): Fewest and most words of an utterance, both included.
        single_word_share (`float`): Share of utterances that are one word whatever `words_per_utterance` says; they
            are what a probe for words classifies.
        evaluation_share (`float`): Length of each of the three other splits, as a share of `num_hours`.
        seed (`int`): Seed of everything that is drawn.
        sampling_rate (`int`): Sampling rate of the files in hertz.
        silence_seconds (`tuple[float, float]`): Shortest and longest silence before and after the words, in seconds.
        signal_to_noise_decibels (`tuple[float, float]`): Range of the ratio of speech to noise.

    Raises:
        ValueError: A value is outside of what is described above.
    """

    num_hours: float = 1.0
    num_voices: int = 40
    words: tuple[str, ...] = DEFAULT_WORDS
    words_per_utterance: tuple[int, int] = (1, 6)
    single_word_share: float = 0.4
    evaluation_share: float = 0.15
    seed: int = 0
    sampling_rate: int = 16000
    silence_seconds: tuple[float, float] = (0.1, 0.3)
    signal_to_noise_decibels: tuple[float, float] = (15.0, 40.0)

    def __post_init__(self) -> None:
        most_voices = len(VARIANTS) * len(ACCENTS)
        fewest, most = self.words_per_utterance
        _expect(self.num_hours > 0, "`num_hours` must be positive", self.num_hours)
        _expect(3 <= self.num_voices <= most_voices, f"`num_voices` must be 3 to {most_voices}", self.num_voices)
        _expect(len(self.words) > 0, "`words` must not be empty", self.words)
        _expect(len(set(self.words)) == len(self.words), "`words` must not repeat a word", self.words)
        for word in self.words:
            spelled_plainly = word.isascii() and word.isalpha() and word.islower()
            _expect(spelled_plainly, "each of `words` must be made of lower-case letters a to z", word)
        _expect(1 <= fewest <= most, "`words_per_utterance` must be (fewest, most)", self.words_per_utterance)
        _expect(0 <= self.single_word_share <= 1, "`single_word_share` must be 0 to 1", self.single_word_share)
        _expect(self.evaluation_share > 0, "`evaluation_share` must be positive", self.evaluation_share)
        _expect(self.seed >= 0, "`seed` must not be negative", self.seed)
        _expect(self.sampling_rate >= 8000, "`sampling_rate` must be at least 8000 hertz", self.sampling_rate)
        shortest, longest = self.silence_seconds
        _expect(0 <= shortest <= longest, "`silence_seconds` must be (shortest, longest)", self.silence_seconds)
        low, high = self.signal_to_noise_decibels
        _expect(0 <= low <= high, "`signal_to_noise_decibels` must be (low, high)", self.signal_to_noise_decibels)


@dataclass(frozen=True)
class Voice:
    """A speaker: eSpeak NG's accent and variant (`name`, for example `en-us+f3`) and the habits of speaking."""

    name: str
    rate: int
    pitch: int
    pitch_range: int


@dataclass(frozen=True)
class Clip:
    """One recording of the corpus: a row of `metadata.csv` with the path made absolute or relative to the caller.

    `word` is the only word of a single-word clip and the first word of the others; `duration` is in seconds.
    """

    path: Path
    transcription: str
    word: str
    voice: str
    duration: float

    @property
    def is_single_word(self) -> bool:
        """Whether the clip says one word only."""
        return " " not in self.transcription


def synthesise_corpus(folder: str | Path, config: CorpusConfig | None = None) -> Path:
    """Writes a spoken corpus in the `audiofolder` layout.

    `folder/<split>/metadata.csv` has the columns `file_name`, `transcription`, `word`, `voice` and `duration`
    (seconds); the recordings lie beside it as 16-bit mono FLAC. The splits are `train`, `validation` and `test`,
    which share no voice, and `test_seen_voices`, new utterances of the voices of `train` (for classifying voices).
    Every voice of a split speaks at least once in it. `folder/corpus.json`, written last, records the configuration.

    Args:
        folder (`str` or `Path`): Where to write; created if needed.
        config (`CorpusConfig`, *optional*): What to synthesise. The default is about an hour and a half.

    Returns:
        `Path`: `folder`. If it already holds this very corpus, nothing is done.

    Raises:
        FileExistsError: `folder` holds something else, another corpus, or one whose synthesis was interrupted.
        ImportError: `espeakng-loader` is not installed.
        EspeakError: eSpeak NG failed.
    """
    folder = Path(folder)
    config = config or CorpusConfig()
    description = json.dumps(asdict(config), indent=2) + "\n"
    if _already_synthesised(folder, description):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    voices = draw_voices(config)
    with EspeakProcess() as espeak:
        for split in SPLITS:
            _write_split(folder / split, split, voices[split], config, espeak)
    (folder / "corpus.json").write_text(description, encoding="utf-8")
    return folder


def read_split(folder: str | Path, split: str) -> list[Clip]:
    """Reads the clips of one split of a corpus that `synthesise_corpus` wrote.

    Raises:
        FileNotFoundError: There is no `metadata.csv` for that split.
    """
    split_folder = Path(folder) / split
    if not (split_folder / "metadata.csv").is_file():
        raise FileNotFoundError(f"Expected {split_folder / 'metadata.csv'}. The splits of a corpus are {SPLITS}.")
    with open(split_folder / "metadata.csv", newline="", encoding="utf-8") as file:
        return [
            Clip(
                split_folder / row["file_name"],
                row["transcription"],
                row["word"],
                row["voice"],
                float(row["duration"]),
            )
            for row in csv.DictReader(file)
        ]


def draw_voices(config: CorpusConfig) -> dict[str, list[Voice]]:
    """Draws the voices of every split; `test_seen_voices` has those of `train`, the others share none."""
    generator = np.random.default_rng([config.seed, len(SPLITS)])
    names: list[str] = []
    while len(names) < config.num_voices:
        # Each round gives every variant a new accent, so a name never comes twice.
        shift = len(names) // len(VARIANTS)
        accents = [ACCENTS[(index + shift) % len(ACCENTS)] for index in range(len(VARIANTS))]
        names += [f"{accents[index]}+{VARIANTS[index]}" for index in generator.permutation(len(VARIANTS))]
    voices = [
        Voice(name, *(int(generator.integers(low, high)) for low, high in ((125, 186), (25, 76), (25, 76))))
        for name in names[: config.num_voices]
    ]
    num_test = max(1, round(0.2 * config.num_voices))
    num_held_out = num_test + max(1, round(0.1 * config.num_voices))
    seen = voices[num_held_out:]
    return dict(zip(SPLITS, (seen, voices[num_test:num_held_out], voices[:num_test], seen), strict=True))


def _expect(condition: bool, expectation: str, value: object) -> None:
    if not condition:
        raise ValueError(f"{expectation}, got {value!r}.")


def _already_synthesised(folder: Path, description: str) -> bool:
    if not folder.exists() or not any(folder.iterdir()):
        return False
    record = folder / "corpus.json"
    if not record.is_file():
        raise FileExistsError(
            f"{folder} is not empty and holds no complete corpus (an earlier synthesis may have been interrupted). "
            "Delete it or choose another folder."
        )
    if record.read_text(encoding="utf-8") != description:
        raise FileExistsError(
            f"{folder} holds a corpus with another configuration, see {record}. Delete it or choose another folder."
        )
    return True


def _write_split(folder: Path, split: str, voices: list[Voice], config: CorpusConfig, espeak: EspeakProcess) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    share = 1.0 if split == "train" else config.evaluation_share
    seconds_left = 3600 * config.num_hours * share
    rows = []
    for index, voice, generator in _turns(split, voices, config):
        words = _draw_words(config, generator)
        recording = _record(_jitter(voice, " ".join(words), generator), config, generator, espeak)
        file_name = f"{index:06d}.flac"
        soundfile.write(folder / file_name, recording, config.sampling_rate, subtype="PCM_16")
        duration = len(recording) / config.sampling_rate
        rows.append((file_name, " ".join(words), words[0], voice.name, f"{duration:.4f}"))
        seconds_left -= duration
        if seconds_left <= 0 and len(rows) >= len(voices):
            break
    with open(folder / "metadata.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([METADATA_COLUMNS, *rows])


def _turns(split: str, voices: list[Voice], config: CorpusConfig) -> Iterator[tuple[int, Voice, np.random.Generator]]:
    """Lets the voices speak in turn, each utterance with a random generator of its own."""
    for index in count():
        yield index, voices[index % len(voices)], np.random.default_rng([config.seed, SPLITS.index(split), index])


def _draw_words(config: CorpusConfig, generator: np.random.Generator) -> list[str]:
    fewest, most = config.words_per_utterance
    single = generator.random() < config.single_word_share
    num_words = 1 if single else int(generator.integers(fewest, most + 1))
    return [config.words[index] for index in generator.integers(len(config.words), size=num_words)]


def _jitter(voice: Voice, text: str, generator: np.random.Generator) -> SpeechRequest:
    """Nobody says a thing twice alike: rate and pitch move a little from one utterance to the next."""
    return SpeechRequest(
        text=text,
        voice=voice.name,
        rate=voice.rate + int(generator.integers(-12, 13)),
        pitch=voice.pitch + int(generator.integers(-5, 6)),
        pitch_range=voice.pitch_range + int(generator.integers(-10, 11)),
    )


def _record(
    request: SpeechRequest, config: CorpusConfig, generator: np.random.Generator, espeak: EspeakProcess
) -> np.ndarray:
    """Speaks the request and sends it through a channel drawn for it.

    Returns:
        `np.ndarray` of shape `(num_samples,)`, int16, at `config.sampling_rate`.
    """
    pcm = np.frombuffer(espeak.synthesize(request), dtype=np.int16)
    speech = soxr.resample(pcm.astype(np.float32) / 32768, espeak.sampling_rate, config.sampling_rate)
    silences = (config.sampling_rate * generator.uniform(*config.silence_seconds, size=2)).astype(int)
    padded = _tilt(np.pad(speech, tuple(silences)), generator.uniform(-0.4, 0.4))
    noise = _tilt(generator.standard_normal(len(padded), dtype=np.float32), generator.uniform(-0.9, 0.9))
    ratio = 10 ** (-generator.uniform(*config.signal_to_noise_decibels) / 20)
    noise_scale = ratio * np.sqrt(np.mean(padded**2) / np.mean(noise**2))
    noisy = padded + noise_scale * noise
    peak = 10 ** (generator.uniform(-18, -1) / 20)  # level of the loudest sample, -18 to -1 dB of full scale
    return np.round(32767 * peak / np.abs(noisy).max() * noisy).astype(np.int16)


def _tilt(signal: np.ndarray, coefficient: float) -> np.ndarray:
    """Tilts the spectrum by a filter with one zero: down towards high frequencies if `coefficient` is positive."""
    tilted = signal.copy()
    tilted[1:] += np.float32(coefficient) * signal[:-1]
    return tilted
