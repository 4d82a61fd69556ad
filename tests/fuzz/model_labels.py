# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Strategies for what models are trained on: masks and labels of pre-training, and labels of heads."""

from collections.abc import Callable

import torch
from fuzz.model_inputs import Batch, Fault, Inputs, left_padded, with_value
from hypothesis import strategies as st
from transformers import PreTrainedModel

IGNORED = -100


def draw_position_mask(draw: st.DrawFn, batch: Batch, shape: tuple[int, ...]) -> torch.Tensor:
    """Some, all or none of the real positions: `shape` is `(batch_size, ..., num_positions)`."""
    is_real = torch.arange(batch.num_positions) < torch.tensor(batch.positions).unsqueeze(-1)
    is_real = is_real.view(len(is_real), *[1] * (len(shape) - 2), -1).expand(shape)
    share = draw(st.sampled_from([0.5, 0.5, 1.0, 0.0]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    mask = is_real & (torch.rand(shape, generator=generator) < share)
    return mask.to(draw(st.sampled_from([torch.bool, torch.long, torch.uint8])))


def draw_num_items(draw: st.DrawFn) -> Inputs:
    """What the `Trainer` counts in the global batch; nothing at all too."""
    number = draw(st.sampled_from([None, None, 1, 50, torch.tensor(50), 0, torch.tensor(0)]))
    return {} if number is None else {"num_items_in_batch": number}


def mask_name(model: PreTrainedModel) -> str:
    return "bool_masked_pos" if model.main_input_name == "pixel_values" else "mask_time_indices"


def draw_pretraining(draw: st.DrawFn, model: PreTrainedModel, batch: Batch) -> Inputs:
    size = len(batch.positions)
    has_copies = "Data2Vec2" in type(model).__name__
    copies = (draw(st.integers(1, 3)),) if has_copies else ()
    shape = (size, *copies, batch.num_positions)
    inputs = draw_num_items(draw)
    if draw(st.booleans()):
        inputs[mask_name(model)] = draw_position_mask(draw, batch, shape)
        if draw(st.booleans()):
            is_label = draw_position_mask(draw, batch, shape).bool()
            inputs["labels"] = torch.where(is_label, 0, IGNORED)
    return inputs


def draw_masked_tokens(draw: st.DrawFn, model: PreTrainedModel, batch: Batch) -> Inputs:
    """Of data2vec for text, whose labels are the tokens that were masked."""
    is_label = draw_position_mask(draw, batch, (len(batch.positions), batch.num_positions)).bool()
    labels = torch.where(is_label, batch.inputs["input_ids"].long(), IGNORED)
    return draw_num_items(draw) | {"labels": labels}


def draw_frame_mask(draw: st.DrawFn, model: PreTrainedModel, batch: Batch) -> Inputs:
    if model.main_input_name not in ("input_values", "input_features") or draw(st.booleans()):
        return {}
    return {"mask_time_indices": draw_position_mask(draw, batch, (len(batch.positions), batch.num_positions))}


def draw_integers(draw: st.DrawFn, shape: tuple[int, ...], low: int, high: int, ignored: float = 0.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    labels = torch.randint(low, high, shape, generator=generator)
    return labels.masked_fill(torch.rand(shape, generator=generator) < ignored, IGNORED)


def draw_transcripts(draw: st.DrawFn, model: PreTrainedModel, batch: Batch) -> Inputs:
    shape = (len(batch.positions), draw(st.integers(0, 4)))
    ignored = draw(st.sampled_from([0.0, 0.5, 1.0]))
    return draw_num_items(draw) | {"labels": draw_integers(draw, shape, 1, model.config.vocab_size, ignored)}


def draw_several(draw: st.DrawFn, shape: tuple[int, ...]) -> torch.Tensor:
    """Zeros and ones."""
    return draw_integers(draw, shape, 0, 2).float()


def draw_class(draw: st.DrawFn, model: PreTrainedModel, batch: Batch) -> Inputs:
    size, num_labels = len(batch.positions), model.config.num_labels
    if "XVector" not in type(model).__name__ and draw(st.booleans()):
        return draw_num_items(draw) | {"labels": draw_several(draw, (size, num_labels))}
    is_ignored_known = model.main_input_name != "pixel_values" and "XVector" not in type(model).__name__
    ignored = draw(st.sampled_from([0.0, 0.5, 1.0])) if is_ignored_known else 0.0
    return draw_num_items(draw) | {"labels": draw_integers(draw, (size,), 0, num_labels, ignored)}


def draw_positions_classes(draw: st.DrawFn, model: PreTrainedModel, batch: Batch) -> Inputs:
    shape, num_labels = (len(batch.positions), batch.num_positions), model.config.num_labels
    ignored = draw(st.sampled_from([0.0, 0.5, 1.0]))
    if model.main_input_name != "input_ids" and draw(st.booleans()):
        return draw_num_items(draw) | {"labels": draw_several(draw, (*shape, num_labels))}
    return draw_num_items(draw) | {"labels": draw_integers(draw, shape, 0, num_labels, ignored)}


def draw_answers(draw: st.DrawFn, model: PreTrainedModel, batch: Batch) -> Inputs:
    """Those beyond the end are left out."""
    shape = (len(batch.positions),)
    return {
        name: draw_integers(draw, shape, 0, batch.num_positions + 3) for name in ("start_positions", "end_positions")
    }


Draw = Callable[[st.DrawFn, PreTrainedModel, Batch], Inputs]
DRAWS: dict[str, Draw] = {
    "masked tokens": draw_masked_tokens,
    "AutoModel": draw_frame_mask,
    "AutoModelForPreTraining": draw_pretraining,
    "AutoModelForCTC": draw_transcripts,
    "AutoModelForAudioClassification": draw_class,
    "AutoModelForImageClassification": draw_class,
    "AutoModelForSequenceClassification": draw_class,
    "AutoModelForAudioXVector": draw_class,
    "AutoModelForAudioFrameClassification": draw_positions_classes,
    "AutoModelForTokenClassification": draw_positions_classes,
    "AutoModelForQuestionAnswering": draw_answers,
}


# faults


def mask_faults(model: PreTrainedModel, batch: Batch, has_copies: bool) -> dict[str, Fault]:
    copies = (2,) if has_copies else ()
    name = mask_name(model)

    def padded(inputs: Inputs) -> Inputs:
        lengths = [1] * len(batch.positions)
        return inputs | {name: torch.ones(len(lengths), *copies, batch.num_positions, dtype=torch.bool)}

    def given(kind: torch.dtype, *shape: int) -> Fault:
        return lambda inputs: inputs | {name: torch.ones(shape, dtype=kind)}

    size, num = len(batch.positions), batch.num_positions
    faults = {
        "frame mask of one frame more": given(torch.bool, size, *copies, num + 1),
        "frame mask of one item more": given(torch.bool, size + 1, *copies, num),
        "frame mask of one dimension": given(torch.bool, num),
        "frame mask of one dimension more": given(torch.bool, size, 2, *copies, num),
        "frame mask of floats": given(torch.float32, size, *copies, num),
        "complex frame mask": given(torch.complex64, size, *copies, num),
    }
    if min(batch.positions) < batch.num_positions:
        faults["padding is masked"] = padded
    return faults


def pretraining_faults(model: PreTrainedModel, batch: Batch) -> dict[str, Fault]:
    has_copies = "Data2Vec2" in type(model).__name__
    copies = (2,) if has_copies else ()
    faults = mask_faults(model, batch, has_copies)
    if has_copies:
        no_masks = torch.zeros(len(batch.positions), 0, batch.num_positions, dtype=torch.bool)
        faults["no masks"] = lambda inputs: inputs | {mask_name(model): no_masks}

    if model.main_input_name == "input_ids" and batch.num_positions > 1:
        faults["left padding without masks"] = lambda inputs: {
            "input_ids": inputs["input_ids"],
            "attention_mask": left_padded(*inputs["input_ids"].shape),
        }

    def with_labels(change: Callable[[torch.Tensor], torch.Tensor]) -> Fault:
        labels = torch.zeros(len(batch.positions), *copies, batch.num_positions, dtype=torch.long)
        return lambda inputs: inputs | {mask_name(model): torch.zeros_like(labels).bool(), "labels": change(labels)}

    return faults | {
        "labels of one frame less": with_labels(lambda labels: labels[..., :-1]),
        "labels of one dimension": with_labels(lambda labels: labels[0]),
        "labels of floats": with_labels(lambda labels: labels.float()),
        "complex labels": with_labels(lambda labels: labels.cfloat()),
    }


def masked_token_faults(model: PreTrainedModel, batch: Batch) -> dict[str, Fault]:
    def given(change: Callable[[torch.Tensor], torch.Tensor]) -> Fault:
        return lambda inputs: inputs | {"labels": change(inputs["input_ids"].long())}

    return {
        "no labels": lambda inputs: {name: value for name, value in inputs.items() if name != "labels"},
        "labels of one token less": given(lambda labels: labels[..., :-1]),
        "labels of one dimension": given(lambda labels: labels[0]),
        "labels of floats": given(lambda labels: labels.float()),
        "label too large": given(lambda labels: with_value(labels, model.config.vocab_size)),
        "negative label": given(lambda labels: with_value(labels, -1)),
    }


def encoder_faults(model: PreTrainedModel, batch: Batch) -> dict[str, Fault]:
    if model.main_input_name not in ("input_values", "input_features"):
        return {}
    faults = mask_faults(model, batch, has_copies=False)
    return {name: fault for name, fault in faults.items() if name != "padding is masked"}


def integer_label_faults(shape: tuple[int, ...], num_labels: int, *, may_be_ignored: bool = True) -> dict[str, Fault]:
    """Of labels that are classes."""
    labels = torch.zeros(shape, dtype=torch.long)

    def given(labels: torch.Tensor) -> Fault:
        return lambda inputs: inputs | {"labels": labels}

    faults = {
        "label too large": given(with_value(labels, num_labels)) if labels.dim() > 1 else given(labels + num_labels),
        "negative label": given(labels - 5),
        "labels of floats": given(labels.float()),
        "complex labels": given(labels.cfloat()),
        "boolean labels": given(labels.bool()),
        "labels of one item more": given(torch.cat([labels, labels[:1]])),
        "a label without dimension": given(torch.tensor(0)),
        "labels of four dimensions": given(labels.view(*shape, *[1] * (4 - len(shape)))),
    }
    return faults if may_be_ignored else faults | {"ignored label": given(labels - 100)}


def class_faults(model: PreTrainedModel, batch: Batch) -> dict[str, Fault]:
    size, num_labels = len(batch.positions), model.config.num_labels
    is_xvector = "XVector" in type(model).__name__
    may_be_ignored = model.main_input_name != "pixel_values" and not is_xvector
    faults = integer_label_faults((size,), num_labels, may_be_ignored=may_be_ignored)

    def several(change: Callable[[torch.Tensor], torch.Tensor]) -> Fault:
        return lambda inputs: inputs | {"labels": change(torch.zeros(size, num_labels))}

    faults["several labels, one too many"] = several(lambda labels: torch.cat([labels, labels[:, :1]], dim=1))
    if not is_xvector:
        faults["several labels, one NaN"] = several(lambda labels: with_value(labels, torch.nan))
        faults["several labels, one 2"] = several(lambda labels: with_value(labels, 2))
    return faults


def position_class_faults(model: PreTrainedModel, batch: Batch) -> dict[str, Fault]:
    shape = (len(batch.positions), batch.num_positions)
    faults = integer_label_faults(shape, model.config.num_labels)
    faults["labels of one dimension"] = lambda inputs: inputs | {"labels": torch.zeros(shape[:1], dtype=torch.long)}
    faults["labels of one frame more"] = lambda inputs: (
        inputs | {"labels": torch.zeros(shape[0], shape[1] + 1, dtype=torch.long)}
    )
    return faults


def transcript_faults(model: PreTrainedModel, batch: Batch) -> dict[str, Fault]:
    size = len(batch.positions)

    def given(labels: torch.Tensor) -> Fault:
        return lambda inputs: inputs | {"labels": labels}

    return {
        "label too large": given(torch.full((size, 2), model.config.vocab_size)),
        "labels of floats": given(torch.ones(size, 2)),
        "complex labels": given(torch.ones(size, 2).cfloat()),
        "boolean labels": given(torch.ones(size, 2).bool()),
        "labels of one item more": given(torch.ones(size + 1, 2, dtype=torch.long)),
        "labels of one dimension": given(torch.ones(size, dtype=torch.long)),
        "labels of three dimensions": given(torch.ones(size, 2, 2, dtype=torch.long)),
        "a label without dimension": given(torch.tensor(1)),
    }


def answer_faults(model: PreTrainedModel, batch: Batch) -> dict[str, Fault]:
    size = len(batch.positions)

    def given(positions: torch.Tensor) -> Fault:
        return lambda inputs: inputs | {"start_positions": positions, "end_positions": positions}

    return {
        "positions of floats": given(torch.zeros(size)),
        "positions of one item more": given(torch.zeros(size + 1, dtype=torch.long)),
        "positions of two dimensions": given(torch.zeros(size, 2, dtype=torch.long)),
    }


FAULTS: dict[str, Callable[[PreTrainedModel, Batch], dict[str, Fault]]] = {
    "masked tokens": masked_token_faults,
    "AutoModel": encoder_faults,
    "AutoModelForPreTraining": pretraining_faults,
    "AutoModelForCTC": transcript_faults,
    "AutoModelForAudioClassification": class_faults,
    "AutoModelForImageClassification": class_faults,
    "AutoModelForSequenceClassification": class_faults,
    "AutoModelForAudioXVector": class_faults,
    "AutoModelForAudioFrameClassification": position_class_faults,
    "AutoModelForTokenClassification": position_class_faults,
    "AutoModelForQuestionAnswering": answer_faults,
}
