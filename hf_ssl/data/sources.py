# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""From what a person names on the command line (folders, manifests, Hub data sets) to a `datasets` table of clips."""

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeAlias

import datasets
from tqdm.auto import tqdm

from .audio import AUDIO_EXTENSIONS, AudioInfo, AudioReadError, audio_info
from .manifests import MANIFEST_EXTENSIONS, ListedRecording, is_blank, list_folder, list_manifest
from .skipped import SkippedFiles
from .windows import ClipLimits

logger = logging.getLogger(__name__)

_NUM_THREADS = 16
_SCAN_CHUNK = 4096
_PROGRESS_BAR_FROM = 2000

AudioTable: TypeAlias = "datasets.Dataset | datasets.IterableDataset"


def load_audio_sources(
    sources: Sequence[str],
    *,
    min_seconds: float | None,
    max_seconds: float | None,
    skipped: SkippedFiles,
    split: str = "train",
    streaming: bool = False,
    columns: Sequence[str] = (),
    sampling_rate: int | None = None,
) -> AudioTable:
    """Lists the clips of one or more sources. Headers are read, audio is not decoded.

    A source is one of:

    - a folder with wav, flac, ogg, opus or mp3 files at any depth. With a `metadata.csv` (or `.jsonl`), directly or in
      the subfolder of the split, whose `file_name` is relative to it: the files it lists, with its columns. With a
      subfolder of the split's name: that subfolder;
    - a .tsv, .csv, .jsonl or .json manifest with an audio column `path`, `file_name`, `audio` or `audio_filepath`,
      relative to the manifest; fairseq's .tsv (root folder in the first line) too;
    - a single audio file;
    - a .parquet file, a folder of parquet files, or a data set on the Hub (`name` or `name:config`), with a column
      `audio`.

    Unusable recordings (unreadable, empty, shorter than `min_seconds`) go to `skipped`. Recordings longer than
    `max_seconds` are cut into equal windows, a row each; with `columns` they go to `skipped` instead, because a label
    or a transcript speaks of the whole recording.

    Args:
        sources (`Sequence[str]`): At least one source; they are concatenated.
        min_seconds (`float`, *optional*): Shortest recording to use.
        max_seconds (`float`, *optional*): Longest clip.
        skipped (`SkippedFiles`): Takes the recordings that are left out.
        split (`str`): Which split, where a source has several.
        streaming (`bool`): Whether parquet and Hub data sets are streamed instead of downloaded and indexed. Streamed
            clips are checked and cut while they are read, by `StreamedAudioDataset`.
        columns (`Sequence[str]`): Further columns to keep, such as `transcription` or `label`; each source must have
            them. Clips without a value go to `skipped`.
        sampling_rate (`int`, *optional*): The rate that clips will be read at; only for the notice that says how many
            recordings will be resampled.

    Returns:
        `datasets.Dataset` with the columns `path` (str; or `audio`, a struct of bytes and path, for parquet and Hub
        data), `start` and `duration` (float, seconds) and `columns`. Streamed: `datasets.IterableDataset` with
        `audio` and `columns`.

    Raises:
        ValueError: If a source does not exist, has no audio, or lacks a column; if nothing usable is left.
    """
    if isinstance(sources, str) or not sources:
        raise ValueError(f"expected a list of at least one folder, manifest or Hub data set, got {sources!r}")
    limits = ClipLimits(min_seconds, max_seconds, cut_long=not columns)
    limits.check()
    scan = _Scan(limits, skipped, tuple(columns))
    listed: list[ListedRecording] = []
    tables: list[AudioTable] = []
    for source in sources:
        recordings = _list_local(source, split=split, columns=columns, skipped=skipped)
        if recordings is not None:
            listed.extend(recordings)
        else:
            table = _load_table(source, split=split, streaming=streaming, columns=columns)
            tables.append(scan.map_style(table, source) if isinstance(table, datasets.Dataset) else table)
    if listed:
        tables.insert(0, scan.local(listed))
    scan.log_formats(sampling_rate)
    _warn_of_few(tables, skipped)
    return _combine([table for table in tables if not _is_empty(table)], sources, skipped)


