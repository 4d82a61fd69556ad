# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Fine-tuning: arguments, vocabulary, the freeze and learning-rate schedules of the original, and evaluation."""

import json
import logging
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import datasets
import numpy as np
import torch
from torch import nn
from transformers import (
    AutoConfig,
    EvalPrediction,
    PreTrainedConfig,
    PreTrainedModel,
    SequenceFeatureExtractor,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2Processor,
)

from ..data.collators import DataCollatorForCTC
from ..data.dataset import AudioDataset
from ..data.skipped import SkippedFiles
from ..evaluation.metrics import load_metric
from ..models.modeling_best_rq import BestRqPreTrainedModel
from ..models.modeling_data2vec2 import Data2Vec2PreTrainedModel
from ..models.waveform_models import WaveformModel
from .arguments import AudioTrainingArguments, parse_overrides
from .trainer import AudioTrainer

logger = logging.getLogger(__name__)

SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<unk>", "|")
WORD_DELIMITER = "|"
# What never changes a word's sound. The apostrophe and other letters' marks stay.
PUNCTUATION = '.,;:!?"“”„«»()[]{}…–—-'  # noqa: RUF001
# Whose heads divide the loss by the number of items of the global batch.
OUR_HEADS = (BestRqPreTrainedModel, Data2Vec2PreTrainedModel, WaveformModel)
# Probabilities of what happens at random in an encoder that trains, but for masks.
NOISE_FIELDS = (
    "hidden_dropout",
    "hidden_dropout_prob",
    "attention_dropout",
    "attention_probs_dropout_prob",
    "drop_path_rate",
    "activation_dropout",
    "input_dropout",
    "prenet_dropout",
    "subsampling_dropout",
    "feat_proj_dropout",
    "layerdrop",
    "prenet_layerdrop",
    "dynamic_chunk_prob",
    "embedding_dropout",
    "classifier_dropout",
)

AutoModelClass = TypeVar("AutoModelClass")


@dataclass
class FineTunedModelArguments:
    """Which model to fine-tune."""

    model_name_or_path: str | None = field(
        default=None, metadata={"help": "The pre-trained model: folder or name on the Hub."}
    )
    from_scratch: bool = field(
        default=False,
        metadata={"help": "Same network, random weights, nothing frozen: what pre-training is compared with."},
    )
    config_overrides: dict | str | None = field(
        default=None,
        metadata={"help": "Fields of the configuration to change, as JSON: '{\"mask_time_prob\": 0.65}'."},
    )
    family_overrides: dict | str | None = field(
        default=None,
        metadata={"help": "The same for fields that not all families have: left out, with a notice, by the others."},
    )

    def __post_init__(self) -> None:
        self.config_overrides = parse_overrides(self.config_overrides)
        self.family_overrides = parse_overrides(self.family_overrides)
        if self.model_name_or_path is None:
            raise ValueError("Expected --model_name_or_path, the pre-trained model to fine-tune, got none.")

    def overrides(self, config: PreTrainedConfig) -> dict[str, Any]:
        """`config_overrides`, and those of `family_overrides` that are fields of the configuration."""
        of_family, fields = parse_overrides(self.family_overrides), config.to_dict()
        missing = [name for name in of_family if name not in fields]
        if missing:
            logger.info(f"{type(config).__name__} has no {', '.join(missing)}: left out.")
        return {name: of_family[name] for name in of_family if name in fields} | parse_overrides(self.config_overrides)


