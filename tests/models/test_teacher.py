# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The teacher's rules: never trained, never awake, never random, never half precision, never left behind."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from host_waits import counted_waits
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F
from transformers import AutoModelForPreTraining

from hf_ssl import Data2Vec2AudioForPreTraining, Data2Vec2AudioModel
from hf_ssl.models import teacher as teacher_module
from hf_ssl.models.modeling_data2vec2 import Data2Vec2Attention
from hf_ssl.models.teacher import CHECKS_PER_QUESTION, MAX_STALE_STEPS, EMATeacher, average_layers, ema_decay

SCOPES = {
    "trunk": ["trunk"],
    "encoder": ["context_encoder", "trunk"],
    "model": ["local_encoder", "context_encoder", "trunk"],
}


@pytest.fixture(params=sorted(SCOPES))
def scope(request: pytest.FixtureRequest) -> str:
    return request.param


def teacher_pairs(model: Data2Vec2AudioForPreTraining) -> list[tuple[str, torch.Tensor, torch.Tensor]]:
    """Name, teacher's and student's tensor, of everything in the state dict that both have."""
    student = model.data2vec2_audio.state_dict()
    pairs = [(name, tensor, student[name]) for name, tensor in model.teacher.state_dict().items() if name in student]
    assert len(pairs) == len(model.teacher.state_dict()) - 1, "all but the number of updates have a counterpart"
    return pairs


def assert_equals_student(model: Data2Vec2AudioForPreTraining) -> None:
    for name, mine, theirs in teacher_pairs(model):
        assert torch.equal(mine, theirs.to(mine.dtype)), name


def move_student(model: Data2Vec2AudioForPreTraining) -> None:
    """What an optimizer step does, without an optimizer."""
    with torch.no_grad():
        for parameter in model.data2vec2_audio.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)


def assert_is_at_rest(teacher: EMATeacher) -> None:
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert not any(module.training for module in teacher.modules())


def test_a_fresh_teacher_equals_the_student(make_model: Callable, scope: str) -> None:
    model = make_model(Data2Vec2AudioForPreTraining, teacher_scope=scope)
    assert [name for name, _ in model.teacher.named_children()] == SCOPES[scope]
    assert_equals_student(model)
    assert_is_at_rest(model.teacher)


def test_the_teacher_is_a_copy_and_no_reference(make_model: Callable, scope: str) -> None:
    model = make_model(Data2Vec2AudioForPreTraining, teacher_scope=scope)
    before = {name: tensor.clone() for name, tensor in model.teacher.state_dict().items()}
    move_student(model)
    after = model.teacher.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_the_kind_of_attention_is_set_for_both(make_model: Callable, scope: str) -> None:
    model = make_model(Data2Vec2AudioForPreTraining, teacher_scope=scope)
    model.set_attn_implementation("eager")
    attentions = [module for module in model.modules() if isinstance(module, Data2Vec2Attention)]
    assert {attention.config._attn_implementation for attention in attentions} == {"eager"}
    assert model.teacher.trunk.layers[0].attention.config is model.config


def test_train_and_requires_grad_do_not_wake_the_teacher(make_model: Callable, scope: str) -> None:
    model = make_model(Data2Vec2AudioForPreTraining, teacher_scope=scope, hidden_dropout=0.5, layerdrop=0.5)
    model.requires_grad_(True)
    model.train()
    assert model.training
    assert model.data2vec2_audio.training
    assert_is_at_rest(model.teacher)


