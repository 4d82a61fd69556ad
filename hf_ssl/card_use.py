# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The lines on a model's card that open it and run it once."""

from typing import NamedTuple

_NAME = "FOLDER_OR_REPOSITORY"
# Of these types transformers has every class but the one that pre-trains.
_TYPES_OF_TRANSFORMERS = ("data2vec-audio", "data2vec-text", "data2vec-vision")
# Of these it has none.
_OWN_TYPES = ("data2vec2-", "data2vec-aqc", "best-rq")


class _Preprocessing(NamedTuple):
    """What makes a model's inputs: its Auto class, what it is called, and how it is called with what."""

    auto_class: str
    name: str
    arguments: str
    given: str


def use_section(model_class: str, model_type: str, modality: str) -> str:
    """How to open a model and run it, in Markdown.

    Args:
        model_class: Name of the class.
        model_type: The configuration's.
        modality: `"audio"`, `"image"` or `"text"`.
    """
    auto_class, preprocessing = auto_class_of(model_class, modality), _preprocessing(model_class, modality)
    if model_class == "Data2VecTextForPreTraining":  # the Auto class of its type is transformers' masked LM
        imports = f"from hf_ssl import {model_class}\nfrom transformers import {preprocessing.auto_class}"
        return (
            f"{_code(imports, preprocessing, model_class)}\n\n"
            "Without the package transformers' own classes of data2vec's text open the encoder, "
            "`Data2VecTextForSequenceClassification` for one."
        )
    imports = f"from transformers import {', '.join(sorted((auto_class, preprocessing.auto_class)))}"
    if not needs_package(model_class, model_type):
        return f"{_code(imports, preprocessing, auto_class)}\n\nThis is all transformers' own code."
    imports = f"import hf_ssl  # registers the classes with the Auto classes\n{imports}"
    return (
        f"{_code(imports, preprocessing, auto_class)}\n\n"
        "Without the package leave out the first line, and add `trust_remote_code=True` to every `from_pretrained`: "
        "the code that is needed beyond transformers lies beside the weights. `AutoModel` opens the encoder alone."
    )


def needs_package(model_class: str, model_type: str) -> bool:
    """Whether a class is this package's and not transformers'."""
    is_own_objective = model_type in _TYPES_OF_TRANSFORMERS and model_class.endswith("ForPreTraining")
    return is_own_objective or model_type.startswith(_OWN_TYPES)


def auto_class_of(model_class: str, modality: str) -> str:
    """The Auto class that opens a model with its head."""
    endings = {
        "ForPreTraining": "AutoModelForPreTraining",
        "ForCTC": "AutoModelForCTC",
        "ForXVector": "AutoModelForAudioXVector",
        "ForAudioFrameClassification": "AutoModelForAudioFrameClassification",
        "ForImageClassification": "AutoModelForImageClassification",
        "ForTokenClassification": "AutoModelForTokenClassification",
        "ForQuestionAnswering": "AutoModelForQuestionAnswering",
        "ForSequenceClassification": "AutoModelForAudioClassification"
        if modality == "audio"
        else "AutoModelForSequenceClassification",
    }
    return next((name for ending, name in endings.items() if model_class.endswith(ending)), "AutoModel")


def _preprocessing(model_class: str, modality: str) -> _Preprocessing:
    waveform = "waveform: (num_samples,), one channel at this rate"
    match modality:
        case "image":
            return _Preprocessing("AutoImageProcessor", "image_processor", "image", "image: of PIL, in RGB")
        case "text":
            return _Preprocessing("AutoTokenizer", "tokenizer", "text", "text: a str")
    if model_class.endswith("ForCTC"):
        rate = "sampling_rate=processor.feature_extractor.sampling_rate"
        return _Preprocessing("AutoProcessor", "processor", f"waveform, {rate}", waveform)
    rate = "sampling_rate=feature_extractor.sampling_rate"
    return _Preprocessing("AutoFeatureExtractor", "feature_extractor", f"waveform, {rate}", waveform)


def _code(imports: str, preprocessing: _Preprocessing, opened_by: str) -> str:
    maker = preprocessing.name
    return (
        "```python\n"
        f"{imports}\n\n"
        f'{maker} = {preprocessing.auto_class}.from_pretrained("{_NAME}")\n'
        f'model = {opened_by}.from_pretrained("{_NAME}")\n'
        f"# {preprocessing.given}\n"
        f'outputs = model(**{maker}({preprocessing.arguments}, return_tensors="pt"))\n'
        "```"
    )
