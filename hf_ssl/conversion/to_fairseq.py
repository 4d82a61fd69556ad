# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Our folders -> checkpoints of the fairseq toolkit."""

import copy
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    Data2VecAudioConfig,
    Data2VecAudioForCTC,
    PreTrainedModel,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
)
from transformers.utils import logging

from ..models.configuration_data2vec2 import Data2Vec2AudioConfig
from ..models.configuration_data2vec2_vision import Data2Vec2VisionConfig
from ..models.configuration_data2vec_aqc import Data2VecAqcConfig
from ..models.configuration_data2vec_pretraining import Data2VecAudioPreTrainingConfig
from ..models.modeling_data2vec2_audio import Data2Vec2AudioForCTC, Data2Vec2AudioForPreTraining
from ..models.modeling_data2vec2_vision import Data2Vec2VisionForImageClassification, Data2Vec2VisionForPreTraining
from ..models.modeling_data2vec_aqc import Data2VecAqcForCTC, Data2VecAqcForPreTraining
from ..models.modeling_data2vec_audio_pretraining import Data2VecAudioForPreTraining
from . import data2vec2_options, data2vec_aqc_options, data2vec_audio_options
from .data2vec2_vision_options import (
    different_image_behaviour,
    image_classifier_fields,
    image_classifier_options,
    image_pretraining_fields,
    image_pretraining_options,
    unsupported_image_fields,
)
from .data2vec2_vision_weights import original_image_classifier_weights, original_image_pretraining_weights
from .data2vec2_weights import original_ctc_weights, original_pretraining_weights
from .data2vec_aqc_weights import original_aqc_ctc_weights, original_aqc_pretraining_weights
from .data2vec_audio_weights import original_audio_ctc_weights, original_audio_pretraining_weights
from .fairseq_dictionary import FairseqDictionary, dictionary_of, write_dictionary
from .options import section
from .problems import Problems, one_line
from .record import RECORD_NAME, FairseqRecord, read_record

logger = logging.get_logger(__name__)

Model = TypeVar("Model", bound=PreTrainedModel)

_COMMON = {"_name": None, "seed": 1, "fp16": False}


