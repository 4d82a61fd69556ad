# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The parts of fine-tuning: schedules, vocabulary, spelling, decoding, labels."""

import json

import datasets
import numpy as np
import pytest
import soundfile
import torch
from transformers import (
    Data2VecAudioForCTC,
    EvalPrediction,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    Wav2Vec2FeatureExtractor,
)

from hf_ssl import Data2Vec2AudioForCTC
from hf_ssl.data import AudioDataset, SkippedFiles, load_audio_sources
from hf_ssl.training.finetuning import (
    PUNCTUATION,
    FineTunedModelArguments,
    FineTuningArguments,
    FineTuningTrainer,
    FreezeEncoderCallback,
    TranscriptNormalizer,
    Transcripts,
    build_vocabulary,
    classification_metrics,
    drop_empty_transcripts,
    make_processor,
    multi_label_metrics,
    number_labels,
    read_vocabulary,
    transcript_table,
    warn_of_clips_shorter_than_a_span,
    without_noise,
)
from hf_ssl.training.model_sizes import best_rq_config, data2vec2_audio_config, data2vec_audio_config
from hf_ssl.training.running import override_config
from hf_ssl.training.schedules import tri_stage_schedule


def test_tri_stage_schedule():
    stages = {"warmup_steps": 10, "hold_steps": 40, "decay_steps": 50, "final_scale": 0.05}
    factors = [tri_stage_schedule(step, **stages) for step in range(120)]
    assert factors[0] == pytest.approx(0.01)
    assert factors[5] == pytest.approx(0.01 + 0.99 / 2)
    assert factors[10:51] == [1.0] * 41
    # exponential: half way down in steps is half way down in logarithm
    assert factors[75] == pytest.approx(0.05**0.5)
    assert factors[100:] == pytest.approx([0.05] * 20)
    assert np.all(np.diff(factors[:11]) > 0)
    assert np.all(np.diff(factors[50:101]) < 0)


def test_tri_stage_schedule_without_some_stages():
    assert tri_stage_schedule(0, warmup_steps=0, hold_steps=0, decay_steps=4, final_scale=0.5) == 1.0
    assert tri_stage_schedule(0, warmup_steps=0, hold_steps=3, decay_steps=0) == 1.0
    assert tri_stage_schedule(3, warmup_steps=0, hold_steps=3, decay_steps=0) == 0.05


@pytest.mark.parametrize(
    ("seconds", "fields", "num_short"),
    [
        ([0.05, 0.1, 0.5], {"mask_time_prob": 0.5}, 2),
        ([0.05, 0.1, 0.5], {"mask_time_prob": 0.5, "mask_time_length": 1}, 0),
        ([0.05, 0.1, 0.5], {"mask_time_prob": 0.0}, 0),
        ([0.05, 0.1, 0.5], {"mask_time_prob": 0.5, "apply_spec_augment": False}, 0),
        ([0.5, 0.5, 0.5], {"mask_time_prob": 0.5}, 0),
    ],
)
def test_clips_shorter_than_a_span_of_masks_are_warned_of(tmp_path, caplog, seconds, fields, num_short):
    for index, length in enumerate(seconds):
        soundfile.write(tmp_path / f"{index}.wav", np.ones(int(16_000 * length)), 16_000)
    skipped = SkippedFiles()
    limits = {"min_seconds": None, "max_seconds": None, "sampling_rate": 16_000}
    table = load_audio_sources([str(tmp_path)], skipped=skipped, **limits)
    dataset = AudioDataset(table, seed=0, skipped=skipped, **limits)
    model = Data2VecAudioForCTC(data2vec_audio_config("tiny", **{"mask_time_length": 10, **fields}))
    warn_of_clips_shorter_than_a_span(model, dataset)
    told = [record.message for record in caplog.records if "a span of masks" in record.message]
    assert len(told) == (num_short > 0)
    assert all(message.startswith(f"{num_short} clip(s)") and "--min_seconds" in message for message in told)


@pytest.mark.parametrize("phases", [[0.5, 0.5], [0.1, 0.4, 0.6], [-0.1, 0.6, 0.5]])
def test_phases_must_add_up(tmp_path, phases):
    with pytest.raises(ValueError, match="three shares that add up to 1"):
        FineTuningArguments(str(tmp_path), tri_stage_phases=phases, use_cpu=True)