@dataclass
class FineTuningArguments(AudioTrainingArguments):
    """`AudioTrainingArguments` with the schedules of fine-tuning."""

    freeze_feature_encoder: bool = field(
        default=True, metadata={"help": "Never train the convolutions of the waveform encoder."}
    )
    freeze_encoder_steps: int = field(
        default=0, metadata={"help": "Train only the head for so many updates (freeze_finetune_updates of fairseq)."}
    )
    head_learning_rate_scale: float = field(
        default=1.0,
        metadata={"help": "Factor on the learning rate of the head, which starts from nothing, unlike the encoder."},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.head_learning_rate_scale <= 0:
            raise ValueError(f"--head_learning_rate_scale must be positive, got {self.head_learning_rate_scale}.")


@dataclass
class CTCTrainingArguments(FineTuningArguments):
    """`FineTuningArguments` with the learning rate and the schedule of wav2vec 2.0's fine-tuning."""

    learning_rate: float = field(default=5e-5, metadata={"help": "Highest learning rate."})
    tri_stage_phases: list[float] | None = field(
        default_factory=lambda: [0.1, 0.4, 0.5],
        metadata={"help": "Shares of the updates in which the learning rate rises, stays, and falls."},
    )


def train_random_weights(model_args: FineTunedModelArguments, training_args: FineTuningArguments) -> None:
    """With `--from_scratch` a recipe's updates of the head alone are left out: they are for pre-trained weights."""
    if model_args.from_scratch and training_args.freeze_encoder_steps > 0:
        logger.info(f"--from_scratch: no {training_args.freeze_encoder_steps} updates of the head alone.")
        training_args.freeze_encoder_steps = 0


class FreezeEncoderCallback(TrainerCallback):
    """Trains only the head during the first `num_steps` updates, then everything that was trainable.

    A function of the trainer's step, so that a resumed run thaws when an uninterrupted one would.
    """

    def __init__(self, num_steps: int):
        self.num_steps = num_steps
        self._parameters: list[nn.Parameter] = []

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PreTrainedModel | None = None,
        **kwargs,
    ) -> None:
        # Here the optimizer exists already and has all of them.
        assert model is not None
        self._parameters = [parameter for parameter in model.base_model.parameters() if parameter.requires_grad]

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs) -> None:
        for parameter in self._parameters:
            parameter.requires_grad_(state.global_step >= self.num_steps)


class FineTuningTrainer(AudioTrainer):
    """`AudioTrainer` with the freeze schedule and the head's learning rate of [`FineTuningArguments`]."""

    args: FineTuningArguments

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        model: Any = self.model
        if hasattr(model, "get_base_model"):  # adapters
            model = model.get_base_model()
        if not isinstance(model, OUR_HEADS):
            # transformers' own heads take `num_items_in_batch` and ignore it: accumulated losses would be summed
            self.model_accepts_loss_kwargs = False
            warn_of_clips_shorter_than_a_span(model, self.train_dataset)
        if self.args.freeze_encoder_steps > 0:
            self.add_callback(FreezeEncoderCallback(self.args.freeze_encoder_steps))

    def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None):
        # A weighted sum of layers makes the model return all of them.
        ignore_keys = ["hidden_states", "attentions"] if ignore_keys is None else ignore_keys
        return super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Puts the head's parameters into groups of their own if they have a learning rate of their own."""
        is_new = self.optimizer is None
        optimizer = super().create_optimizer(model)
        scale = self.args.head_learning_rate_scale
        if not is_new or scale == 1:
            return optimizer
        encoder = {id(parameter) for parameter in self.accelerator.unwrap_model(self.model).base_model.parameters()}
        for group in list(optimizer.param_groups):
            head = [parameter for parameter in group["params"] if id(parameter) not in encoder]
            group["params"] = [parameter for parameter in group["params"] if id(parameter) in encoder]
            if head:
                optimizer.add_param_group({**group, "params": head, "lr": group["lr"] * scale})
        return optimizer


def warn_of_clips_shorter_than_a_span(model: Any, dataset: Any) -> None:
    """Says before training that transformers' own classes stop at a batch whose longest clip is shorter than a span of
    masked frames (ours mask what there is)."""
    config = model.config
    is_masked = getattr(config, "apply_spec_augment", True) and getattr(config, "mask_time_prob", 0) > 0
    if not is_masked or not isinstance(dataset, AudioDataset):
        return
    samples = torch.tensor([int(seconds * dataset.sampling_rate) for seconds in dataset.lengths])
    num_short = int((model._get_feat_extract_output_lengths(samples) < config.mask_time_length).sum())
    if num_short > 0:
        logger.warning(
            f"{num_short} clip(s) have fewer frames than a span of masks ({config.mask_time_length}), and "
            f"{type(model).__name__} stops at a batch of nothing else: --min_seconds leaves them out, "
            "--family_overrides '{\"mask_time_length\": 5}' makes spans shorter."
        )


class CTCTrainer(FineTuningTrainer):
    """`FineTuningTrainer` that predicts the likeliest token of every real frame, -100 at padding."""

    def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None):
        loss, logits, labels = super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
        if logits is None:
            return loss, None, labels
        # Token ids instead of logits fit into memory; what a model makes of padding must not be read.
        lengths = self.accelerator.unwrap_model(model)._get_feat_extract_output_lengths(
            inputs["attention_mask"].sum(-1).to(logits.device)
        )
        frames = torch.arange(logits.shape[1], device=logits.device)
        token_ids = logits.argmax(-1).masked_fill(frames >= lengths.unsqueeze(-1), -100)
        return loss, token_ids, labels