def convert_to_fairseq(folder: str | os.PathLike, path: str | os.PathLike) -> Path:
    """Writes a checkpoint that fairseq loads, out of a pre-training or CTC folder of data2vec or data2vec 2.0 for
    speech, or a pre-training or classifier's folder of data2vec 2.0 for images.

    Weights have the original's names, shapes and values. A folder that was converted from a checkpoint gives back its
    weights bit for bit (in the data types they had there, as long as these hold the values) and its `cfg`; what has
    been changed in the folder's configuration since is changed in `cfg`.

    What differs from a checkpoint that the original toolkit writes:
        - `task_state` has no dictionary object: there is nothing but tensors and plain data in the file. For a
          fine-tuned model `dict.ltr.txt` is written beside it; have fairseq's `data` point to that folder.
        - The optimizer's state, and entries of a converted file that are no plain data, are missing
          (`last_optimizer_state: None`); the card of a converted folder names them.
        - A fine-tuned data2vec-aqc has zeros for the weights of its pre-training, which the original wants and never
          reads; our folders do not have them.
        - The ALiBi scale of the oldest checkpoints, with four dimensions, comes back with five.
        - For a model that was trained here, `cfg` has the sections `common`, `model`, `task` and `criterion` only. Of
          `model`, options that our configuration does not have are at the original's defaults; `image` and `text` are
          left out of its `modalities`; and `conv_pos_width` is the kernel size times the depth.

    Args:
        folder: As written by `save_pretrained`, with its preprocessor and, for CTC, its tokenizer.
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
    architecture = _architecture(folder)
    record = read_record(folder)
    dictionary = None
    match architecture:
        case "Data2Vec2AudioForPreTraining":
            _check_origin(record, "data2vec_multi")
            state = _data2vec2_pretraining_state(folder, record, _task(folder))
        case "Data2Vec2AudioForCTC":
            _check_origin(record, "wav2vec_ctc")
            state, dictionary = _data2vec2_ctc_state(folder, record, _task(folder)), _dictionary(folder, record)
        case "Data2VecAudioForPreTraining":
            _check_origin(record, "data2vec_audio")
            state = _data2vec_pretraining_state(folder, record, _task(folder))
        case "Data2VecAudioForCTC":
            _check_origin(record, "wav2vec_ctc")
            state, dictionary = _data2vec_ctc_state(folder, record, _task(folder)), _dictionary(folder, record)
        case "Data2VecAqcForPreTraining":
            _check_origin(record, "data2vec_audio")
            state = _data2vec_aqc_pretraining_state(folder, record, _task(folder))
        case "Data2VecAqcForCTC":
            _check_origin(record, "wav2vec_ctc")
            state, dictionary = _data2vec_aqc_ctc_state(folder, record, _task(folder)), _dictionary(folder, record)
        case "Data2Vec2VisionForPreTraining":
            _check_origin(record, "data2vec_multi")
            state = _image_pretraining_state(folder, record)
        case "Data2Vec2VisionForImageClassification":
            _check_origin(record, "mae_image_classification")
            state = _image_classifier_state(folder, record)
        case _:
            raise ValueError(
                f"{os.fspath(folder)!r} holds {architecture}. What the originals have is data2vec and data2vec-aqc "
                "for speech, and data2vec 2.0 for speech and images: folders of Data2VecAudioForPreTraining, "
                "Data2VecAudioForCTC, Data2VecAqcForPreTraining, Data2VecAqcForCTC, Data2Vec2AudioForPreTraining, "
                "Data2Vec2AudioForCTC, Data2Vec2VisionForPreTraining and Data2Vec2VisionForImageClassification."
            )
    _write(state, dictionary, path)
    return path


def _architecture(folder: Path) -> str:
    config_file = folder / "config.json"
    if not config_file.is_file():
        raise FileNotFoundError(f"There is no config.json in {os.fspath(folder)!r}: expected a folder of a model.")
    architectures = json.loads(config_file.read_text(encoding="utf-8")).get("architectures") or ["no model"]
    return architectures[0]


def _check_origin(record: FairseqRecord | None, name: str) -> None:
    """A folder may have been fine-tuned in place: what it remembers of the pre-trained original is no use then."""
    if record is not None and section(record.config, "model").get("_name", name) != name:
        raise ValueError(
            f"{RECORD_NAME} in the folder belongs to another kind of model, not to `{name}`. Delete it, and the "
            "checkpoint is made of the folder's configuration alone."
        )


def _load(model_class: type[Model], folder: Path) -> Model:
    """The folder's model; an incomplete folder is an error instead of getting random weights."""
    try:
        loaded: Any = model_class.from_pretrained(folder, output_loading_info=True, local_files_only=True)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"{os.fspath(folder)!r} cannot be loaded: {one_line(error)}") from None
    model, info = loaded
    missing, unexpected = sorted(info["missing_keys"]), sorted(info["unexpected_keys"])
    if missing or unexpected:
        raise ValueError(
            f"{os.fspath(folder)!r} does not hold the model of its config.json. Weights that are missing: "
            f"{missing or 'none'}; not known: {unexpected or 'none'}."
        )
    return model


def _check_fields(
    unsupported: Sequence[str], differences: Sequence[str], effect: str = "results on padded batches"
) -> None:
    if unsupported:
        raise ValueError(
            f"The original has no option for what this model's configuration says: {'; '.join(unsupported)}."
        )
    for difference in differences:
        logger.warning(f"The weights are the same, but {effect} will differ: {difference}.")


def _task(folder: Path) -> dict[str, Any]:
    try:
        feature_extractor = Wav2Vec2FeatureExtractor.from_pretrained(folder, local_files_only=True)
    except OSError as error:
        raise ValueError(f"There is no preprocessor in {os.fspath(folder)!r}: {one_line(error)}") from None
    return {
        "data": "",
        "sample_rate": feature_extractor.sampling_rate,
        "normalize": bool(feature_extractor.do_normalize),
    }


# data2vec 2.0


def _data2vec2_pretraining_state(folder: Path, record: FairseqRecord | None, task: dict[str, Any]) -> dict[str, Any]:
    model = _load(Data2Vec2AudioForPreTraining, folder)
    config = model.config
    _check_fields(data2vec2_options.unsupported_fields(config), data2vec2_options.different_behaviour(config))
    weights = original_pretraining_weights(model.state_dict(), config)
    before = None
    if record is not None:
        fields = _recorded(data2vec2_options.pretraining_fields, section(record.config, "model"))
        before = data2vec2_options.pretraining_options(Data2Vec2AudioConfig(**fields))
    num_updates = int(model.teacher.num_updates)
    return _pretraining_state(
        weights, num_updates, data2vec2_options.pretraining_options(config), before, record, task
    )