def test_encoder_is_frozen_for_some_steps_and_then_thawed(tmp_path):
    model = Data2Vec2AudioForCTC(data2vec2_audio_config("tiny"))
    model.freeze_feature_encoder()
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    callback = FreezeEncoderCallback(num_steps=2)
    arguments, control = TrainingArguments(str(tmp_path), use_cpu=True), TrainerControl()
    callback.on_train_begin(arguments, TrainerState(), control, model=model)
    for step in range(4):
        callback.on_step_begin(arguments, TrainerState(global_step=step), control)
        now = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        # what was frozen before, the convolutions, stays frozen
        assert now == ({"lm_head.weight", "lm_head.bias"} if step < 2 else trainable)


def test_the_head_may_learn_faster(tmp_path):
    model = Data2Vec2AudioForCTC(data2vec2_audio_config("tiny"))
    model.freeze_feature_encoder()
    arguments = FineTuningArguments(
        str(tmp_path), learning_rate=1e-3, head_learning_rate_scale=10, weight_decay=0.1, use_cpu=True
    )
    optimizer = FineTuningTrainer(model=model, args=arguments).create_optimizer()
    groups = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert groups.keys() == {id(parameter) for parameter in trained.values()}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(trained)
    for name, parameter in trained.items():
        assert groups[id(parameter)]["lr"] == pytest.approx(1e-2 if name.startswith("lm_head") else 1e-3), name
    assert groups[id(model.lm_head.weight)]["weight_decay"] == 0.1
    assert groups[id(model.lm_head.bias)]["weight_decay"] == 0.0


def test_the_heads_learning_rate_must_be_positive(tmp_path):
    with pytest.raises(ValueError, match="head_learning_rate_scale must be positive"):
        FineTuningArguments(str(tmp_path), head_learning_rate_scale=0.0, use_cpu=True)


@pytest.mark.parametrize(
    ("normalizer", "expected"),
    [
        (TranscriptNormalizer(), "don't u s stop"),
        (TranscriptNormalizer("upper", "!"), "DON'T U.S. — STOP"),
        (TranscriptNormalizer("keep", ""), "Don't U.S. — stop!"),
    ],
)
def test_spelling(normalizer, expected):
    assert normalizer(" Don't  U.S. —\tstop! ") == expected


def test_spelling_is_stated():
    assert str(TranscriptNormalizer()) == f"in lower case, with {PUNCTUATION!r} replaced by spaces"
    assert str(TranscriptNormalizer("keep", "")) == "with their case kept"


def test_vocabulary_of_transcripts():
    assert build_vocabulary(["cab a", "ä"]) == {
        token: index for index, token in enumerate(["<pad>", "<s>", "</s>", "<unk>", "|", "a", "b", "c", "ä"])
    }
    with pytest.raises(ValueError, match="none with any character"):
        build_vocabulary([" ", ""])
    with pytest.raises(ValueError, match="stands for the space"):
        build_vocabulary(["a|b"])


def test_vocabularies_from_files(tmp_path):
    (tmp_path / "dict.ltr.txt").write_text("| 94802\nE 51860\nT 38431\n")
    expected = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4, "E": 5, "T": 6}
    assert read_vocabulary(tmp_path / "dict.ltr.txt") == expected
    (tmp_path / "vocab.json").write_text(json.dumps(expected))
    assert read_vocabulary(tmp_path / "vocab.json") == expected
    (tmp_path / "gap.json").write_text(json.dumps(expected | {"X": 9}))
    with pytest.raises(ValueError, match="each once"):
        read_vocabulary(tmp_path / "gap.json")
    (tmp_path / "blankless.json").write_text(json.dumps({"a": 0, "|": 1}))
    with pytest.raises(ValueError, match=r"lacks the special tokens.*<pad>"):
        read_vocabulary(tmp_path / "blankless.json")


@pytest.fixture
def transcripts() -> Transcripts:
    extractor = Wav2Vec2FeatureExtractor(return_attention_mask=True)
    return Transcripts(make_processor(extractor, build_vocabulary(["ab"])).tokenizer)


# blank 0, <s> 1, space 4, a 5, b 6
def test_greedy_decoding(transcripts):
    frames = [[0, 5, 5, 0, 5, 4, 4, 6, 1, -100], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]
    assert transcripts.hypotheses(np.array(frames)) == ["aa b", ""]


