# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
import subprocess
import sys
from pathlib import Path

import pytest

from hf_ssl.shared_files import claimed, lock, written_whole

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock")


def test_a_claim_excludes_others_until_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "claims" / "cell"
    with claimed(path) as ours:
        with claimed(path) as theirs:
            assert (ours, theirs) == (True, False)
        with claimed(tmp_path / "claims" / "other") as other:
            assert other
    with claimed(path) as again:
        assert again


def test_a_process_started_in_the_block_keeps_the_claim_up(tmp_path: Path) -> None:
    with claimed(tmp_path / "cell"):
        waiting = [sys.executable, "-c", "input()"]
        child = subprocess.Popen(waiting, stdin=subprocess.PIPE, close_fds=False)
    with claimed(tmp_path / "cell") as ours:
        assert not ours
    child.communicate(b"\n")
    with claimed(tmp_path / "cell") as ours:
        assert ours


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "file"
    code = f"import fcntl; f = open({str(path)!r}); fcntl.flock(f, fcntl.LOCK_SH); print(f.read())"
    with open(path, "a") as file:
        lock(file)
        reader = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        with pytest.raises(subprocess.TimeoutExpired):
            reader.wait(timeout=0.5)
        file.write("whole")
    assert reader.communicate(timeout=300)[0] == b"whole\n"


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "table.md"
    path.write_text("old")
    with written_whole(path) as beside:
        beside.write_text("new")
        assert (path.read_text(), beside.suffix) == ("old", ".md")
    assert path.read_text() == "new"
    with pytest.raises(UnicodeEncodeError), written_whole(path) as beside:
        beside.write_text("half\ud800", encoding="utf-8")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