def _data2vec2_ctc_state(folder: Path, record: FairseqRecord | None, task: dict[str, Any]) -> dict[str, Any]:
    model = _load(Data2Vec2AudioForCTC, folder)
    config = model.config
    _check_fields(data2vec2_options.unsupported_fields(config), data2vec2_options.different_behaviour(config))
    weights = original_ctc_weights(model.state_dict(), config)
    now = _ctc_configuration(data2vec2_options.ctc_options(config, task), config.ctc_zero_infinity, task)
    before = None
    if record is not None:
        recorded = Data2Vec2AudioConfig(**_recorded(data2vec2_options.ctc_fields, record.config))
        recorded_task = _recorded_task(record)
        options = data2vec2_options.ctc_options(recorded, recorded_task)
        before = _ctc_configuration(options, recorded.ctc_zero_infinity, recorded_task)
    return _ctc_state(weights, now, before, record)


# data2vec


def _data2vec_pretraining_state(folder: Path, record: FairseqRecord | None, task: dict[str, Any]) -> dict[str, Any]:
    model = _load(Data2VecAudioForPreTraining, folder)
    config = model.config
    unsupported = data2vec_audio_options.unsupported_audio_fields(config)
    _check_fields(unsupported, data2vec_audio_options.different_audio_behaviour(config))
    weights = original_audio_pretraining_weights(model.state_dict(), config.teacher_scope)
    before = None
    if record is not None:
        fields = _recorded(data2vec_audio_options.pretraining_fields, section(record.config, "model"))
        before = data2vec_audio_options.pretraining_options(Data2VecAudioPreTrainingConfig(**fields))
    num_updates = int(model.teacher.num_updates)
    return _pretraining_state(
        weights, num_updates, data2vec_audio_options.pretraining_options(config), before, record, task
    )


def _data2vec_ctc_state(folder: Path, record: FairseqRecord | None, task: dict[str, Any]) -> dict[str, Any]:
    model = _load(Data2VecAudioForCTC, folder)
    config = model.config
    _check_fields(data2vec_audio_options.unsupported_audio_fields(config), [])
    weights = original_audio_ctc_weights(model.state_dict())
    now = _ctc_configuration(data2vec_audio_options.ctc_options(config, task), config.ctc_zero_infinity, task)
    before = None
    if record is not None:
        recorded = Data2VecAudioConfig(**_recorded(data2vec_audio_options.ctc_fields, record.config))
        recorded_task = _recorded_task(record)
        options = data2vec_audio_options.ctc_options(recorded, recorded_task)
        before = _ctc_configuration(options, recorded.ctc_zero_infinity, recorded_task)
    return _ctc_state(weights, now, before, record)


# data2vec 2.0 for images


def _image_pretraining_state(folder: Path, record: FairseqRecord | None) -> dict[str, Any]:
    model = _load(Data2Vec2VisionForPreTraining, folder)
    config = model.config
    _check_fields(unsupported_image_fields(config), different_image_behaviour(config), "further training")
    num_updates = int(model.teacher.num_updates)
    student, teacher = _recorded_dtypes(*original_image_pretraining_weights(model.state_dict(), config), record)
    weights: dict[str, Any] = dict(student)
    if record is None or record.has_teacher or num_updates != record.num_updates:
        weights["_ema"] = teacher
    cfg = _image_pretraining_configuration(config)
    if record is not None:
        fields = _recorded(image_pretraining_fields, section(record.config, "model"))
        cfg = _changed(record.config, _image_pretraining_configuration(Data2Vec2VisionConfig(**fields)), cfg)
    return _state(cfg, weights, num_updates, record, "ModelCriterion")


def _image_pretraining_configuration(config: Data2Vec2VisionConfig) -> dict[str, Any]:
    return {
        "_name": None,
        "common": _COMMON,
        "model": image_pretraining_options(config),
        "task": {"_name": "mae_image_pretraining", "data": ""},
        "criterion": {"_name": "model"},
    }


def _image_classifier_state(folder: Path, record: FairseqRecord | None) -> dict[str, Any]:
    model = _load(Data2Vec2VisionForImageClassification, folder)
    config = model.config
    _check_fields(unsupported_image_fields(config), different_image_behaviour(config), "further training")
    weights, _ = _recorded_dtypes(original_image_classifier_weights(model.state_dict()), {}, record)
    cfg = _image_classifier_configuration(config)
    if record is not None:
        fields = _recorded(image_classifier_fields, record.config)
        cfg = _changed(record.config, _image_classifier_configuration(Data2Vec2VisionConfig(**fields)), cfg)
    return _state(cfg, weights, 0 if record is None else record.num_updates, record, "ModelCriterion")