@dataclass(frozen=True)
class TranscriptNormalizer:
    """Spelling of transcripts in training and in evaluation.

    Args:
        case: `"lower"`, `"upper"` or `"keep"`.
        remove: Characters to replace by a space. Repeated spaces become one.
    """

    case: Literal["lower", "upper", "keep"] = "lower"
    remove: str = PUNCTUATION

    def __call__(self, text: str) -> str:
        text = " ".join(text.translate({ord(character): " " for character in self.remove}).split())
        return {"lower": text.lower(), "upper": text.upper(), "keep": text}[self.case]

    def __str__(self) -> str:
        case = {"lower": "in lower case", "upper": "in upper case", "keep": "with their case kept"}[self.case]
        return f"{case}, with {self.remove!r} replaced by spaces" if self.remove else case


class NormalizingCTCCollator:
    """[`DataCollatorForCTC`] over normalised transcripts."""

    def __init__(self, collator: DataCollatorForCTC, normalizer: TranscriptNormalizer):
        self.collator = collator
        self.normalizer = normalizer

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        column = self.collator.text_column
        return self.collator([{**feature, column: self.normalizer(feature[column])} for feature in features])


def drop_empty_transcripts(
    table: datasets.Dataset, text_column: str, normalizer: TranscriptNormalizer, skipped: SkippedFiles
) -> datasets.Dataset:
    """The clips of which something is left to recognise; the others go to `skipped`.

    Raises:
        ValueError: None is left.
    """
    paths = table["path"][:] if "path" in table.column_names else [f"row {row}" for row in range(len(table))]
    kept = []
    for row, text in enumerate(table[text_column]):
        if normalizer(str(text)):
            kept.append(row)
        else:
            skipped.add(paths[row] or f"row {row}", f"no {text_column}: nothing is left of {text!r}")
    if not kept:
        raise ValueError(f"No transcript in the column {text_column!r} has anything but removed characters.")
    return table.select(kept)


def build_vocabulary(transcripts: Iterable[str]) -> dict[str, int]:
    """Every character of the (normalised) transcripts, in the order of their code points, behind special tokens.

    `<pad>`, the blank of CTC, has number 0; `|` stands for the space between words.

    Raises:
        ValueError: A transcript contains `|`, or there are no characters.
    """
    characters = set().union(*transcripts) - {" "}
    if WORD_DELIMITER in characters:
        raise ValueError(f"Transcripts contain {WORD_DELIMITER!r}, which stands for the space: remove or replace it.")
    if not characters:
        raise ValueError("Expected transcripts to make a vocabulary of, got none with any character.")
    return {token: index for index, token in enumerate((*SPECIAL_TOKENS, *sorted(characters)))}


def read_vocabulary(path: str | Path) -> dict[str, int]:
    """Reads a vocabulary: a JSON object of tokens and their numbers, or a text file with a token per line.

    A text file may have counts behind its tokens (`dict.ltr.txt` of fairseq). Special tokens it lacks come first.

    Raises:
        ValueError: The JSON's numbers are not 0, 1, 2, ..., or it lacks a special token.
    """
    text = Path(path).read_text(encoding="utf-8")
    if Path(path).suffix != ".json":
        tokens = [line.split()[0] for line in text.splitlines() if line.strip()]
        return {token: index for index, token in enumerate(dict.fromkeys((*SPECIAL_TOKENS, *tokens)))}
    vocabulary = json.loads(text)
    if not isinstance(vocabulary, dict) or sorted(vocabulary.values()) != list(range(len(vocabulary))):
        raise ValueError(f"{path} must map tokens to the numbers 0, 1, 2, ..., each once.")
    missing = [token for token in SPECIAL_TOKENS if token not in vocabulary]
    if missing:
        raise ValueError(f"{path} lacks the special tokens {missing}: <pad> is the blank of CTC, | the space.")
    return vocabulary


def make_processor(feature_extractor: SequenceFeatureExtractor, vocabulary: Mapping[str, int]) -> Wav2Vec2Processor:
    """Feature extractor and tokenizer in one, to be saved with the model."""
    with tempfile.TemporaryDirectory() as folder:
        vocabulary_file = Path(folder) / "vocab.json"
        vocabulary_file.write_text(json.dumps(dict(vocabulary), ensure_ascii=False), encoding="utf-8")
        tokenizer = Wav2Vec2CTCTokenizer(str(vocabulary_file), word_delimiter_token=WORD_DELIMITER)
    return Wav2Vec2Processor(feature_extractor=feature_extractor, tokenizer=tokenizer)


def load_model(auto_class: Any, model_args: FineTunedModelArguments, config: PreTrainedConfig) -> Any:
    """The pre-trained model under a new head, or the same network with random weights."""
    if model_args.from_scratch:
        return auto_class.from_config(config)
    return auto_class.from_pretrained(model_args.model_name_or_path, config=config)


