# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The page: what is in it, that it is well-formed, escaped, self-contained, and silent about the user's machine."""

import json
import math
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_helpers import HOSTILE, a_log, write_json, write_lines

from hf_ssl.cli import main
from hf_ssl.report import REPORT_NAME, write_report
from hf_ssl.weights import weights_sha256

VOID = ("br", "img", "meta")


class PageReader(HTMLParser):
    """Collects tags and texts, and checks that every element is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def read_page(path: Path) -> PageReader:
    reader = PageReader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    assert reader.open == []
    return reader


def test_a_page_says_what_was_run(make_run):
    folder = make_run()
    write_json(folder / "train_results.json", {"train_runtime": 75.0})
    write_json(folder / "test_results.json", {"test_eer": 0.25, "test_trials": 9})
    path = write_report(folder)
    assert path == folder / REPORT_NAME
    page = read_page(path)
    for words in (
        "data2vec 2.0, speech: pre-training",
        "1 min 15 s",
        "Equal error rate, test 25.0 %",
        "Its targets have not collapsed",
        "kept no record",
        "Spread of the targets",
        "Effective rank",
        "hidden_size",
        "Not on this page: what the model makes of a sample",
    ):
        assert words in page.text, words
    anchors = {attributes["id"] for tag, attributes in page.tags if tag == "section"}
    links = {str(attributes["href"]).removeprefix("#") for tag, attributes in page.tags if tag == "a"}
    assert links == anchors
    assert len(anchors) == 8


def test_nothing_is_loaded_from_anywhere(make_run):
    page = read_page(write_report(make_run()))
    assert [tag for tag, _ in page.tags if tag in ("link", "iframe", "object", "base", "form")] == []
    for tag, attributes in page.tags:
        for name in ("src", "href", "srcset", "action"):
            assert not str(attributes.get(name, "#")).startswith(("http", "//", "file")), (tag, attributes)
    policy = next(a["content"] for tag, a in page.tags if tag == "meta" and a.get("http-equiv"))
    assert policy.startswith("default-src 'none'")


def test_everything_is_escaped(make_run):
    """Whatever a file of the run says, or is called."""
    log = [entry | {HOSTILE: 1.0} for entry in a_log()]
    folder = make_run(log, {"model_type": HOSTILE, "architectures": [HOSTILE], HOSTILE: HOSTILE})
    write_json(folder / "preprocessor_config.json", {HOSTILE: [HOSTILE]})
    write_json(folder / "eval_results.json", {HOSTILE: 1})
    write_lines(folder / "_skipped_files.jsonl", [{"file": f"/home/{HOSTILE}", "reason": HOSTILE}])
    (folder / "_eval_transcripts.tsv").write_text(f"reference\thypothesis\na b\t{HOSTILE.replace(chr(34), '')}\n")
    events = [{"what": what, "time": HOSTILE, "message": HOSTILE} for what in ("begin", "warning", "error")]
    events[0] |= {"environment": {HOSTILE: HOSTILE}, "settings": {HOSTILE: HOSTILE}}
    write_lines(folder / "_run_record.jsonl", events)
    renamed = folder.parent / "<b onclick=x>"
    folder.rename(renamed)
    page = read_page(write_report(renamed))
    assert [tag for tag, _ in page.tags if tag in ("img", "b onclick=x")] == []
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert page.text.count("<script>") >= 10  # shown as text


def test_paths_of_the_machine_are_not_told(make_run, tmp_path):
    folder = make_run(
        config={"model_type": "best-rq", "_name_or_path": "/home/ada/secret/model", "x": "/home/ada/b/c"}
    )
    write_lines(
        folder / "_skipped_files.jsonl",
        [{"file": "/home/ada/voices/a.wav", "reason": "unreadable: /home/ada/voices/a.wav"}],
    )
    write_lines(folder / "_run_record.jsonl", [{"what": "warning", "message": "Step 3: see /home/ada/voices/b.wav."}])
    text = write_report(folder).read_text()
    assert "/home/ada" not in text
    assert str(tmp_path) not in text
    assert "a.wav" in text
    assert "b.wav" in text


def test_warnings_and_resumes(make_run):
    folder = make_run()
    left_out = "is left out: its gradient is not finite."
    write_lines(
        folder / "_run_record.jsonl",
        [
            {"what": "begin", "time": "2026-01-02T03:04:05+00:00", "step": 0, "environment": {"torch": "9.9"}},
            *({"what": "warning", "message": f"Step {step} {left_out}"} for step in (7, 9)),
            {"what": "resume", "step": 200, "environment": {"torch": "9.9"}, "settings": {"learning_rate": 0.5}},
            {"what": "end", "step": 400, "time": "2026-01-02T05:00:00+00:00"},
        ],
    )
    text = read_page(write_report(folder)).text
    assert "Warnings were given, 2 in all" in text
    assert "2 times, at steps 7, 9" in text
    assert text.count(left_out) == 1
    assert "It was stopped and went on once." in text
    assert "2026-01-02, 05:00" in text
    assert "learning_rate" in text
    assert "9.9" in text


def test_what_went_wrong_is_said_first(make_run):
    log = [entry | {"target_std": 0.01, "loss": math.nan if entry["step"] > 300 else 1.0} for entry in a_log()[:-1]]
    page = read_page(write_report(make_run(log, max_steps=1000)))
    tones = [attributes["class"] for tag, attributes in page.tags if tag == "li" and "class" in attributes]
    assert tones[0] == "bad"
    assert tones == sorted(tones, key=["bad", "look", "good", "note"].index)
    assert "Spread of the targets: 0.0100 at the end, below the guard's 0.1" in page.text
    assert "loss (10)" in page.text
    assert "stopped after 400 of 1,000 steps" in page.text
    assert "have not collapsed" not in page.text


@pytest.mark.parametrize(
    "log", [[], [{"step": 1, "loss": math.nan}], [{"step": 1, "loss": math.inf, "target_entropy": 1}]]
)
def test_a_page_of_almost_nothing(make_run, log):
    assert "A model of unknown type" in read_page(write_report(make_run(log, {}))).text


def test_configuration_names_what_differs_from_the_defaults(make_run):
    config = {"model_type": "data2vec2-audio", "architectures": ["X"], "hidden_size": 64, "num_attention_heads": 12}
    text = read_page(write_report(make_run(config=config))).text
    differing = text.split("What differs from the defaults of models")[1].split("All 2 fields")[0]
    assert "hidden_size 64 768" in differing
    assert "num_attention_heads" not in differing


def test_command(make_run, capsys, tmp_path):
    folder = make_run()
    assert main(["report", str(folder), "--output", str(tmp_path / "new" / "page.html")]) == 0
    assert "page.html" in capsys.readouterr().out
    assert not (folder / REPORT_NAME).exists()
    read_page(tmp_path / "new" / "page.html")
    assert main(["report", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err.startswith("hf-ssl report: Expected the folder of a training run")
    assert main(["report", str(folder), "--results", str(tmp_path / "none.jsonl")]) == 1
    assert "none.jsonl" in capsys.readouterr().err


def probe_line(**changes) -> dict:
    line = {
        "what": "probe",
        "arm": "/home/ada/model",
        "model": "run",
        "number": 0,
        "seed": None,
        "task": "classification",
        "data": "/home/ada/digits",
        "column": "label",
    }
    return line | {"method": "linear", "metric": "accuracy", "test": 0.5, "by_layer": [0.1, 0.4], **changes}


def health_line(**changes) -> dict:
    layer = {"rankme": 40.5, "collapse_auc": 0.75, "isoscore": 0.25, "mean_share": 0.5, "between_item_share": 0.125}
    layer |= {"within_item_share": 0.875, "position_share": None, "num_items": 8, "num_vectors": 800}
    layers = [layer | {"feature_size": 64, "rankme": 3.5}, layer | {"feature_size": 64}]
    line = {"what": "health", "arm": "run", "model": "run", "data": "/home/ada/clips", "num_items": 8}
    return line | {"layers": layers, "codebook": None} | changes


def other_line(**changes) -> dict:
    """Of an arm that is not the run's."""
    return probe_line(arm="/home/ada/other", model="/home/ada/other", **changes)