def _image_classifier_configuration(config: Data2Vec2VisionConfig) -> dict[str, Any]:
    return {
        "_name": None,
        "common": _COMMON,
        "model": image_classifier_options(config, {"data": ""}),
        "task": {"_name": "mae_image_classification", "data": ""},
        "criterion": {"_name": "model"},
    }


# data2vec-aqc


def _data2vec_aqc_pretraining_state(
    folder: Path, record: FairseqRecord | None, task: dict[str, Any]
) -> dict[str, Any]:
    model = _load(Data2VecAqcForPreTraining, folder)
    config = model.config
    unsupported = data2vec_aqc_options.unsupported_aqc_fields(config)
    _check_fields(unsupported, data2vec_aqc_options.different_aqc_behaviour(config))
    weights = original_aqc_pretraining_weights(model.state_dict(), config)
    before = None
    if record is not None:
        fields = _recorded(data2vec_aqc_options.aqc_pretraining_fields, section(record.config, "model"))
        before = data2vec_aqc_options.aqc_pretraining_options(Data2VecAqcConfig(**fields))
    num_updates, now = int(model.teacher.num_updates), data2vec_aqc_options.aqc_pretraining_options(config)
    return _pretraining_state(weights, num_updates, now, before, record, task)


def _data2vec_aqc_ctc_state(folder: Path, record: FairseqRecord | None, task: dict[str, Any]) -> dict[str, Any]:
    model = _load(Data2VecAqcForCTC, folder)
    config = model.config
    _check_fields(data2vec_audio_options.unsupported_audio_fields(config), [])
    weights = original_aqc_ctc_weights(model.state_dict(), config)
    now = _ctc_configuration(data2vec_aqc_options.aqc_ctc_options(config, task), config.ctc_zero_infinity, task)
    before = None
    if record is not None:
        recorded = Data2VecAqcConfig(**_recorded(data2vec_aqc_options.aqc_ctc_fields, record.config))
        recorded_task = _recorded_task(record)
        options = data2vec_aqc_options.aqc_ctc_options(recorded, recorded_task)
        before = _ctc_configuration(options, recorded.ctc_zero_infinity, recorded_task)
    return _ctc_state(weights, now, before, record)


# the two kinds of speech checkpoints


def _pretraining_state(
    weights: tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]],
    num_updates: int,
    options: dict[str, Any],
    recorded_options: dict[str, Any] | None,
    record: FairseqRecord | None,
    task: dict[str, Any],
) -> dict[str, Any]:
    """The file of a pre-trained model.

    Args:
        weights: Student and teacher.
        num_updates: Of the teacher.
        options: `cfg.model`, of the folder's configuration.
        recorded_options: The same of the configuration that the folder had when it was converted.
        record: What the folder remembers.
        task: `cfg.task`.
    """
    student, teacher = _recorded_dtypes(*weights, record)
    model: dict[str, Any] = dict(student)
    if record is None or record.has_teacher or num_updates != record.num_updates:
        model["_ema"] = teacher
    cfg = _pretraining_configuration(options, task)
    if record is not None and recorded_options is not None:
        cfg = _changed(record.config, _pretraining_configuration(recorded_options, _recorded_task(record)), cfg)
    return _state(cfg, model, num_updates, record, "ModelCriterion")


def _pretraining_configuration(options: dict[str, Any], task: dict[str, Any]) -> dict[str, Any]:
    return {
        "_name": None,
        "common": _COMMON,
        "model": options,
        "task": {"_name": "audio_pretraining", "labels": None, **task},
        "criterion": {"_name": "model"},
    }


def _ctc_state(
    weights: dict[str, torch.Tensor],
    cfg: dict[str, Any],
    recorded_cfg: dict[str, Any] | None,
    record: FairseqRecord | None,
) -> dict[str, Any]:
    """The file of a fine-tuned model, of `cfg` now and as it was made of the record alone."""
    model, _ = _recorded_dtypes(weights, {}, record)
    if record is not None and recorded_cfg is not None:
        cfg = _changed(record.config, recorded_cfg, cfg)
    return _state(cfg, model, 0 if record is None else record.num_updates, record, "CtcCriterion")


