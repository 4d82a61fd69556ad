# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The demo's picture: drawn, legible, and honest about its input."""

import sys
from pathlib import Path
from typing import Any

import pytest

from hf_ssl.demo.plots import Curve, plot_demo

CURVES = (
    Curve("loss", "Pre-training loss", "Loss", "blue", reference="target_std", reference_label="something to compare"),
    Curve("target_std", "Spread of the targets", "Standard deviation", "green"),
    Curve("between_utterance_share", "Share of the targets' variance\nbetween utterances", "Share", "purple"),
)
HISTORY: list[dict[str, Any]] = [
    {"step": step, "loss": 1 / (1 + step), "target_std": 0.5, "between_utterance_share": 0.3} for step in range(5)
]
ARMS: list[dict[str, Any]] = [
    {"task": "words", "arm": "pre-trained", "test": 0.8, "metric": "accuracy", "chance": 0.03},
    {"task": "words", "arm": "random", "test": 0.2, "metric": "accuracy", "chance": 0.03},
    {"task": "ctc", "arm": "pre-trained", "test": 1.3, "metric": "wer"},
    {"task": "ctc", "arm": "pre-trained", "test": 0.1, "metric": "cer"},
]


class Drawn:
    """What was put on the axes of the figure that `plot_demo` saved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from matplotlib.figure import Figure

        save = Figure.savefig

        def keep(figure: Figure, *arguments: Any, **options: Any) -> None:
            self.figure = figure
            save(figure, *arguments, **options)

        monkeypatch.setattr(Figure, "savefig", keep)

    @property
    def axes(self) -> dict[tuple[str, str], Any]:
        return {(axes.get_title(), axes.get_ylabel()): axes for axes in self.figure.axes}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    pytest.importorskip("matplotlib", reason='matplotlib is not installed: pip install "hf-ssl[demo]"')
    return Drawn(monkeypatch)


def test_writes_a_png_into_a_new_folder(drawn: Drawn, tmp_path: Path) -> None:
    path = plot_demo(HISTORY, CURVES, ARMS, tmp_path / "new" / "demo.png")
    assert path == tmp_path / "new" / "demo.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_every_result_is_a_bar_with_its_value(drawn: Drawn, tmp_path: Path) -> None:
    plot_demo(HISTORY, CURVES, ARMS, tmp_path / "demo.png")
    words = drawn.axes["Which word is it?", "Accuracy (%), higher is better"]
    assert [bar.get_height() for bar in words.patches] == pytest.approx([80, 20])
    assert [text.get_text() for text in words.texts] == ["80.0", "20.0"]
    wer = drawn.axes["Transcribing after fine-tuning", "Word error rate (%), lower is better"]
    assert wer.texts[0].get_text() == "130.0"
    assert wer.get_ylim()[1] > 130  # a rate over 100 % is not cut off
    cer = drawn.axes["Transcribing after fine-tuning", "Character error rate (%), lower is better"]
    assert cer.patches[0].get_facecolor() == words.patches[0].get_facecolor()


def test_curves_are_those_of_the_history(drawn: Drawn, tmp_path: Path) -> None:
    # As the Trainer leaves it: the last entry sums the run up and has no loss.
    history = [{"step": 1, "loss": 4.0}, {"step": 2, "loss": 3.0}, {"step": 2, "train_runtime": 9.0}]
    plot_demo(history, CURVES, ARMS, tmp_path / "demo.png")
    titles = [title for title, _ in drawn.axes]
    assert "Spread of the targets" not in titles
    line = drawn.axes["Pre-training loss", "Loss"].lines[0]
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([1, 2], [4.0, 3.0])


def test_a_reference_is_drawn_into_the_chart_and_named(drawn: Drawn, tmp_path: Path) -> None:
    plot_demo(HISTORY, CURVES, ARMS, tmp_path / "demo.png")
    axes = drawn.axes["Pre-training loss", "Loss"]
    assert list(axes.lines[1].get_ydata()) == [0.5] * 5
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["something to compare"]


def test_no_text_overlaps_another(drawn: Drawn, tmp_path: Path) -> None:
    arms = [
        {"task": task, "arm": arm, "test": 0.5, "metric": metric}
        for task, metric in (("words", "accuracy"), ("voices", "accuracy"), ("ctc", "wer"), ("ctc", "cer"))
        for arm in ("pre-trained", "random initialisation", "from scratch, summed wall time")
    ]
    plot_demo(HISTORY, CURVES, arms, tmp_path / "demo.png")
    boxes = [
        text.get_window_extent()
        for axes in drawn.figure.axes
        for text in (axes.title, axes.xaxis.label, axes.yaxis.label, *axes.get_xticklabels(), *axes.texts)
        if text.get_text()
    ]
    overlaps = [(first, second) for i, first in enumerate(boxes) for second in boxes[:i] if first.overlaps(second)]
    assert overlaps == []


def test_without_results_only_the_curves_are_drawn(tmp_path: Path) -> None:
    with_results = plot_demo(HISTORY, CURVES, ARMS, tmp_path / "both.png")
    curves_only = plot_demo(HISTORY, CURVES, [], tmp_path / "curves.png")
    assert 0 < curves_only.stat().st_size < with_results.stat().st_size


@pytest.mark.parametrize(
    ("history", "arms", "message"),
    [
        ([], ARMS, "history with at least one"),
        ([{"step": 1, "eval_loss": 2.0}], ARMS, "history with at least one"),
        (HISTORY, [{"task": "words", "arm": "a", "test": 1.0, "metric": "bleu"}], "'bleu'"),
    ],
)
def test_bad_input_is_named(
    drawn: Drawn, history: list[dict[str, Any]], arms: list[dict[str, Any]], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        plot_demo(history, CURVES, arms, tmp_path / "demo.png")


def test_missing_matplotlib_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "hf-ssl\[demo\]"'):
        plot_demo(HISTORY, CURVES, ARMS, tmp_path / "demo.png")