def _warn_of_few(tables: Sequence[AudioTable], skipped: SkippedFiles) -> None:
    """Says at once what would otherwise be read at the end of a run: that it knows less than half of the data."""
    num_clips = sum(len(table) for table in tables if isinstance(table, datasets.Dataset))
    if 0 < num_clips < skipped.count:
        logger.warning(f"Only {num_clips} clip(s) are used: {skipped.summary()}.")


class _Scan:
    """Reads headers, decides which recordings become which clips, and remembers their formats."""

    def __init__(self, limits: ClipLimits, skipped: SkippedFiles, columns: tuple[str, ...]) -> None:
        self.limits = limits
        self.skipped = skipped
        self.columns = columns
        self.formats: Counter[tuple[int, int]] = Counter()

    def local(self, listed: list[ListedRecording]) -> datasets.Dataset:
        """The table of local files: `path`, `start`, `duration` and the columns asked for."""
        rows: dict[str, list[Any]] = {"path": [], "start": [], "duration": [], **{name: [] for name in self.columns}}
        infos = _in_threads(lambda recording: _try_audio_info(recording.path), listed, "Reading audio headers")
        for recording, info in zip(listed, infos, strict=True):
            for start, duration in self.clips(_name(recording), info, recording.start, recording.duration):
                rows["path"].append(recording.path)
                rows["start"].append(start)
                rows["duration"].append(duration)
                for name in self.columns:
                    rows[name].append(recording.values[name])
        try:
            return datasets.Dataset.from_dict(rows)
        except (ValueError, TypeError) as error:  # pyarrow's errors are among these
            raise ValueError(
                f"the columns {list(self.columns)} hold values of different types in different sources: {error}"
            ) from error

    def map_style(self, table: datasets.Dataset, source: str) -> datasets.Dataset:
        """Adds `start` and `duration` to a table with audio in it; a row per clip, no bytes are copied."""
        audio = (row["audio"] for row in table.select_columns(["audio"]))
        infos = _in_threads(_try_embedded_info, audio, "Reading audio headers", len(table))
        names = []
        clips = []
        for index, (path, info) in enumerate(infos):
            names.append(f"{source} row {index} ({path})" if path else f"{source} row {index}")
            clips.append(self.clips(names[-1], info))
        for index, row in enumerate(table.remove_columns("audio")) if self.columns else ():
            missing = [name for name in self.columns if is_blank(row[name])]
            if missing and clips[index]:
                self.skipped.add(names[index], f"no {missing[0]}: the data set has no value")
                clips[index] = []
        return _with_clips(table, clips)

    def clips(
        self, name: str, info: AudioInfo | AudioReadError, start: float = 0.0, duration: float | None = None
    ) -> list[tuple[float, float]]:
        """Start and duration in seconds of the clips of a recording, none if it goes to `skipped`."""
        if isinstance(info, AudioReadError):
            self.skipped.add(name, info.reason)
            return []
        first_sample = round(start * info.sampling_rate)
        num_samples = info.num_samples - first_sample
        if duration is not None:
            num_samples = min(num_samples, round(duration * info.sampling_rate))
        if num_samples < 1:
            seconds = info.num_samples / info.sampling_rate
            self.skipped.add(name, f"past the end: starts at {start:.3f} s, the recording has {seconds:.3f} s")
            return []
        reason = self.limits.reason_to_skip(num_samples, info.sampling_rate)
        if reason is not None:
            self.skipped.add(name, reason)
            return []
        self.formats[info.sampling_rate, info.num_channels] += 1
        windows = self.limits.windows(num_samples, info.sampling_rate)
        return [(first_sample / info.sampling_rate + begin, length) for begin, length in windows]

    def log_formats(self, sampling_rate: int | None) -> None:
        """One notice for the whole run about what reading will resample and mix."""
        rates: Counter[int] = Counter()
        channels: Counter[int] = Counter()
        for (rate, num_channels), count in self.formats.items():
            rates[rate] += count
            channels[num_channels] += count
        notices = []
        if len(rates) > 1 or (sampling_rate is not None and set(rates) - {sampling_rate}):
            target = "the model's rate" if sampling_rate is None else f"{sampling_rate} Hz"
            counts = ", ".join(f"{rates[rate]} at {rate} Hz" for rate in sorted(rates))
            notices.append(f"resampled to {target} while reading ({counts})")
        if set(channels) - {1}:
            counts = ", ".join(f"{channels[number]} with {number}" for number in sorted(channels))
            notices.append(f"mixed to one channel ({counts})")
        if notices:
            logger.warning(f"Recordings are {' and '.join(notices)}.")