def _ctc_configuration(options: dict[str, Any], zero_infinity: bool, task: dict[str, Any]) -> dict[str, Any]:
    return {
        "_name": None,
        "common": _COMMON,
        "model": options,
        "task": {"_name": "audio_finetuning", "labels": "ltr", **task},
        "criterion": {"_name": "ctc", "zero_infinity": zero_infinity},
    }


def _recorded(
    read_fields: Callable[[Mapping[str, Any], Problems], dict[str, Any] | None], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Fields of the configuration that a folder had when it was converted."""
    problems = Problems()
    fields = read_fields(options, problems)
    problems.raise_if_any(RECORD_NAME)
    return fields or {}


def _dictionary(folder: Path, record: FairseqRecord | None) -> FairseqDictionary:
    """Of the folder's tokenizer; with the counts of the original if the symbols are still the same."""
    try:
        tokenizer = Wav2Vec2CTCTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"There is no tokenizer in {os.fspath(folder)!r}: {one_line(error)}") from None
    vocab_size = AutoConfig.from_pretrained(folder, local_files_only=True).vocab_size
    dictionary = dictionary_of(tokenizer, vocab_size)
    recorded = None if record is None else record.dictionary
    return recorded if recorded is not None and recorded.symbols == dictionary.symbols else dictionary


# what a folder remembers of its original


def _recorded_task(record: FairseqRecord) -> dict[str, Any]:
    task = section(record.config, "task")
    return {"data": "", "sample_rate": task.get("sample_rate", 16_000), "normalize": task["normalize"]}


def _changed(recorded: Mapping[str, Any], before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """The original's options, except those that our configuration had otherwise `before`, when it was converted."""
    options = copy.deepcopy(dict(recorded))
    for name, value in now.items():
        if isinstance(value, Mapping) and isinstance(recorded.get(name), Mapping):
            options[name] = _changed(recorded[name], before[name], value)
        elif value != before.get(name):
            options[name] = value
    return options


def _recorded_dtypes(
    student: dict[str, torch.Tensor], teacher: dict[str, torch.Tensor], record: FairseqRecord | None
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Weights in the data types of the original if these hold all values, as they do unless it was trained further."""
    kinds = {"float16": torch.float16, "bfloat16": torch.bfloat16}
    dtypes = {} if record is None else {name: kinds[kind] for name, kind in record.dtypes.items()}
    cast = {name: tensor.to(dtypes.get(name, tensor.dtype)) for name, tensor in student.items()}
    cast_teacher = {name: tensor.to(dtypes.get(f"_ema.{name}", tensor.dtype)) for name, tensor in teacher.items()}
    is_exact = all(
        torch.equal(tensor.to(original.dtype), original)
        for weights, originals in ((cast, student), (cast_teacher, teacher))
        for tensor, original in zip(weights.values(), originals.values(), strict=True)
    )
    return (cast, cast_teacher) if is_exact else (student, teacher)


def _state(
    cfg: dict[str, Any], weights: dict[str, Any], num_updates: int, record: FairseqRecord | None, criterion: str
) -> dict[str, Any]:
    """The whole file. fairseq expects every one of these entries."""
    entries: dict[str, Any] = {
        "args": None,
        "criterion": None,
        "optimizer_history": [],
        "task_state": {},
        "extra_state": {"train_iterator": {"epoch": 1}},
        "last_optimizer_state": None,
    }
    if record is not None:
        entries = copy.deepcopy(record.other)
    history = entries.get("optimizer_history") or [
        {"criterion_name": criterion, "optimizer_name": "FairseqAdam", "lr_scheduler_state": {"best": None}}
    ]
    if record is None or num_updates != record.num_updates:
        entries["optimizer_history"] = [*history[:-1], history[-1] | {"num_updates": num_updates}]
    return {"cfg": cfg, "model": weights, **entries}


def _write(state: dict[str, Any], dictionary: FairseqDictionary | None, path: Path) -> None:
    """The checkpoint, and the dictionary beside it, where fairseq looks for it under this name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if dictionary is not None:
        _write_dictionary(dictionary, path.with_name(f"dict.{state['cfg']['task'].get('labels') or 'ltr'}.txt"))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "xb") as stream:
            torch.save(state, stream)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _write_dictionary(dictionary: FairseqDictionary, path: Path) -> None:
    if path.exists():
        raise ValueError(
            f"{os.fspath(path)!r}, which has to lie beside the checkpoint, exists already; choose another folder."
        )
    write_dictionary(dictionary, path)