def test_a_full_checkpoint_restores_the_teacher_at_rest(
    make_model: Callable, scope: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = make_model(Data2Vec2AudioForPreTraining, teacher_scope=scope)
    move_student(model)
    model.update_teacher()
    model.save_pretrained(tmp_path)

    loaded = Data2Vec2AudioForPreTraining.from_pretrained(tmp_path)
    assert "copy of the student" not in caplog.text
    expected, restored = model.state_dict(), loaded.state_dict()
    assert set(restored) == set(expected)
    assert all(torch.equal(restored[name], tensor) for name, tensor in expected.items())
    assert int(loaded.teacher.num_updates) == 1
    loaded.train()
    assert_is_at_rest(loaded.teacher)


def test_a_checkpoint_without_teacher_gives_a_copy_of_the_student(
    make_model: Callable, scope: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    encoder = make_model(Data2Vec2AudioModel)
    encoder.save_pretrained(tmp_path)
    loaded, info = Data2Vec2AudioForPreTraining.from_pretrained(
        tmp_path, teacher_scope=scope, output_loading_info=True
    )
    assert torch.equal(loaded.data2vec2_audio.trunk.layers[0].mlp.fc1.weight, encoder.trunk.layers[0].mlp.fc1.weight)
    assert any(key.startswith("decoder.") for key in info["missing_keys"])
    assert "It was made a copy of the student" in caplog.text
    assert_equals_student(loaded)
    assert_is_at_rest(loaded.teacher)
    assert int(loaded.teacher.num_updates) == 0


def test_a_fixed_alibi_scale_reaches_the_copied_teacher(make_model: Callable, tmp_path: Path) -> None:
    """The scale is a buffer then, which an average of parameters does not see."""
    encoder = make_model(Data2Vec2AudioModel, learn_alibi_scale=False)
    encoder.context_encoder.attention_bias.scale.fill_(3.0)
    encoder.save_pretrained(tmp_path)
    assert_equals_student(Data2Vec2AudioForPreTraining.from_pretrained(tmp_path))


@pytest.mark.parametrize("learn_alibi_scale", [True, False])
@pytest.mark.parametrize("keep", ["one tensor", "all but one tensor"])
def test_a_part_of_a_teacher_is_an_error(
    make_model: Callable, tmp_path: Path, keep: str, learn_alibi_scale: bool
) -> None:
    make_model(Data2Vec2AudioForPreTraining, learn_alibi_scale=learn_alibi_scale).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    one = "teacher.trunk.layers.1.mlp.fc1.weight"
    dropped = {name for name in weights if name.startswith("teacher.") and (name == one) == (keep != "one tensor")}
    save_file(
        {name: tensor for name, tensor in weights.items() if name not in dropped},
        tmp_path / "model.safetensors",
        metadata={"format": "pt"},
    )
    with pytest.raises(ValueError, match="only a part of the teacher"):
        Data2Vec2AudioForPreTraining.from_pretrained(tmp_path)


def test_a_teacher_of_smaller_scope_is_an_error(make_model: Callable, tmp_path: Path) -> None:
    make_model(Data2Vec2AudioForPreTraining, teacher_scope="trunk").save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="only a part of the teacher"):
        Data2Vec2AudioForPreTraining.from_pretrained(tmp_path, teacher_scope="encoder")


def test_the_teacher_is_in_the_state_dict(make_model: Callable, scope: str) -> None:
    model = make_model(Data2Vec2AudioForPreTraining, teacher_scope=scope)
    names = {name for name in model.state_dict() if name.startswith("teacher.")}
    assert "teacher.num_updates" in names
    assert {name.split(".")[1] for name in names} == {*SCOPES[scope], "num_updates"}


CASTS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "bfloat16": lambda model: model.to(torch.bfloat16),
    "float16": lambda model: model.to(torch.float16),
    "half": lambda model: model.half(),
}


@pytest.mark.parametrize("cast", sorted(CASTS))
def test_a_cast_to_half_precision_leaves_the_teacher_in_float32(make_model: Callable, scope: str, cast: str) -> None:
    model = make_model(Data2Vec2AudioForPreTraining, teacher_scope=scope)
    before = {name: tensor.clone() for name, tensor in model.teacher.state_dict().items()}
    CASTS[cast](model)
    assert next(model.data2vec2_audio.parameters()).dtype in (torch.bfloat16, torch.float16)
    after = model.teacher.state_dict()
    assert all(
        torch.equal(after[name], tensor) and after[name].dtype == tensor.dtype for name, tensor in before.items()
    )


def test_loading_in_bfloat16_leaves_the_teacher_in_float32(make_model: Callable, scope: str, tmp_path: Path) -> None:
    model = make_model(Data2Vec2AudioForPreTraining, teacher_scope=scope)
    model.save_pretrained(tmp_path)
    loaded = Data2Vec2AudioForPreTraining.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert loaded.data2vec2_audio.trunk.layers[0].mlp.fc1.weight.dtype == torch.bfloat16
    for name, tensor in model.teacher.state_dict().items():
        assert torch.equal(loaded.teacher.state_dict()[name], tensor), name


def test_a_model_made_in_bfloat16_has_a_float32_teacher(make_config: Callable, scope: str) -> None:
    model = AutoModelForPreTraining.from_config(make_config(teacher_scope=scope), dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in model.data2vec2_audio.parameters()} == {torch.bfloat16}
    assert {parameter.dtype for parameter in model.teacher.parameters()} == {torch.float32}