def audio_source(value: dict[str, Any] | None) -> str | bytes | None:
    """The bytes, or else the path, in a value of an undecoded `datasets.Audio` column."""
    if value is None:
        return None
    return value["path"] if value["bytes"] is None else value["bytes"]


def _list_local(
    source: str, *, split: str, columns: Sequence[str], skipped: SkippedFiles
) -> list[ListedRecording] | None:
    """The recordings of a local source; `None` if it is parquet or a name on the Hub."""
    path = os.path.expanduser(source)
    if os.path.isdir(path):
        recordings = list_folder(path, split=split, columns=columns, skipped=skipped)
        if recordings is None and not _has_parquet(path):
            raise ValueError(
                f"no audio below the folder {source}: looked for {', '.join(AUDIO_EXTENSIONS)}, for metadata.csv and "
                "metadata.jsonl, and for parquet files"
            )
        return recordings
    extension = os.path.splitext(path)[1].lower()
    if os.path.isfile(path):
        return _list_file(path, extension, columns=columns, skipped=skipped)
    if extension in (*MANIFEST_EXTENSIONS, *AUDIO_EXTENSIONS, ".parquet") or path.startswith((os.sep, ".")):
        raise ValueError(f"{source} does not exist")
    return None


def _list_file(
    path: str, extension: str, *, columns: Sequence[str], skipped: SkippedFiles
) -> list[ListedRecording] | None:
    if extension in MANIFEST_EXTENSIONS:
        return list_manifest(path, columns=columns, skipped=skipped)
    if extension == ".parquet":
        return None
    if extension not in AUDIO_EXTENSIONS:
        known = ", ".join((*AUDIO_EXTENSIONS, *MANIFEST_EXTENSIONS, ".parquet"))
        raise ValueError(f"{path} is neither audio nor a manifest nor parquet; expected one of {known}")
    if columns:
        raise ValueError(f"columns {list(columns)} were asked for, but {path} is a single recording; give a manifest")
    return [ListedRecording(os.path.abspath(path), 0.0, None, {})]


def _has_parquet(folder: str) -> bool:
    return any(name.endswith(".parquet") for _, _, names in os.walk(folder) for name in names)


def _load_table(source: str, *, split: str, streaming: bool, columns: Sequence[str]) -> AudioTable:
    path = os.path.expanduser(source)
    try:
        if os.path.isfile(path):
            table = datasets.load_dataset("parquet", data_files=path, split="train", streaming=streaming)
        elif os.path.isdir(path):
            table = datasets.load_dataset(os.path.abspath(path), split=split, streaming=streaming)
        else:
            name, _, config = source.partition(":")
            table = datasets.load_dataset(name, config or None, split=split, streaming=streaming)
    except ImportError as error:  # datasets reads folders and tar shards of audio only with torchcodec
        raise ValueError(
            f"`datasets` cannot read {source} without torchcodec. Download it "
            f"(`hf download --repo-type dataset {source} --local-dir FOLDER`) and give the folder instead"
        ) from error
    except (ConnectionError, FileNotFoundError, ValueError) as error:
        raise ValueError(
            f"{source} is neither a file or folder here nor a data set with a split {split!r} that could be loaded: "
            f"{error}"
        ) from error
    return _keep_columns(table, source, columns)