def report(folder: Path, lines: list, *arguments: str) -> int:
    """Makes the page with a results file."""
    write_lines(folder.parent / "results.jsonl", lines)
    return main(["report", str(folder), "--results", str(folder.parent / "results.jsonl"), *arguments])


def test_results_of_probes(make_run):
    folder = make_run()
    repeated = [probe_line(seed=0), probe_line(seed=1, test=0.7), probe_line(seed=1, test=0.9)]
    others = [other_line(test=0.2), probe_line(arm=HOSTILE, model=None, by_layer=[0.3]), {"what": "other"}]
    assert report(folder, [*others, *repeated], "--model_name", "run") == 0
    path = folder / REPORT_NAME
    text = read_page(path).text
    assert "70.0 %" in text
    assert "50.0 % to 90.0 %, 2 runs" in text
    assert "Classification: label, digits" in text
    assert "/home/ada" not in path.read_text()
    assert "Linear classifier by layer" in text
    # Its own arm comes first, under a name that no other has.
    assert "Linear classifier, accuracy this model 70.0 % 50.0 % to 90.0 %, 2 runs other 20.0 %" in text


def test_results_of_other_models_are_not_those_of_the_run(make_run):
    """A results file has lines of many models: only what the run took part in is on its page."""
    folder = make_run()
    lines = [
        probe_line(arm=f"{folder}", model=str(folder)),
        probe_line(arm=f"{folder}, untrained", model=str(folder), test=0.3),
        other_line(test=0.2),
        other_line(column="speaker"),
        other_line(data="/home/ada/else/digits", test=0.875),
        other_line(method="neighbours"),
    ]
    assert report(folder, lines) == 0
    text = read_page(folder / REPORT_NAME).text
    assert "this model 50.0 % run, untrained 30.0 % other 20.0 %" in text
    assert "speaker" not in text
    assert "87.5" not in text
    assert "Nearest neighbours" not in text


