# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Original checkpoints -> folders that `from_pretrained` loads, and back."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2Processor
from transformers.utils import logging

from ..models.modeling_data2vec2_vision import Data2Vec2VisionForImageClassification
from ..weights import file_sha256
from .best_rq import convert_best_rq, convert_to_speechbrain, load_speechbrain_checkpoint
from .best_rq_card import make_best_rq_card
from .card import CardFacts, CardUse, make_card
from .data2vec2_audio import Conversion, convert_data2vec2_audio_ctc, convert_data2vec2_audio_pretraining
from .data2vec2_text import (
    TextConversion,
    Vocabulary,
    convert_data2vec2_text_classifier,
    convert_data2vec2_text_pretraining,
)
from .data2vec2_text_card import make_text_card
from .data2vec2_vision import convert_data2vec2_vision_classifier, convert_data2vec2_vision_pretraining
from .data2vec_aqc import convert_data2vec_aqc_ctc, convert_data2vec_aqc_pretraining
from .data2vec_audio import convert_data2vec_audio_ctc, convert_data2vec_audio_pretraining
from .data2vec_text import convert_data2vec_text_pretraining
from .fairseq_checkpoint import FairseqCheckpoint, load_fairseq_checkpoint
from .fairseq_dictionary import read_dictionary
from .options import section
from .record import make_record, write_record
from .roberta_tokenizer import read_byte_pair_encoding
from .safe_loading import UnsafeCheckpointError
from .to_fairseq import convert_to_fairseq

__all__ = [
    "UnsafeCheckpointError",
    "convert_checkpoint",
    "convert_to_fairseq",
    "convert_to_speechbrain",
    "load_fairseq_checkpoint",
    "load_speechbrain_checkpoint",
]

logger = logging.get_logger(__name__)

# What makes a folder of each.
_TEXT_MODELS = {
    "data2vec_multi (TEXT)": convert_data2vec2_text_pretraining,
    "data2vec_text_classification of data2vec_multi": convert_data2vec2_text_classifier,
    "data2vec_text": convert_data2vec_text_pretraining,
}


def convert_checkpoint(
    path: str | os.PathLike,
    out_dir: str | os.PathLike,
    *,
    dictionary: str | os.PathLike | None = None,
    byte_pair_encoding: str | os.PathLike | None = None,
    license: str = "unknown",
) -> Path:
    """Converts an original checkpoint to a folder with configuration, weights, preprocessor, tokenizer and card. What
    the file holds decides which conversion it is.

    Args:
        path: A fairseq checkpoint of data2vec or data2vec-aqc for speech, or of data2vec 2.0 for speech, images or
            text: pre-training (student and teacher) or fine-tuned (CTC; `mae_image_classification`;
            `data2vec_text_classification`); of data2vec for text: pre-training; or a checkpoint folder of
            SpeechBrain's BEST-RQ recipe.
        out_dir: Folder to write; created if it does not exist.
        dictionary: fairseq's `dict.ltr.txt`, for a fine-tuned checkpoint of speech that has no symbols of its own; for
            text `dict.txt`, together with `byte_pair_encoding`.
        byte_pair_encoding: For text, a folder with GPT-2's `encoder.json` and `vocab.bpe`, to make the tokenizer of.
        license: Identifier of the licence for the card. Checkpoints do not say.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: There is nothing at `path` or `dictionary`, or a folder lacks a file.
        UnsafeCheckpointError: The file contains objects other than tensors and plain containers.
        ValueError: The file is no such checkpoint, or has weights or options that have no counterpart here; all
            of them are listed.
    """
    out_dir = Path(out_dir)
    if out_dir.exists() and not out_dir.is_dir():
        raise ValueError(f"{os.fspath(out_dir)!r} is a file; expected a folder to write.")
    if Path(path).is_dir():
        if dictionary is not None or byte_pair_encoding is not None:
            raise ValueError(f"{os.fspath(path)!r} is a pre-trained model, which has no use for a dictionary.")
        _convert_speechbrain(path, out_dir, license)
        return out_dir
    checkpoint = load_fairseq_checkpoint(path)
    if original_model(checkpoint) in _TEXT_MODELS:
        _convert_text(checkpoint, _vocabulary(dictionary, byte_pair_encoding), out_dir, license)
        return out_dir
    if byte_pair_encoding is not None:
        raise ValueError(f"{os.fspath(path)!r} is no model of text, which has no use for byte-pair encoding.")
    conversion = _convert(checkpoint, dictionary)
    for limit in conversion.limits:
        logger.warning(limit)
    _write_folder(conversion, checkpoint, out_dir, license)
    return out_dir


def _convert_speechbrain(path: str | os.PathLike, out_dir: Path, license: str) -> None:
    checkpoint = load_speechbrain_checkpoint(path)
    conversion = convert_best_rq(checkpoint)
    for limit in conversion.limits:
        logger.warning(limit)
    conversion.model.save_pretrained(out_dir)
    conversion.feature_extractor.save_pretrained(out_dir)
    make_best_rq_card(checkpoint, conversion, license).save(out_dir / "README.md")


def _vocabulary(
    dictionary: str | os.PathLike | None, byte_pair_encoding: str | os.PathLike | None
) -> Vocabulary | None:
    if dictionary is None and byte_pair_encoding is None:
        return None
    if dictionary is None or byte_pair_encoding is None:
        raise ValueError(
            "The tokenizer of a text model is made of fairseq's dict.txt and of GPT-2's encoder.json and vocab.bpe: "
            "give both the dictionary (`--dictionary FILE`) and the folder of the other two (`--bpe FOLDER`)."
        )
    return Vocabulary(read_dictionary(dictionary), read_byte_pair_encoding(byte_pair_encoding))


