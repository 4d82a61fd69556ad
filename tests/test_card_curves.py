# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The course of a run in its card."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hf_ssl import card_curves
from hf_ssl.card import CardWords, Run, make_card
from hf_ssl.card_curves import course_table, draw_course


def log(count: int) -> list[dict[str, float]]:
    entries = [{"loss": 100.0 / step, "grad_norm": 1.0, "epoch": 0.5, "step": step} for step in range(1, count + 1)]
    entries[-1]["target_std"] = 0.25
    return [*entries, {"train_runtime": 3.0, "step": count}]


def test_the_course_of_a_run_is_shown_at_a_few_updates():
    lines = course_table(log(101)).splitlines()
    assert lines[0] == "| after so many updates | 1 | 21 | 41 | 61 | 81 | 101 |"
    assert lines[2] == "| loss | 100 | 4.76 | 2.44 | 1.64 | 1.23 | 0.99 |"
    assert lines[-1] == "| target_std | - | - | - | - | - | 0.25 |"
    assert not any("epoch" in line or "runtime" in line for line in lines)


def test_short_logs_have_fewer_columns_or_none():
    assert course_table(log(3)).splitlines()[0] == "| after so many updates | 1 | 2 | 3 |"
    assert course_table(log(1)) == ""
    assert course_table([]) == ""


def test_there_is_a_chart_of_each_figure(tmp_path: Path):
    pytest.importorskip("matplotlib")
    assert draw_course(log(101), tmp_path)
    with Image.open(tmp_path / "curves.png") as picture:
        pixels = np.asarray(picture.convert("RGB"), dtype=int)
    blue = (pixels[..., 2] - pixels[..., 0]) > 120  # the curves
    columns = np.flatnonzero(blue.any(axis=0))
    thirds = np.unique(columns * 3 // pixels.shape[1])
    assert thirds.tolist()[:2] == [0, 1]  # loss and grad_norm; of target_std there is one point, and so no line


@pytest.mark.parametrize("count", [0, 1])
def test_short_logs_have_no_picture(tmp_path: Path, count: int):
    assert not draw_course(log(count) if count else [], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_the_table_remains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(card_curves, "find_spec", lambda name: None)
    assert not draw_course(log(5), tmp_path)
    run = Run("BestRqForPreTraining", "best-rq", "audio", steps=3, epochs=0.5, log=log(3))
    assert "curves.png" not in make_card(run, CardWords("mine"))


def test_cards_show_the_picture_that_is_there():
    run = Run("BestRqForPreTraining", "best-rq", "audio", steps=3, epochs=0.5, log=log(3), has_picture=True)
    assert "| after so many updates | 1 | 2 | 3 |" in make_card(run, CardWords("mine"))
    assert "\n\n![Curves of the run](curves.png)\n\n" in make_card(run, CardWords("mine"))


def test_cards_have_it_and_say_which_class_opens_data2vec_for_text():
    run = Run("Data2VecTextForPreTraining", "data2vec-text", "text", steps=3, epochs=0.5, log=log(3))
    text = make_card(run, CardWords("mine"))
    assert "| after so many updates | 1 | 2 | 3 |" in text
    assert "from hf_ssl import Data2VecTextForPreTraining" in text
    assert "AutoModelForPreTraining" not in text