def _keep_columns(table: AudioTable, source: str, columns: Sequence[str]) -> AudioTable:
    present = table.column_names or list(next(iter(table.decode(False))))
    for name in ("audio", *columns):
        if name not in present:
            raise ValueError(f"{source} has no column {name!r}; its columns are {present}")
    return table.select_columns(["audio", *columns]).cast_column("audio", datasets.Audio(decode=False))


def _with_clips(table: datasets.Dataset, clips: list[list[tuple[float, float]]]) -> datasets.Dataset:
    """A row per clip of each row, in order.

    `Dataset.select` may repeat rows without copying them, but a column added afterwards would copy all bytes of
    audio. So the columns are added to the whole table first, once for the n-th clips of all rows, and the selections
    of these tables are put in order.
    """
    parts: list[datasets.Dataset] = []
    positions: list[tuple[int, int]] = []
    for number in range(max(map(len, clips), default=0)):
        indices = [index for index, of_row in enumerate(clips) if len(of_row) > number]
        nth_clips = [of_row[number] if len(of_row) > number else (0.0, 0.0) for of_row in clips]
        part = table.add_column("start", [start for start, _ in nth_clips])
        part = part.add_column("duration", [duration for _, duration in nth_clips])
        parts.append(part.select(indices))
        positions.extend((index, number) for index in indices)
    if not parts:
        return table.select([])
    order = sorted(range(len(positions)), key=positions.__getitem__)
    return datasets.concatenate_datasets(parts).select(order)


def _combine(tables: list[AudioTable], sources: Sequence[str], skipped: SkippedFiles) -> AudioTable:
    if not tables:
        raise ValueError(f"nothing usable in {list(sources)}: {skipped.summary()}")
    if len(tables) == 1:
        return tables[0]
    try:
        if all(isinstance(table, datasets.Dataset) for table in tables):
            return datasets.concatenate_datasets(tables)
        # One after the other would give a shuffle buffer only one source at a time.
        streams = [
            table.to_iterable_dataset(num_shards=min(len(table), 64)) if isinstance(table, datasets.Dataset) else table
            for table in tables
        ]
        return datasets.interleave_datasets(streams, stopping_strategy="all_exhausted_without_replacement")
    except (ValueError, TypeError) as error:
        raise ValueError(f"the columns of {list(sources)} have different types: {error}") from error


def _is_empty(table: AudioTable) -> bool:
    return isinstance(table, datasets.Dataset) and len(table) == 0


def _name(recording: ListedRecording) -> str:
    """What `skipped` calls a recording; parts of one file are told apart."""
    if recording.start == 0.0 and recording.duration is None:
        return recording.path
    return f"{recording.path} from {recording.start:.3f} s"


def _try_audio_info(source: str | bytes) -> AudioInfo | AudioReadError:
    try:
        return audio_info(source)
    except AudioReadError as error:
        return error


def _try_embedded_info(value: dict[str, Any] | None) -> tuple[str | None, AudioInfo | AudioReadError]:
    """Path and header of a value of an undecoded `datasets.Audio` column."""
    source = audio_source(value)
    if value is None or source is None:
        return None, AudioReadError("", "empty: neither bytes nor a path")
    return value["path"], _try_audio_info(source)


def _in_threads(
    function: Callable[[Any], Any], items: Iterable[Any], description: str, total: int | None = None
) -> Iterator[Any]:
    """`map` over threads, in order, with a progress bar where it takes a while."""
    total = len(items) if isinstance(items, list) else total
    bar = tqdm(total=total, desc=description, unit="file", disable=(total or 0) <= _PROGRESS_BAR_FROM)
    iterator = iter(items)
    # In chunks: the executor's map would take all items (for parquet: their bytes) at once.
    with bar, ThreadPoolExecutor(_NUM_THREADS) as executor:
        while chunk := list(islice(iterator, _SCAN_CHUNK)):
            for result in executor.map(function, chunk):
                bar.update()
                yield result
