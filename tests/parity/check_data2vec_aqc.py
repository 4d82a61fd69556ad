# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""A data2vec-aqc case, the public way: convert, `from_pretrained`, forward in both modes, backward, one step, teacher,
and back to the original's layout."""

from collections.abc import Mapping
from pathlib import Path

import torch
from parity.golden import GoldenCase
from parity.recorder import Recorder

from hf_ssl import Data2VecAqcForPreTraining, Data2VecAqcModel
from hf_ssl.conversion import convert_checkpoint, convert_to_fairseq
from hf_ssl.conversion.data2vec_aqc_weights import aqc_weight_name
from hf_ssl.conversion.data2vec_audio_weights import teacher_weight_name
from hf_ssl.models.clustering import Clusters
from hf_ssl.models.cross_contrast import ContrastiveDraws, QuantizedView
from hf_ssl.models.modeling_data2vec_aqc import Data2VecAqcForPreTrainingOutput
from hf_ssl.models.quantizers import QuantizedVectors
from hf_ssl.training.monitoring import feature_std


def check(case: GoldenCase, folder: Path) -> None:
    case.load()
    convert_checkpoint(case.folder / "checkpoint.pt", folder)
    _check_features(case, folder)
    for mode in ("eval", "train"):
        model = Data2VecAqcForPreTraining.from_pretrained(folder)
        model.train(mode == "train")
        _check_step(case, model, mode)
        _check_gradients(case, model, mode)
        if mode == "train":
            _check_teacher_update(case, model)
    case.assert_all_compared()
    _check_way_back(case, folder)


def _check_features(case: GoldenCase, folder: Path) -> None:
    model, recorder = Data2VecAqcModel.from_pretrained(folder), Recorder()
    for index, layer in enumerate(model.encoder.layers):
        recorder.watch(f"layer{index}.x", layer)
        recorder.watch(f"layer{index}.lr", layer.feed_forward)
    attention_mask = _attention_mask(case)
    with torch.no_grad():
        outputs = model(case.use("input.source"), attention_mask=attention_mask)
    for name, output in recorder.outputs.items():
        case.compare(f"feat.{name}", output.transpose(0, 1))
    case.compare("feat.x", outputs.last_hidden_state)
    if attention_mask is not None:
        frames = model._get_feature_vector_attention_mask(outputs.last_hidden_state.shape[1], attention_mask)
        case.compare("feat.padding_mask", ~frames)


class _Calls:
    """Inputs and outputs of the modules that are called twice: first for the clean view, or for the student, then for
    the augmented one, or for the teacher."""

    def __init__(self, model: Data2VecAqcForPreTraining):
        self.inputs: dict[str, list[torch.Tensor]] = {}
        self.outputs: dict[str, list] = {}
        contrast = model.contrast
        self._watch("local", model.data2vec_aqc.feature_projection.projection)
        self._watch("encoder", model.data2vec_aqc.encoder)
        self._watch("quantizer", contrast.quantizer)
        self._watch("target_projection", contrast.target_projection)
        self._watch("anchor_projection", contrast.anchor_projection)

    def _watch(self, name: str, module: torch.nn.Module) -> None:
        def hook(_: torch.nn.Module, inputs: tuple, output: torch.Tensor | QuantizedVectors) -> None:
            self.inputs.setdefault(name, []).append(inputs[0].detach())
            self.outputs.setdefault(name, []).append(output)

        module.register_forward_hook(hook)


def _check_step(case: GoldenCase, model: Data2VecAqcForPreTraining, mode: str) -> None:
    model.teacher.num_updates.fill_(case.meta["train_case"]["ema"]["num_updates_before"])
    calls, recorder = _Calls(model), Recorder()
    for index, layer in enumerate(model.teacher.encoder.layers):
        recorder.watch(f"teacher{index}", layer.feed_forward)
    views, clusterings = _record_contrast(model)
    mask = case.use("input.mask_indices")
    outputs = model(
        case.use("input.source"),
        augmented_values=case.use("input.augmentation"),
        attention_mask=_attention_mask(case),
        mask_time_indices=mask,
        draws=_draws(case, model, mode, len(mask)),
    )
    outputs.loss.backward()
    expected_temperature = case.meta[f"{mode}_case"]["quantizer_temp"]
    assert abs(model.contrast.temperature(model.teacher.num_updates).item() - expected_temperature) < 1e-5
    _check_branches(case, calls, recorder, model, mode)
    case.compare(f"{mode}.final_proj_out", outputs.predictions)
    case.compare(f"{mode}.targets_masked", outputs.targets[mask].view(len(mask), -1, model.config.hidden_size))
    _check_contrast(case, outputs, views, mode)
    _check_clusters(case, clusterings[0], mode)
    _check_losses(case, outputs, model, mode)