def test_a_cast_to_double_takes_the_teacher_along(make_model: Callable) -> None:
    model = make_model(Data2Vec2AudioForPreTraining).double()
    assert {parameter.dtype for parameter in model.teacher.parameters()} == {torch.float64}


def test_a_bfloat16_student_moves_its_float32_teacher(make_model: Callable, scope: str) -> None:
    """In bfloat16 a step of 0.001 of the difference would vanish."""
    model = make_model(Data2Vec2AudioForPreTraining, teacher_scope=scope, ema_decay=0.999, ema_end_decay=0.999)
    model.to(torch.bfloat16)
    move_student(model)
    before = {name: tensor.clone() for name, tensor, _ in teacher_pairs(model)}
    model.update_teacher()
    for name, mine, theirs in teacher_pairs(model):
        torch.testing.assert_close(mine, before[name].lerp(theirs.float(), 0.001))
        assert not torch.equal(mine, before[name]), name


def test_the_update_is_the_published_average(make_model: Callable, scope: str) -> None:
    model = make_model(Data2Vec2AudioForPreTraining, teacher_scope=scope)
    before = {name: tensor.clone() for name, tensor, _ in teacher_pairs(model)}
    move_student(model)
    decay = model.update_teacher(step=25_000)
    assert decay == ema_decay(25_000, 0.999, 0.99999, anneal_steps=75_000)
    for name, mine, theirs in teacher_pairs(model):
        torch.testing.assert_close(mine, decay * before[name] + (1 - decay) * theirs)


def test_the_schedule_rises_linearly_and_stays() -> None:
    assert ema_decay(0, 0.9, 1.0, anneal_steps=100) == pytest.approx(0.9)
    assert ema_decay(50, 0.9, 1.0, anneal_steps=100) == pytest.approx(0.95)
    assert ema_decay(100, 0.9, 1.0, anneal_steps=100) == 1.0
    assert ema_decay(10**9, 0.9, 0.99, anneal_steps=100) == 0.99
    assert ema_decay(0, 0.9, 0.99, anneal_steps=0) == 0.99


def test_updates_are_counted_where_no_step_is_given(make_model: Callable) -> None:
    model = make_model(Data2Vec2AudioForPreTraining, ema_decay=0.5, ema_end_decay=1.0, ema_anneal_end_step=4)
    assert [model.update_teacher() for _ in range(5)] == [0.625, 0.75, 0.875, 1.0, 1.0]
    assert int(model.teacher.num_updates) == 5


def test_a_decay_of_one_freezes_the_teacher(make_model: Callable) -> None:
    model = make_model(Data2Vec2AudioForPreTraining, ema_decay=1.0, ema_end_decay=1.0)
    before = {name: tensor.clone() for name, tensor, _ in teacher_pairs(model)}
    move_student(model)
    assert model.update_teacher() == 1.0
    assert all(torch.equal(mine, before[name]) for name, mine, _ in teacher_pairs(model))


