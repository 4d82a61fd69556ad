# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""One process of `test_sharding.py`: trains a sharded model over gloo and compares it with the whole one.

torchrun --nproc_per_node 2 sharded_worker.py FOLDER
"""

import sys
from pathlib import Path

import torch
from fast_paths import FUNCTIONS, functions_that_run
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.debug import CommDebugMode

from hf_ssl import Data2Vec2AudioForPreTraining, Data2VecAqcForPreTraining, Data2VecAudioForPreTraining
from hf_ssl.models.modeling_data2vec2 import Data2Vec2Layer
from hf_ssl.training.model_sizes import data2vec2_audio_config, data2vec_aqc_config, data2vec_audio_config

NUM_STEPS = 3
NO_NOISE = dict.fromkeys(
    ("mask_noise_std", "decoder_input_dropout", "layerdrop", "hidden_dropout", "attention_dropout",
     "prenet_dropout", "prenet_layerdrop"), 0.0
)  # fmt: skip


def make_model(**noise: float) -> Data2Vec2AudioForPreTraining:
    torch.manual_seed(0)
    fields = NO_NOISE | noise
    config = data2vec2_audio_config("tiny", ema_decay=0.5, ema_end_decay=0.9, teacher_scope="model", **fields)
    return Data2Vec2AudioForPreTraining(config).train()


def shard(model: nn.Module) -> None:
    """Every layer of student and teacher, then the rest."""
    for module in model.modules():
        if isinstance(module, Data2Vec2Layer):
            fully_shard(module)
    fully_shard(model)


def train(model: Data2Vec2AudioForPreTraining) -> list[float]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    waveforms = torch.randn(2, 4000, generator=torch.Generator().manual_seed(1))
    losses = []
    for step in range(NUM_STEPS):
        torch.manual_seed(step)  # masks
        loss = model(waveforms).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        with CommDebugMode() as communication:
            model.update_teacher()
        assert communication.get_total_counts() == 0, "the teacher's update communicated"
        losses.append(loss.item())
    return losses


def compare_under_autocast() -> None:
    """With dropout, all hand-written functions run in the sharded model as in the whole one; the losses agree."""
    losses = []
    for is_sharded in (False, True):
        model = make_model(hidden_dropout=0.1, attention_dropout=0.1)
        if is_sharded:
            shard(model)
        with functions_that_run() as names, torch.autocast("cpu", torch.bfloat16):
            losses.append(train(model))
        assert names == set(FUNCTIONS), names
    torch.testing.assert_close(losses[1], losses[0], rtol=0.02, atol=0)


def train_in_mixed_precision() -> None:
    """Layers whose arguments FSDP casts, and which are dropped otherwise in each process: with the teachers' targets,
    and without waiting for each other for ever."""
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16)
    for model in (
        make_model(layerdrop=0.5),
        Data2VecAudioForPreTraining(data2vec_audio_config("tiny", layerdrop=0.5)).train(),
        Data2VecAqcForPreTraining(data2vec_aqc_config("tiny", layerdrop=0.5)).train(),
    ):
        for module in model.modules():
            if type(module).__name__ in model._no_split_modules:
                fully_shard(module, mp_policy=policy)
        fully_shard(model, mp_policy=policy)
        for step in range(NUM_STEPS):
            torch.manual_seed(10 * step + torch.distributed.get_rank())
            loss = model(torch.randn(2, 4000)).loss
            loss.backward()
            model.update_teacher()
            assert torch.isfinite(loss)


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    train_in_mixed_precision()
    compare_under_autocast()
    whole, sharded = make_model(), make_model()
    shard(sharded)
    assert all(isinstance(parameter, DTensor) for parameter in sharded.parameters())
    assert any(parameter.to_local().numel() < parameter.numel() for parameter in sharded.teacher.parameters())

    expected, losses = train(whole), train(sharded)
    torch.testing.assert_close(losses, expected, rtol=1e-5, atol=0)
    state = get_model_state_dict(sharded, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    if torch.distributed.get_rank() == 0:
        for name, tensor in whole.state_dict().items():
            torch.testing.assert_close(
                state[name], tensor, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: name + text
            )
        whole.save_pretrained(folder, state_dict=state)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
