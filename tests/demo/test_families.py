# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What the demo says of a family must be what the family's trainer logs."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from transformers import AutoModelForPreTraining

from hf_ssl.data import SkippedFiles
from hf_ssl.demo.arms import pretrain
from hf_ssl.demo.data import own_data
from hf_ssl.demo.families import BEST_RQ, DATA2VEC2_AUDIO, DemoFamily, demo_family

FAMILIES = (DATA2VEC2_AUDIO, BEST_RQ)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.model_type)
def test_all_figures_that_are_shown_are_logged(family: DemoFamily, tmp_path: Path) -> None:
    skipped = SkippedFiles(str(tmp_path / "skipped.jsonl"))
    (tmp_path / "own").mkdir()
    for index in range(4):
        soundfile.write(tmp_path / "own" / f"{index}.wav", np.random.default_rng(index).normal(0, 0.1, 8000), 16_000)
    recordings = own_data(tmp_path / "own", "transcription", (), seed=0, skipped=skipped).recordings
    pretrained = pretrain(
        AutoModelForPreTraining.from_config(family.make_config(3)),
        family,
        family.make_feature_extractor(),
        recordings,
        tmp_path / "out",
        num_steps=3,
        learning_rate=1e-3,
        batch_size=2,
        seed=0,
        skipped=skipped,
    )
    logged = [entry for entry in pretrained.history if "loss" in entry]
    shown = {*family.bar_figures, *(curve.key for curve in family.curves)}
    shown |= {curve.reference for curve in family.curves if curve.reference is not None}
    assert all(shown <= entry.keys() for entry in logged)
    assert f"{logged[-1]['loss']:.2f}" in family.summarise(logged[0], logged[-1])


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.model_type)
def test_family_is_found_by_the_type_of_its_model(family: DemoFamily) -> None:
    config = family.make_config(100)
    assert demo_family(config.model_type) is family
    assert config.model_type == family.model_type
    assert family.finetuning_fields.keys() <= config.to_dict().keys()