def train(model: Data2Vec2AudioForPreTraining, batch: dict, num_steps: int, update: bool) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    model.train()
    for _ in range(num_steps):
        model(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if update:
            model.update_teacher()


def test_an_optimizer_over_all_parameters_leaves_the_teacher_alone(
    make_model: Callable, make_batch: Callable, scope: str
) -> None:
    model = make_model(Data2Vec2AudioForPreTraining, teacher_scope=scope)
    teacher = {name: tensor.clone() for name, tensor, _ in teacher_pairs(model)}
    train(model, make_batch([600, 500]), num_steps=2, update=False)
    for name, mine, theirs in teacher_pairs(model):
        assert torch.equal(mine, teacher[name]), name
        assert not torch.equal(mine, theirs), name


def test_training_without_updates_says_so(make_model: Callable, make_batch: Callable, scope: str) -> None:
    model = make_model(Data2Vec2AudioForPreTraining, teacher_scope=scope)
    with pytest.raises(RuntimeError, match=r"Call `model\.update_teacher\(\)` after every `optimizer\.step\(\)`"):
        train(model, make_batch([600, 500]), num_steps=MAX_STALE_STEPS + 2, update=False)


def test_training_that_stops_updating_says_so(make_model: Callable, make_batch: Callable) -> None:
    model = make_model(Data2Vec2AudioForPreTraining)
    batch = make_batch([600, 500])
    train(model, batch, num_steps=3, update=True)
    with pytest.raises(RuntimeError, match="teacher was last updated"):
        train(model, batch, num_steps=MAX_STALE_STEPS + 2, update=False)


def test_a_frozen_waveform_encoder_does_not_hide_a_forgotten_update(
    make_model: Callable, make_batch: Callable
) -> None:
    model = make_model(Data2Vec2AudioForPreTraining, teacher_scope="model")
    model.freeze_feature_encoder()
    with pytest.raises(RuntimeError, match="teacher was last updated"):
        train(model, make_batch([600, 500]), num_steps=MAX_STALE_STEPS + 2, update=False)


def test_train_mode_tells_of_it_where_a_compiled_forward_cannot(make_model: Callable) -> None:
    model = make_model(Data2Vec2AudioForPreTraining)
    parameter = next(model.data2vec2_audio.context_encoder.parameters())
    for _ in range(MAX_STALE_STEPS):
        model.train()
        parameter.data.add_(1)
    with pytest.raises(RuntimeError, match="teacher was last updated"):
        model.train()


def test_a_parameter_without_elements_does_not_hide_a_forgotten_update() -> None:
    """Such as one that is sharded over more processes than it has rows."""
    student = nn.Module()
    student.empty, student.linear = nn.Parameter(torch.empty(0, 3)), nn.Linear(3, 3)
    teacher = EMATeacher({"student": student})
    for _ in range(MAX_STALE_STEPS):
        teacher.assert_updated({"student": student})
        student.linear.weight.data.add_(1)
    with pytest.raises(RuntimeError, match="times since its teacher was last updated"):
        teacher.assert_updated({"student": student})


def test_a_forgotten_update_is_found_where_asking_costs_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU: the steps are counted there, and asked for now and then; never while there are updates."""
    monkeypatch.setattr(teacher_module, "can_ask", lambda tensor: False)
    student = {"student": nn.Linear(3, 3)}
    teacher = EMATeacher(student)

    def train_a_step() -> None:
        teacher.assert_updated(student)
        student["student"].weight.data.add_(1)

    with counted_waits() as waits:
        for _ in range(3):
            for _ in range(CHECKS_PER_QUESTION - 1):
                train_a_step()
            teacher.update(student, 0.5)
    assert not waits
    for _ in range(CHECKS_PER_QUESTION - 1):
        train_a_step()
    with pytest.raises(RuntimeError, match=f"optimised {CHECKS_PER_QUESTION - 1} times since its teacher"):
        train_a_step()


def test_other_values_than_before_are_a_step() -> None:
    """What is watched may change its size, as when the first parameter is frozen."""
    student = {"student": nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))}
    teacher = EMATeacher(student)
    teacher.assert_updated(student)
    student["student"][0].requires_grad_(False)
    teacher.assert_updated(student)
    assert teacher._stale_steps == 1


def test_a_resynchronised_teacher_is_not_stale(make_model: Callable, make_batch: Callable) -> None:
    model = make_model(Data2Vec2AudioForPreTraining)
    batch = make_batch([600, 500])
    for _ in range(3):
        train(model, batch, num_steps=MAX_STALE_STEPS - 1, update=False)
        model.reset_teacher()
    assert int(model.teacher.num_updates) == 0


def test_a_teacher_of_other_sizes_is_replaced_by_the_student(
    make_model: Callable, make_config: Callable, tmp_path: Path
) -> None:
    make_model(Data2Vec2AudioForPreTraining).save_pretrained(tmp_path)
    wider = make_config(hidden_size=20, num_attention_heads=2, num_conv_pos_embedding_groups=2)
    model = Data2Vec2AudioForPreTraining.from_pretrained(tmp_path, config=wider, ignore_mismatched_sizes=True)
    student = model._student_stages()
    for name, module in student.items():
        for mine, theirs in zip(model.teacher.get_submodule(name).parameters(), module.parameters(), strict=True):
            assert torch.equal(mine, theirs)


def test_training_with_updates_and_accumulation_goes_on(make_model: Callable, make_batch: Callable) -> None:
    model = make_model(Data2Vec2AudioForPreTraining)
    batch = make_batch([600, 500])
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    model.train()
    for _ in range(2 * MAX_STALE_STEPS):
        for _ in range(3):
            model(**batch).loss.backward()
        optimizer.step()
        model.update_teacher()
    assert int(model.teacher.num_updates) == 2 * MAX_STALE_STEPS


def test_forwards_without_optimisation_need_no_update(make_model: Callable, make_batch: Callable) -> None:
    model = make_model(Data2Vec2AudioForPreTraining).train()
    losses = [model(**make_batch([600])).loss for _ in range(3 * MAX_STALE_STEPS)]
    assert torch.isfinite(torch.stack(losses)).all()


def test_dropout_of_the_student_does_not_reach_the_targets(make_model: Callable, make_batch: Callable) -> None:
    """Behind the local features, which have none, everything is the teacher's; with scope "trunk" it is not."""
    batch = make_batch([600, 500])
    dropouts = {"hidden_dropout": 0.5, "attention_dropout": 0.5, "prenet_dropout": 0.5}
    model = make_model(Data2Vec2AudioForPreTraining, **dropouts).train()
    assert torch.equal(model(**batch).targets, model(**batch).targets)
    model = make_model(Data2Vec2AudioForPreTraining, teacher_scope="trunk", **dropouts).train()
    assert not torch.equal(model(**batch).targets, model(**batch).targets)


def test_targets_carry_no_gradient(make_model: Callable, make_batch: Callable, scope: str) -> None:
    outputs = make_model(Data2Vec2AudioForPreTraining, teacher_scope=scope).train()(**make_batch([600, 500]))
    assert not outputs.targets.requires_grad
    assert outputs.predictions.requires_grad


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_targets_are_the_mean_of_the_last_layers(top_k: int) -> None:
    layers = [torch.randn(2, 5, 4) for _ in range(3)]
    targets = average_layers(layers, top_k=top_k, layer_norms=(), target_norms=(), frame_mask=None)
    torch.testing.assert_close(targets, torch.stack(layers[-top_k:]).mean(0))


NORMS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "layer": lambda values: F.layer_norm(values, values.shape[-1:]),
    "instance": lambda values: F.instance_norm(values.transpose(1, 2)).transpose(1, 2),
    "batch": lambda values: F.batch_norm(values.transpose(1, 2), None, None, training=True).transpose(1, 2),
}


