# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What the model of a run makes of data that it is given, by the kind of model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .markup import element
from .run_folder import Run
from .section import Section

_SPEECH = ("data2vec2-audio", "data2vec-audio", "data2vec-aqc", "best-rq")
_IMAGES = ("data2vec2-vision", "data2vec-vision")
_TEXTS = ("data2vec2-text", "data2vec-text")


@dataclass(frozen=True)
class SampleSource:
    """Where a sample comes from.

    Attributes:
        data: Files, folders or data sets, as training scripts take them.
        split: Of a source that has several; `None` for what was not trained on, where it can be told.
        index: Which item, counted from 0.
        text_column: With transcripts or texts; of transcripts `transcription` and of texts `text` if absent.
        image_column: With images, in parquet files and data sets.
    """

    data: Sequence[str]
    split: str | None = None
    index: int = 0
    text_column: str | None = None
    image_column: str = "image"

    @property
    def split_name(self) -> str:
        """The split that is taken: of folders the first of validation, test and train that one of them has."""
        if self.split is not None:
            return self.split
        folders = [Path(source) for source in self.data if Path(source).is_dir()]
        names = ("validation", "test", "train")
        found = [name for name in names if any((folder / name).is_dir() for folder in folders)]
        return (found or ["train" if folders else "validation"])[0]


def sample_sections(run: Run, source: SampleSource) -> list[Section]:
    """What the model makes of a sample; of a kind of model that there is no view of, a section that says so.

    Raises:
        ValueError: The data or the model cannot be used; says why.
    """
    # Each view imports what it needs: most pages have none, and are written at the end of every run.
    architectures = run.config.get("architectures")
    architecture = str(architectures[0]) if isinstance(architectures, list) and architectures else ""
    model_type = run.config.get("model_type")
    if architecture.endswith("ForCTC"):
        from .recognition_sample import recognition_section

        return [recognition_section(run, source)]
    if architecture.endswith("ForPreTraining") and model_type in _SPEECH:
        from .speech_sample import speech_section

        return [speech_section(run, source)]
    if architecture.endswith("ForPreTraining") and model_type in _IMAGES:
        from .image_sample import image_section

        return [image_section(run, source)]
    if architecture.endswith("ForPreTraining") and model_type in _TEXTS:
        from .text_sample import text_section

        return [text_section(run, source)]
    name = architecture or f"models of type {model_type}"
    return [Section("A sample", element("p", f"There is no view of what {name} makes of a sample."))]


def check_index(index: int, count: int) -> None:
    """
    Raises:
        ValueError: There is no such item.
    """
    if not 0 <= index < count:
        raise ValueError(f"--sample {index}: the data have {count} item(s), counted from 0.")