def test_results_of_an_earlier_model_in_the_folder_are_not_shown(make_run):
    folder = make_run()
    own = {"arm": "run", "model": str(folder)}
    lines = [
        probe_line(**own, test=0.25, weights_sha256="0123456789abcdef"),
        probe_line(**own, test=0.5, weights_sha256=weights_sha256(folder)),
        probe_line(**own, test=0.75, weights_sha256=weights_sha256(folder), settings={"max_seconds": 2.0}),
        health_line(model=str(folder), settings={"split": "validation"}),
    ]
    assert report(folder, [lines[0], health_line(model=str(folder), weights_sha256="0")]) == 1
    assert report(folder, lines) == 0
    text = read_page(folder / REPORT_NAME).text
    assert "Classification: label, digits On test Linear classifier, accuracy this model 50.0 %" in text
    assert (
        "Classification: label, digits (max_seconds 2) On test Linear classifier, accuracy this model 75.0 %" in text
    )
    assert "8 items of clips (split validation)" in text
    assert "25.0 %" not in text
    assert "1 line of probes and health is left out: measured on other weights than …/run has now" in text


def test_results_without_the_run(make_run, capsys):
    folder = make_run()
    others = [other_line(), probe_line(arm="run, untrained"), health_line(model="x")]
    assert report(folder, others) == 1
    error = capsys.readouterr().err
    assert f"has no probe or health of {folder}" in error
    assert "--model_name NAME" in error
    assert not (folder / REPORT_NAME).exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "Line 1 of"),
        ("[" * 100_000, "Line 1 of"),
        ('{"what": "other"}', "has no probe or health of"),
        (json.dumps({"what": "probe"}), "Expected the field 'arm' in the line of a probe"),
        (json.dumps(probe_line(test=math.nan)), "finite"),
        (json.dumps(probe_line(weights_sha256=["0"])), "Expected digits in `weights_sha256`"),
        (json.dumps(probe_line(settings=["0"])), "Expected settings by name"),
        (json.dumps(probe_line(by_layer=["x"])), "Not what hf-ssl probe writes"),
        (json.dumps(probe_line(model=["run"])), "has no probe or health of"),
        (json.dumps({"what": "health"}), "Expected the field 'arm' in the line of a health"),
        (json.dumps(health_line(layers=[])), "no layer"),
        (json.dumps(health_line(layers=[{"rankme": 1.0}])), "Not what hf-ssl health writes"),
        (json.dumps(health_line(layers=["x"])), "Not what hf-ssl health writes"),
        (json.dumps(health_line(codebook={})), "Not what hf-ssl health writes"),
    ],
)
def test_damaged_results(make_run, tmp_path, capsys, line, message):
    (tmp_path / "results.jsonl").write_text(line)
    arguments = ["--results", str(tmp_path / "results.jsonl"), "--model_name", "run"]
    assert main(["report", str(make_run()), *arguments]) == 1
    assert message in capsys.readouterr().err


def test_results_of_health(make_run):
    folder = make_run()
    codebook = {"codebook_usage": 0.5, "codebook_perplexity": 20.0, "codebook_size": 64, "num_codes": 800}
    lines = [
        health_line(arm=HOSTILE, layers=health_line()["layers"][:1]),
        health_line(arm="/home/ada/other", model="/home/ada/other"),
        health_line(arm=f"{folder}, untrained", model=str(folder)),
        health_line(arm=str(folder), model=str(folder), codebook=codebook),
        health_line(arm="/home/ada/unequal", model="/home/ada/unequal", num_items=9),
    ]
    assert report(folder, lines) == 0
    page = read_page(folder / REPORT_NAME)
    section = page.text.split("Health after training")[2].split("Configuration")[0]
    assert "8 items of clips" in section
    last = "1 40.5 64 0.750 0.250 50.0% 12.5% 87.5% -"
    assert f"position this model {last}" in section
    assert f"other {last}" in section
    assert f"run, untrained {last}" in section
    assert "unequal" not in section
    assert "50.0 % of the quantizer's 64 codes occur in 800 frames" in section
    assert f"0 3.5 64 0.750 0.250 50.0% 12.5% 87.5% - {last}" in section.split("All layers of this model")[1]
    assert "/home/ada" not in (folder / REPORT_NAME).read_text()
    assert [tag for tag, _ in page.tags if tag == "img"] == []


def test_transcripts_have_their_errors_marked(make_run):
    folder = make_run()
    rows = "the cat sat\tthe hat sat down\n\tnothing\nall right\tall right\nsilent\t\n"
    (folder / "_test_transcripts.tsv").write_text(f"reference\thypothesis\n{rows}")
    markup = write_report(folder).read_text()
    assert "<del>cat</del> <ins>hat</ins>" in markup
    assert "<ins>down</ins>" in markup
    assert "<ins>nothing</ins>" in markup
    assert "<del>silent</del>" in markup
    assert "errors: 66.7 % of words" in markup
    assert "errors: 0 % of words, 0 % of characters" in markup