def without_noise(config: PreTrainedConfig) -> dict[str, Any]:
    """Overrides that turn off dropout, LayerDrop, masks and dynamic chunks: a frozen encoder has nothing to be
    regularised."""
    fields = config.to_dict()
    masks = {"apply_spec_augment": False} if "apply_spec_augment" in fields else {}
    return {name: 0.0 for name in NOISE_FIELDS if name in fields} | masks


def load_config(model_args: FineTunedModelArguments) -> PreTrainedConfig:
    """The configuration of the pre-trained model."""
    assert model_args.model_name_or_path is not None
    return AutoConfig.from_pretrained(model_args.model_name_or_path)


class Transcripts:
    """Decodes predictions and scores them.

    Args:
        tokenizer: The model's.
    """

    def __init__(self, tokenizer: Wav2Vec2CTCTokenizer):
        self.tokenizer = tokenizer

    def hypotheses(self, token_ids: np.ndarray) -> list[str]:
        """Greedy CTC decoding of the likeliest token of each frame, `(num_clips, sequence_length)`, -100 padded.

        Done here because the tokenizer, told to leave out special tokens, leaves out the blank before it merges
        repeated tokens: doubled letters would be lost.
        """
        tokenizer = self.tokenizer
        special = [tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id]
        merged = [row[np.diff(row, prepend=-1) != 0] for row in self._as_blank(token_ids)]
        return [tokenizer.decode(row[~np.isin(row, special)], group_tokens=False) for row in merged]

    def references(self, label_ids: np.ndarray) -> list[str]:
        """Transcripts of labels, `(num_clips, num_labels)`, -100 padded."""
        return self.tokenizer.batch_decode(self._as_blank(label_ids), group_tokens=False)

    def metrics(self, prediction: EvalPrediction) -> dict[str, float]:
        """`wer` and `cer`."""
        texts = {
            "predictions": self.hypotheses(np.asarray(prediction.predictions)),
            "references": self.references(np.asarray(prediction.label_ids)),
        }
        return {"wer": load_metric("wer").compute(**texts)["wer"], "cer": load_metric("cer").compute(**texts)["cer"]}

    def _as_blank(self, ids: np.ndarray) -> np.ndarray:
        return np.where(ids == -100, self.tokenizer.pad_token_id, ids)


def transcript_table(references: Sequence[str], hypotheses: Sequence[str], limit: int = 10) -> str:
    """The first `limit` transcripts as text, what was said above what was recognised."""
    pairs = list(zip(references, hypotheses, strict=True))[:limit]
    return "\n".join(f"  said:       {reference}\n  recognised: {hypothesis}" for reference, hypothesis in pairs)


def split_labels(value: Any, multi_label: bool, separator: str = ";") -> list[Any]:
    """The labels in one field of a table: itself, a list's, or what stands between separators."""
    if not multi_label:
        return [value]
    if isinstance(value, str):
        return [name.strip() for name in value.split(separator) if name.strip()]
    return list(value) if isinstance(value, list | tuple) else [value]


def number_labels(values: Iterable[Any], multi_label: bool) -> dict[str, int]:
    """Numbers all labels that occur: names in alphabetical order; numbers stay what they are.

    Raises:
        ValueError: There are fewer than two, so that there is nothing to tell apart (one is enough with several labels
            per clip, which may then have it or not); or names and numbers are mixed.
    """
    found = {label for value in values for label in split_labels(value, multi_label)}
    if len(found) < (1 if multi_label else 2):
        raise ValueError(f"Expected at least two different labels to tell apart, got {sorted(map(str, found))}.")
    if all(isinstance(label, str) for label in found):
        return {name: index for index, name in enumerate(sorted(found))}
    if not all(isinstance(label, int) and label >= 0 for label in found):
        raise ValueError(f"Expected labels to be names, or numbers from 0 on, got {sorted(map(repr, found))[:20]}.")
    return {str(index): index for index in range(max(found) + 1)}


def classification_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """`accuracy` and macro `f1` of one label per clip."""
    scores = prediction.predictions
    classes = {"predictions": np.argmax(scores, axis=-1), "references": np.asarray(prediction.label_ids)}
    return {**load_metric("accuracy").compute(**classes), **load_metric("f1").compute(**classes)}


def multi_label_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """`mAP`: mean average precision over labels."""
    result = load_metric("average_precision").compute(
        predictions=np.asarray(prediction.predictions, dtype=np.float64),
        references=np.asarray(prediction.label_ids).astype(np.int64),
    )
    return {"mAP": result["average_precision"]}
