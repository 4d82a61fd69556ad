# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The page in a real browser: nothing goes wrong in its script, and nothing is asked of the network."""

import html
import json
import shutil
import socketserver
import subprocess
import threading
from pathlib import Path

import pytest
from report_helpers import HOSTILE, a_log, image_run, recogniser_run, save_run, text_run, waveforms, write_lines
from training_helpers import write_images, write_metadata, write_recordings
from transformers import set_seed

from hf_ssl import (
    Data2VecAqcForPreTraining,
    cli,
)
from hf_ssl.report import SampleSource, write_report
from hf_ssl.training.model_sizes import (
    data2vec_aqc_config,
)

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(BROWSER is None, reason="neither chromium nor google-chrome is installed")

QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


class _Proxy(socketserver.BaseRequestHandler):
    """Notes that a connection was made, and ends it."""

    def handle(self) -> None:
        self.server.requests.append(self.request.recv(200))  # type: ignore[attr-defined]


@pytest.fixture
def proxy():
    """A proxy that everything the browser asks for must go through, on the loopback."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Proxy) as server:
        server.daemon_threads = True
        server.requests = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def load(page: Path, proxy, tmp_path: Path, *more_flags: str) -> str:
    """The document after its script ran, with what the console and the network's log said."""
    flags = [*QUIET, *more_flags, f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--v=0"]
    flags += [f"--proxy-server=127.0.0.1:{proxy.server_address[1]}", f"--log-net-log={tmp_path / 'net.json'}"]
    tmp_path.mkdir(exist_ok=True)
    command = [str(BROWSER), *flags, "--virtual-time-budget=2000", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert console == []
    return done.stdout


def urls_requested(tmp_path: Path) -> set[str]:
    """Of the browser's log of the network, which it may not have closed."""
    text = (tmp_path / "net.json").read_text(encoding="utf-8").rstrip().rstrip(",")
    events = json.loads(text if text.endswith("}") and '"polledData"' in text else f"{text}]}}")["events"]
    found = {event["params"]["url"] for event in events if "url" in event.get("params", {})}
    return {url for url in found if url.startswith(("http", "ws"))}


def test_nothing_is_requested_and_the_script_runs(make_run, proxy, tmp_path):
    log = [entry | {HOSTILE: 1.0} for entry in a_log()]
    folder = make_run(log)
    write_lines(folder / "_run_record.jsonl", [{"what": "begin"}, {"what": "warning", "message": HOSTILE}])
    document = load(write_report(folder), proxy, tmp_path)
    assert 'data-script="ran"' in document
    assert "<title>hacked" not in document
    assert document.count("<img") == 0
    # The browser itself may look for updates of its own; the page must not have asked for anything.
    assert not any("example.com" in url for url in urls_requested(tmp_path))
    assert not any(b"example.com" in request for request in proxy.requests)


# What a reader would stumble over, as attributes of the body: text that does not stand out from what is behind it,
# pictures that do not show, and a page that is wider than the window.
LOOK = """<script>
  const channels = colour => (colour.match(/[\\d.]+/g) || [])
    .map((part, index) => part * (colour.startsWith("color(") && index < 3 ? 255 : 1));
  const luminance = ([red, green, blue]) => [red, green, blue]
    .map(part => part / 255)
    .map(part => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const isOpaque = colour => channels(colour).length === 3 || channels(colour)[3] === 1;
  const behind = element => {
    while (element) {
      const colour = getComputedStyle(element).backgroundColor;
      if (isOpaque(colour)) return colour;
      element = element.parentElement;
    }
    return "rgb(255, 255, 255)";
  };
  const hasText = element => [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
  const shown = [...document.body.querySelectorAll("*")]
    .filter(element => hasText(element) && element.checkVisibility());
  const faint = shown.filter(element => {
    if (["SCRIPT", "STYLE"].includes(element.tagName)) return false;
    const style = getComputedStyle(element);
    const colours = [element.closest("svg") ? style.fill : style.color, behind(element)];
    const [low, high] = colours.map(channels).map(luminance).sort((one, other) => one - other);
    return (high + 0.05) / (low + 0.05) < 3;
  });
  document.body.dataset.faint = faint
    .map(element => element.tagName + ": " + element.textContent.slice(0, 40))
    .join("; ");
  document.body.dataset.texts = shown.length;
  document.body.dataset.unseen = [...document.images].filter(image => !image.naturalWidth).length;
  document.body.dataset.wider = document.documentElement.scrollWidth - document.documentElement.clientWidth;
</script></body>"""


def attribute(document: str, name: str) -> str:
    return html.unescape(document.split(f'data-{name}="')[1].split('"')[0])


def run_with_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The page of a run of data2vec-aqc with a sample, a probe by layers, and measures of its health."""
    pytest.importorskip("sklearn")
    set_seed(0)
    run = save_run(tmp_path / "run", Data2VecAqcForPreTraining(data2vec_aqc_config("tiny")), waveforms())
    write_lines(
        run / "_run_record.jsonl", [{"what": "begin"}, {"what": "warning", "message": "the loss stands still"}]
    )
    for split in ("train", "test"):
        write_metadata(write_recordings(tmp_path / "data" / split, count=12))
    data, results = ["--data", str(tmp_path / "data")], ["--results", str(tmp_path / "results.jsonl")]
    probe = ["probe", str(run), "--task", "classification", "--column", "label", "--by_layer", "--untrained"]
    assert cli.main([*probe, *data, *results]) == 0
    assert cli.main(["health", str(run), "--by_layer", "--untrained", *data, *results]) == 0
    assert cli.main(["report", str(run), *data, *results]) == 0
    capsys.readouterr()
    return run / "_report.html"


def recogniser(tmp_path: Path) -> Path:
    data = write_metadata(write_recordings(tmp_path / "recordings", count=3))
    return write_report(recogniser_run(tmp_path / "run"), sample=SampleSource([str(data)]))


def of_images(tmp_path: Path, model_type: str) -> Path:
    images = write_images(tmp_path / "images")
    return write_report(image_run(tmp_path / "run", model_type), sample=SampleSource([str(images)]))


def of_texts(tmp_path: Path, model_type: str) -> Path:
    texts = tmp_path / "a.txt"
    return write_report(text_run(tmp_path / "run", texts, model_type), sample=SampleSource([str(texts)]))


def page_of(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    if kind == "speech":
        return run_with_everything(tmp_path, capsys)
    if kind == "recogniser":
        return recogniser(tmp_path)
    return of_images(tmp_path, kind) if kind.endswith("vision") else of_texts(tmp_path, kind)


@pytest.mark.parametrize(
    "kind", ["speech", "recogniser", "data2vec2-vision", "data2vec-vision", "data2vec2-text", "data2vec-text"]
)
def test_every_section_can_be_read_in_the_dark_and_in_the_light(kind, proxy, tmp_path, capsys):
    path = page_of(kind, tmp_path, capsys)
    path.write_text(path.read_text().replace("</body>", LOOK))
    for preference in ("0", "1"):
        flags = [f"--blink-settings=preferredColorScheme={preference}", "--window-size=1000,800"]
        document = load(path, proxy, tmp_path / preference, *flags)
        assert 'data-script="ran"' in document
        assert int(attribute(document, "texts")) > 20
        assert attribute(document, "faint") == ""
        assert attribute(document, "unseen") == "0"
        assert attribute(document, "wider") == "0"
    assert not any(b"example.com" in request for request in proxy.requests)


def test_values_are_shown_under_the_pointer(make_run, proxy, tmp_path):
    path = write_report(make_run())
    move = """<script>
      const chart = document.querySelector("svg[data-series]"), box = chart.getBoundingClientRect();
      chart.dispatchEvent(new PointerEvent("pointermove", {clientX: box.left + 0.5 * box.width}));
    </script></body>"""
    path.write_text(path.read_text().replace("</body>", move))
    readout = load(path, proxy, tmp_path).split('class="readout">')[1].split("</p>")[0]
    assert "step" in readout
    assert 100 < int(readout.split("step ")[1].split("<")[0]) < 300  # of 400


def luminance(colour: str) -> float:
    """From 0 (black) to 1 (white), of `rgb(red, green, blue)`."""
    red, green, blue = (int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(","))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(("preference", "is_dark"), [("0", True), ("1", False)], ids=["dark", "light"])
def test_the_page_is_as_dark_as_the_reader_prefers(make_run, proxy, tmp_path, preference, is_dark):
    path = write_report(make_run())
    ask = """<script>
      const style = getComputedStyle(document.body);
      document.body.dataset.colours = style.backgroundColor + ";" + style.color;
    </script></body>"""
    path.write_text(path.read_text().replace("</body>", ask))
    document = load(path, proxy, tmp_path, f"--blink-settings=preferredColorScheme={preference}")
    background, text = map(luminance, document.split('data-colours="')[1].split('"')[0].split(";"))
    if is_dark:
        assert background < 0.2
        assert text > 0.7
    else:
        assert background > 0.9
        assert text < 0.2


def test_the_check_itself_sees_requests_and_errors(proxy, tmp_path):
    """Otherwise the test above could not fail."""
    page = tmp_path / "bad.html"
    page.write_text('<!doctype html><html><body><img src="http://example.com/x.png"></body></html>')
    load(page, proxy, tmp_path)
    assert any(b"example.com" in request for request in proxy.requests)
    page.write_text("<!doctype html><html><body><script>undefinedFunction()</script></body></html>")
    with pytest.raises(AssertionError, match="undefinedFunction"):
        load(page, proxy, tmp_path / "second")