def test_references_keep_doubled_letters(transcripts):
    assert transcripts.references(np.array([[5, 5, 4, 6, -100]])) == ["aa b"]


def test_error_rates(transcripts):
    prediction = EvalPrediction(predictions=np.array([[5, 0, 4, 6]]), label_ids=np.array([[5, 5, 4, 6]]))
    assert transcripts.metrics(prediction) == {"wer": 0.5, "cer": 0.25}


def test_transcript_table_is_short():
    table = transcript_table(["a", "b", "c"], ["x", "y", "z"], limit=2)
    assert table.split() == ["said:", "a", "recognised:", "x", "said:", "b", "recognised:", "y"]


def test_clips_with_nothing_to_say_are_left_out_and_listed():
    table = datasets.Dataset.from_dict({"path": ["a.wav", "b.wav"], "text": ["?!", "yes"]})
    skipped = SkippedFiles()
    kept = drop_empty_transcripts(table, "text", TranscriptNormalizer(), skipped)
    assert kept["path"][:] == ["b.wav"]
    assert skipped.files == {"a.wav": "no text: nothing is left of '?!'"}
    with pytest.raises(ValueError, match="No transcript in the column 'text'"):
        drop_empty_transcripts(table.select([0]), "text", TranscriptNormalizer(), skipped)


def test_labels_are_numbered_in_order():
    assert number_labels(["dog", "cat", "dog"], multi_label=False) == {"cat": 0, "dog": 1}
    assert number_labels(["dog; cat", "", "emu"], multi_label=True) == {"cat": 0, "dog": 1, "emu": 2}
    assert number_labels(["a;b", "c"], multi_label=False) == {"a;b": 0, "c": 1}
    # numbers stay themselves: the collator takes them as they are
    assert number_labels([10, 2], multi_label=False) == {str(index): index for index in range(11)}
    assert number_labels([["b", "a"], []], multi_label=True) == {"a": 0, "b": 1}
    with pytest.raises(ValueError, match="names, or numbers from 0 on"):
        number_labels(["a", 1], multi_label=False)
    with pytest.raises(ValueError, match="at least two different labels"):
        number_labels(["one", "one"], multi_label=False)


def test_classification_metrics():
    scores = np.array([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0], [0.5, 0.0]])
    result = classification_metrics(EvalPrediction(predictions=scores, label_ids=np.array([0, 1, 1, 0])))
    assert result["accuracy"] == 0.75
    assert result["f1"] == pytest.approx((0.8 + 2 / 3) / 2)


def test_multi_label_metrics():
    scores, labels = np.array([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    result = multi_label_metrics(EvalPrediction(predictions=scores.astype(np.float32), label_ids=labels))
    # the first label is ranked perfectly; of the second, the two clips are first and last of three
    assert result == {"mAP": pytest.approx((1 + (1 + 2 / 3) / 2) / 2)}


def test_without_noise_covers_every_dropout_of_the_configuration():
    config = data2vec2_audio_config("base")
    quiet = override_config(config, without_noise(config))
    left = [
        name
        for name, value in quiet.to_dict().items()
        if ("drop" in name and not name.startswith(("decoder", "mask", "final"))) and value not in (0.0, [0.0, 0.0])
    ]
    assert left in ([], ["drop_path_rates", "prenet_drop_path_rates"])
    assert quiet.apply_spec_augment is False
    assert torch.tensor(quiet.drop_path_rates).sum() == 0


def test_without_noise_covers_best_rq_too():
    quiet = override_config(best_rq_config("base"), without_noise(best_rq_config("base", dynamic_chunk_prob=0.6)))
    names = [name for name in quiet.to_dict() if "dropout" in name or name in ("layerdrop", "dynamic_chunk_prob")]
    assert len(names) == 7
    assert {quiet.to_dict()[name] for name in names} == {0.0}
    assert quiet.apply_spec_augment is False


def test_overriding_what_is_not_there():
    with pytest.raises(ValueError, match="no field 'mask_time_porb' to override; did you mean 'mask_time_prob'"):
        override_config(data2vec2_audio_config("tiny"), {"mask_time_porb": 0.5})


def test_a_model_is_wanted():
    with pytest.raises(ValueError, match="--model_name_or_path"):
        FineTunedModelArguments()