def _convert_text(checkpoint: FairseqCheckpoint, vocabulary: Vocabulary | None, out_dir: Path, license: str) -> None:
    conversion: TextConversion = _TEXT_MODELS[original_model(checkpoint)](checkpoint, vocabulary)
    for limit in conversion.limits:
        logger.warning(limit)
    conversion.model.save_pretrained(out_dir)
    if conversion.tokenizer is not None:
        conversion.tokenizer.save_pretrained(out_dir)
    record = make_record(checkpoint, None)
    write_record(record, out_dir)
    make_text_card(checkpoint, conversion, record, license).save(out_dir / "README.md")


def _convert(checkpoint: FairseqCheckpoint, dictionary: str | os.PathLike | None) -> Conversion:
    name = original_model(checkpoint)
    if dictionary is not None and not name.startswith("wav2vec_ctc"):
        kind = "classifier of images" if name.startswith("mae_image_classification") else "pre-trained model"
        raise ValueError(f"{checkpoint.path!r} is a {kind}, which has no use for a dictionary.")
    symbols = None if dictionary is None else read_dictionary(dictionary)
    match name:
        case "data2vec_multi (AUDIO)":
            return convert_data2vec2_audio_pretraining(checkpoint)
        case "wav2vec_ctc of data2vec_multi":
            return convert_data2vec2_audio_ctc(checkpoint, symbols)
        case "data2vec_multi (IMAGE)":
            return convert_data2vec2_vision_pretraining(checkpoint)
        case "mae_image_classification of data2vec_multi":
            return convert_data2vec2_vision_classifier(checkpoint)
        case "data2vec_audio":
            return convert_data2vec_audio_pretraining(checkpoint)
        case "wav2vec_ctc of data2vec_audio":
            return convert_data2vec_audio_ctc(checkpoint, symbols)
        case "data2vec-aqc":
            return convert_data2vec_aqc_pretraining(checkpoint)
        case "wav2vec_ctc of data2vec-aqc":
            return convert_data2vec_aqc_ctc(checkpoint, symbols)
    raise ValueError(
        f"{checkpoint.path!r} holds the model {name}. What can be converted so far is data2vec and data2vec-aqc for "
        "speech, data2vec for text, and data2vec 2.0 for speech, images and text: `data2vec_audio`, "
        "`data2vec_text`, `data2vec_multi` with "
        "`supported_modality` AUDIO, IMAGE or TEXT, `wav2vec_ctc` of them, `mae_image_classification` and "
        "`data2vec_text_classification`."
    )


def original_model(checkpoint: FairseqCheckpoint) -> str:
    """What the checkpoint says it is: the model's name, with its modality or with the name of what it was made of."""
    model = section(checkpoint.config, "model")
    name = model.get("_name")
    if name is None and "modalities" in model:
        name = "data2vec_multi"
    if name == "data2vec_multi":
        modality = str(model.get("supported_modality") or "any modality").rpartition(".")[2]
        return f"{name} ({modality.upper()})"
    for options in ("w2v_args", "pretrained_model_args"):
        if options in model:
            student = section(section(model, options), "model")
            return f"{name} of {_name_of_student(student)}"
    return _name_of_student(model)


def _name_of_student(model: Mapping[str, Any]) -> str:
    """data2vec-aqc, a fork, has data2vec's name, and some files have none; their options tell."""
    if "cluster_factor" in model:
        return "data2vec-aqc"
    return str(model.get("_name") or ("data2vec_multi" if "modalities" in model else None))


def _write_folder(conversion: Conversion, checkpoint: FairseqCheckpoint, out_dir: Path, license: str) -> None:
    conversion.model.save_pretrained(out_dir)
    if conversion.tokenizer is None:
        conversion.preprocessor.save_pretrained(out_dir)
    else:
        processor = Wav2Vec2Processor(feature_extractor=conversion.preprocessor, tokenizer=conversion.tokenizer)
        processor.save_pretrained(out_dir)
    record = make_record(checkpoint, conversion.dictionary)
    write_record(record, out_dir)
    not_kept = [f"Not kept of the original file: {', '.join(map(repr, record.left_out))}."] if record.left_out else []
    model_type = conversion.model.config.model_type
    facts = CardFacts(
        model_class=type(conversion.model).__name__,
        use=_use(conversion),
        license=license,
        file_name=Path(checkpoint.path).name,
        sha256=file_sha256(checkpoint.path),
        num_updates=checkpoint.num_updates,
        limits=[*conversion.limits, *not_kept],
        is_transformers_own=model_type == "data2vec-audio",
        family=model_type.removesuffix("-audio").removesuffix("-vision"),
    )
    make_card(facts).save(out_dir / "README.md")


def _use(conversion: Conversion) -> CardUse:
    """How the card says the folder is opened."""
    preprocessor = conversion.preprocessor
    if isinstance(preprocessor, Wav2Vec2FeatureExtractor):
        rate = preprocessor.sampling_rate
        if conversion.tokenizer is not None:
            return CardUse("AutoModelForCTC", "AutoProcessor", "automatic-speech-recognition", "speech", rate)
        return CardUse("AutoModelForPreTraining", "AutoFeatureExtractor", None, "speech", rate)
    if isinstance(conversion.model, Data2Vec2VisionForImageClassification):
        return CardUse("AutoModelForImageClassification", "AutoImageProcessor", "image-classification", "vision", None)
    return CardUse("AutoModelForPreTraining", "AutoImageProcessor", None, "vision", None)