@pytest.mark.parametrize("where", ["layer_norms", "target_norms"])
@pytest.mark.parametrize("norm", sorted(NORMS))
def test_target_norms_are_those_of_torch(norm: str, where: str) -> None:
    layer = torch.randn(3, 7, 4) * 5 + 2
    norms = {"layer_norms": (), "target_norms": ()} | {where: (norm,)}
    targets = average_layers([layer], top_k=1, frame_mask=None, **norms)
    torch.testing.assert_close(targets, NORMS[norm](layer))


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_statistics_come_from_real_frames(norm: str) -> None:
    layer = torch.randn(2, 7, 4)
    frame_mask = torch.arange(7).expand(2, 7) < torch.tensor([[7], [5]])
    options = {"top_k": 1, "layer_norms": (norm,), "target_norms": (), "frame_mask": frame_mask}
    targets = average_layers([layer], **options)
    real = targets[frame_mask] if norm == "batch" else targets[1, :5]
    torch.testing.assert_close(real.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(real.var(0, correction=0), torch.ones(4), atol=1e-3, rtol=0)
    disturbed = layer.clone()
    disturbed[1, 5:] = 1e4
    torch.testing.assert_close(average_layers([disturbed], **options)[frame_mask], targets[frame_mask])


def test_norms_are_applied_in_order() -> None:
    layers = [torch.randn(2, 7, 4) for _ in range(2)]
    targets = average_layers(
        layers, top_k=2, layer_norms=("instance", "layer"), target_norms=("layer", "instance"), frame_mask=None
    )
    mean = torch.stack([NORMS["layer"](NORMS["instance"](layer)) for layer in layers]).mean(0)
    torch.testing.assert_close(targets, NORMS["instance"](NORMS["layer"](mean)))


def test_one_frame_has_targets_too() -> None:
    targets = average_layers(
        [torch.randn(1, 1, 4)], top_k=1, layer_norms=("instance",), target_norms=(), frame_mask=None
    )
    assert torch.equal(targets, torch.zeros(1, 1, 4))


def test_half_precision_layers_give_float32_targets() -> None:
    targets = average_layers(
        [torch.randn(1, 5, 4, dtype=torch.bfloat16)] * 2, top_k=2, layer_norms=(), target_norms=(), frame_mask=None
    )
    assert targets.dtype == torch.float32