def _record_contrast(model: Data2VecAqcForPreTraining) -> tuple[list[QuantizedView], list[Clusters]]:
    """What goes between the parts of the objective that are no modules."""
    views: list[QuantizedView] = []
    clusterings: list[Clusters] = []
    contrast = model.contrast
    make_view, cluster = contrast._view, contrast._cluster

    def record_view(*arguments) -> QuantizedView:
        views.append(make_view(*arguments))
        return views[-1]

    def record_clusters(*arguments) -> Clusters:
        clusterings.append(cluster(*arguments))
        return clusterings[-1]

    contrast._view, contrast._cluster = record_view, record_clusters  # type: ignore[method-assign]
    return views, clusterings


def _draws(case: GoldenCase, model: Data2VecAqcForPreTraining, mode: str, batch_size: int) -> ContrastiveDraws:
    """The stored draws: noise in rows of utterance, slot and group; negatives as rows of all slots."""
    config = model.config
    noises: list[torch.Tensor | None] = [None, None]
    negatives = []
    for index, view in enumerate(("src", "aug")):
        rows = case.use(f"{mode}.neg_idxs.{view}")
        num_slots = rows.shape[1] // config.num_negatives
        first_rows = torch.arange(batch_size).view(-1, 1, 1) * num_slots
        negatives.append(rows.view(batch_size, num_slots, config.num_negatives) - first_rows)
        _check_drawn(case.use(f"{mode}.neg_draw.{view}").view_as(negatives[-1]), negatives[-1])
        if mode == "train":
            noise = case.use(f"train.gumbel.{view}")
            torch.testing.assert_close(-case.use(f"train.gumbel_exp.{view}").log(), noise)
            noises[index] = noise.view(batch_size, -1, config.num_codevector_groups, config.num_codevectors_per_group)
    return ContrastiveDraws(*noises, *negatives, case.use(f"{mode}.kmeans.init_idx").unsqueeze(0))


def _check_drawn(drawn: torch.Tensor, negatives: torch.Tensor) -> None:
    """Negatives are what is drawn of the others."""
    own = torch.arange(drawn.shape[1]).view(1, -1, 1)
    assert torch.equal(negatives, drawn + (drawn >= own))


def _check_branches(
    case: GoldenCase, calls: _Calls, recorder: Recorder, model: Data2VecAqcForPreTraining, mode: str
) -> None:
    config = model.config
    _check_local_features(case, calls, model, mode)
    for index, view in enumerate(("src", "aug")):
        case.compare(f"{mode}.quantizer.{view}.in", calls.inputs["quantizer"][index])
        quantized = calls.outputs["quantizer"][index]
        case.compare(f"{mode}.quantizer.{view}.out", quantized.vectors)
        case.compare(f"{mode}.quantizer.{view}.prob_perplexity", quantized.probability_perplexity)
        case.compare(f"{mode}.quantizer.{view}.code_perplexity", quantized.code_perplexity)
        case.compare(f"{mode}.project_q.{view}", calls.outputs["target_projection"][index])
    case.compare(f"{mode}.contr_proj.x", calls.outputs["anchor_projection"][0])
    case.compare(f"{mode}.contr_proj.y", calls.outputs["anchor_projection"][1])
    case.compare(f"{mode}.student_enc_out_aug", calls.outputs["encoder"][0].last_hidden_state)
    first = config.num_hidden_layers - config.average_top_k_layers
    for index in range(config.average_top_k_layers):
        case.compare(f"{mode}.teacher.lr{index}", recorder.outputs[f"teacher{first + index}"].transpose(0, 1))


def _check_local_features(case: GoldenCase, calls: _Calls, model: Data2VecAqcForPreTraining, mode: str) -> None:
    """They are stored with the mask, and those that are encoded with zeros at padding: the original writes both into
    the very tensors."""
    hide, mask = model.data2vec_aqc.hide_frames, case.tensors["input.mask_indices"]
    clean, augmented = calls.outputs["local"]
    real = torch.ones_like(mask)
    if "feat.padding_mask" in case.tensors:
        real = ~case.tensors["feat.padding_mask"]
    case.compare(f"{mode}.student_features_src", hide(clean, mask))
    case.compare(f"{mode}.student_features_aug", hide(augmented, mask) * real.unsqueeze(-1))
    case.compare(f"{mode}.student_enc_in_aug", calls.inputs["encoder"][0] * real.unsqueeze(-1))


