# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Our folders -> checkpoints of the fairseq toolkit."""

import json
import os
from pathlib import Path
from typing import Any

import torch

from ..shared_files import written_whole
from .fairseq_dictionary import FairseqDictionary, write_dictionary
from .image_to_fairseq import image_classification_state, image_pretraining_state
from .record import read_record
from .speech_to_fairseq import (
    data2vec2_ctc_state,
    data2vec2_pretraining_state,
    data2vec_aqc_ctc_state,
    data2vec_aqc_pretraining_state,
    data2vec_ctc_state,
    data2vec_pretraining_state,
    folder_dictionary,
)
from .text_to_fairseq import data2vec_text_state, text_classification_state, text_pretraining_state


def convert_to_fairseq(folder: str | os.PathLike, path: str | os.PathLike) -> Path:
    """Writes a checkpoint that fairseq loads, out of a folder of data2vec or data2vec-aqc for speech, or of data2vec
    2.0: of pre-training for speech, images or text, of recognition of speech (CTC), or of classification of images or
    texts; or out of a folder of pre-training with data2vec for text.

    Weights have the original's names, shapes and values. A folder that was converted from a checkpoint gives back its
    weights bit for bit (in the data types they had there, as long as these hold the values) and its `cfg`; what has
    been changed in the folder's configuration since is changed in `cfg`.

    What differs from a checkpoint that the original toolkit writes:
        - `task_state` has no dictionary object: there is nothing but tensors and plain data in the file. For a
          fine-tuned model `dict.ltr.txt` is written beside it; have fairseq's `data` point to that folder.
        - The optimizer's state, and entries of a converted file that are no plain data, are missing
          (`last_optimizer_state: None`); the card of a converted folder names them.
        - Tokens of text are not in a checkpoint: fairseq finds `dict.txt`, `encoder.json` and `vocab.bpe` elsewhere.
        - A fine-tuned data2vec-aqc has zeros for the weights of its pre-training, which the original wants and never
          reads; our folders do not have them.
        - data2vec's encoder of text has no types of tokens there: their embedding is added to those of the positions.
        - The ALiBi scale of the oldest checkpoints, with four dimensions, comes back with five.
        - For a model that was trained here, `cfg` has the sections `common`, `model`, `task` and `criterion` only. Of
          `model`, options that our configuration does not have are at the original's defaults; other modalities are
          left out of its `modalities`; and `conv_pos_width` is the kernel size times the depth.

    Args:
        folder: As written by `save_pretrained`; for speech with its preprocessor and, for CTC, its tokenizer.
        path: File to write, all at once or not at all; it must not exist.

    Returns:
        The file.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: `path` exists, or the folder is of another kind, is incomplete, or uses what the original does not
            have.
    """
    folder, path = Path(folder), Path(path)
    if path.exists():
        raise ValueError(f"{os.fspath(path)!r} exists already; name a file that does not.")
    record, dictionary = read_record(folder), None
    match _architecture(folder):
        case "Data2Vec2AudioForPreTraining":
            state = data2vec2_pretraining_state(folder, record)
        case "Data2Vec2AudioForCTC":
            state, dictionary = data2vec2_ctc_state(folder, record), folder_dictionary(folder, record)
        case "Data2VecAudioForPreTraining":
            state = data2vec_pretraining_state(folder, record)
        case "Data2VecAudioForCTC":
            state, dictionary = data2vec_ctc_state(folder, record), folder_dictionary(folder, record)
        case "Data2VecAqcForPreTraining":
            state = data2vec_aqc_pretraining_state(folder, record)
        case "Data2VecAqcForCTC":
            state, dictionary = data2vec_aqc_ctc_state(folder, record), folder_dictionary(folder, record)
        case "Data2Vec2VisionForPreTraining":
            state = image_pretraining_state(folder, record)
        case "Data2Vec2VisionForImageClassification":
            state = image_classification_state(folder, record)
        case "Data2Vec2TextForPreTraining":
            state = text_pretraining_state(folder, record)
        case "Data2VecTextForPreTraining":
            state = data2vec_text_state(folder, record)
        case "Data2Vec2TextForSequenceClassification":
            state = text_classification_state(folder, record)
        case architecture:
            raise ValueError(
                f"{os.fspath(folder)!r} holds {architecture}. What the originals have is data2vec and data2vec-aqc "
                "for speech, data2vec for text, and data2vec 2.0 for speech, images and text: folders of "
                "Data2VecAudioForPreTraining, Data2VecTextForPreTraining, "
                "Data2VecAudioForCTC, Data2VecAqcForPreTraining, Data2VecAqcForCTC, Data2Vec2AudioForPreTraining, "
                "Data2Vec2AudioForCTC, Data2Vec2VisionForPreTraining, Data2Vec2VisionForImageClassification, "
                "Data2Vec2TextForPreTraining and Data2Vec2TextForSequenceClassification."
            )
    _write(state, dictionary, path)
    return path


def _architecture(folder: Path) -> str:
    config_file = folder / "config.json"
    if not config_file.is_file():
        raise FileNotFoundError(f"There is no config.json in {os.fspath(folder)!r}: expected a folder of a model.")
    architectures = json.loads(config_file.read_text(encoding="utf-8")).get("architectures") or ["no model"]
    return architectures[0]


def _write(state: dict[str, Any], dictionary: FairseqDictionary | None, path: Path) -> None:
    """The checkpoint, and the dictionary beside it, where fairseq looks for it under this name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if dictionary is not None:
        _write_dictionary(dictionary, path.with_name(f"dict.{state['cfg']['task'].get('labels') or 'ltr'}.txt"))
    with written_whole(path) as beside, open(beside, "xb") as stream:
        torch.save(state, stream)


def _write_dictionary(dictionary: FairseqDictionary, path: Path) -> None:
    if path.exists():
        raise ValueError(
            f"{os.fspath(path)!r}, which has to lie beside the checkpoint, exists already; choose another folder."
        )
    write_dictionary(dictionary, path)