def _check_contrast(
    case: GoldenCase, outputs: Data2VecAqcForPreTrainingOutput, views: list[QuantizedView], mode: str
) -> None:
    for name, view, logits in zip("st", views, (outputs.student_logits, outputs.teacher_logits), strict=True):
        logits = logits.permute(2, 0, 1)
        _compare_logits(case, f"{mode}.sims_{name}", logits)
        own_code, own_label = view.codes.unsqueeze(-1), view.labels.unsqueeze(-1)
        rows = torch.arange(len(view.codes)).view(-1, 1, 1)
        collisions = (view.codes[rows, view.negatives] == own_code).permute(2, 0, 1)
        mates = (view.labels[rows, view.negatives] == own_label).permute(2, 0, 1)
        case.compare(f"{mode}.neg_is_pos_{name}", collisions)
        case.compare(f"{mode}.filter_negs_{name}", mates)
        assert case.meta[f"{mode}_case"][f"neg_is_pos_any_{name}"] == collisions.any()
        # the similarities themselves, where nothing was done to them
        untouched = ~collisions & ~(mates & collisions.any())
        raw = case.use(f"{mode}.sims_{name}.raw")
        torch.testing.assert_close(logits[0], raw[0], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(logits[1:][untouched], raw[1:][untouched], rtol=1e-4, atol=1e-4)


def _compare_logits(case: GoldenCase, name: str, logits: torch.Tensor) -> None:
    """Excluded negatives are at minus infinity in both."""
    excluded = case.tensors[name].isneginf()
    assert torch.equal(logits.isneginf(), excluded)
    case.tensors[name] = case.tensors[name].masked_fill(excluded, 0)
    case.compare(name, logits.masked_fill(excluded, 0))


def _check_clusters(case: GoldenCase, clusters: Clusters, mode: str) -> None:
    assert clusters.is_cluster.all()
    assert clusters.is_cluster.shape[1] == case.meta[f"{mode}_case"]["kmeans"]["n_clusters"]
    case.compare(f"{mode}.kmeans.labels", clusters.labels[0])
    case.compare(f"{mode}.kmeans.centroids", clusters.centroids[0])
    vectors = torch.cat([case.tensors[f"{mode}.project_q.{view}"].flatten(0, 1) for view in ("src", "aug")])
    case.compare(f"{mode}.kmeans.data", torch.nn.functional.normalize(vectors, dim=-1))


def _check_losses(
    case: GoldenCase, outputs: Data2VecAqcForPreTrainingOutput, model: Data2VecAqcForPreTraining, mode: str
) -> None:
    num_predicted, hidden_size = outputs.prediction_mask.sum(), model.config.hidden_size
    case.compare(f"{mode}.sample_size", num_predicted)
    case.compare(f"{mode}.loss_mse", outputs.regression_loss * num_predicted * hidden_size**0.5)
    case.compare(f"{mode}.loss_s", outputs.student_contrastive_loss * num_predicted)
    case.compare(f"{mode}.loss_t", outputs.teacher_contrastive_loss * num_predicted)
    regression = outputs.regression_loss + 0.5 * (outputs.student_contrastive_loss + outputs.teacher_contrastive_loss)
    case.compare(f"{mode}.loss_regression", regression * num_predicted)
    case.compare(f"{mode}.prob_perplexity", outputs.probability_perplexity)
    case.compare(f"{mode}.features_pen", outputs.features_penalty)
    case.compare(f"{mode}.loss_total", outputs.loss * num_predicted)
    case.compare(f"{mode}.target_var", feature_std(outputs.targets[outputs.prediction_mask]))
    case.compare(f"{mode}.pred_var", feature_std(outputs.predictions))


def _check_gradients(case: GoldenCase, model: Data2VecAqcForPreTraining, mode: str) -> None:
    ours, norms = dict(model.named_parameters()), case.meta[f"{mode}_case"]["grad_norms"]
    for name, norm in norms.items():
        gradient = ours[aqc_weight_name(name)].grad
        stored = f"{mode}.grad.{name}"
        if name.endswith("k_proj.bias"):  # zero but for rounding
            case.untouched.discard(stored)
            continue
        assert abs(gradient.norm().item() - norm) <= 1e-3 * norm, f"norm of gradient of {name}"
        if stored in case.tensors:
            case.compare_gradient(stored, gradient.reshape(case.tensors[stored].shape))
    with_gradient = {name for name, parameter in ours.items() if parameter.grad is not None}
    assert with_gradient == {aqc_weight_name(name) for name in norms}


def _check_teacher_update(case: GoldenCase, model: Data2VecAqcForPreTraining) -> None:
    ema = case.meta["train_case"]["ema"]
    torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=ema["sgd_lr"]).step()
    decay = model.update_teacher(step=ema["set_num_updates"])
    assert abs(decay - ema["decay"]) < 1e-12
    teacher = dict(model.teacher.named_parameters())
    assert set(teacher) == {teacher_weight_name(name, model.config.teacher_scope) for name in ema["norms_after"]}
    for name, norm in ema["norms_after"].items():
        tensor = teacher[teacher_weight_name(name, model.config.teacher_scope)]
        assert abs(tensor.norm().item() - norm) <= 1e-5 * norm, f"norm of the teacher's {name}"
        if f"train.ema_after.{name}" in case.tensors:
            case.compare(f"train.ema_after.{name}", tensor)


def _check_way_back(case: GoldenCase, folder: Path) -> None:
    """The converted folder gives back the checkpoint's weights and configuration."""
    path = convert_to_fairseq(folder, folder.with_name("back.pt"))
    expected = torch.load(case.folder / "checkpoint.pt", weights_only=True)
    found = torch.load(path, weights_only=True)
    assert found["cfg"] == expected["cfg"]
    _assert_equal_weights(found["model"].pop("_ema"), expected["model"].pop("_ema"))
    _assert_equal_weights(found["model"], expected["model"])


def _assert_equal_weights(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def _attention_mask(case: GoldenCase) -> torch.Tensor | None:
    return (~case.use("input.padding_mask").bool()).long() if "input.padding_mask" in case.tensors else None
