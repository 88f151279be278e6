"""Progress is seen at a terminal and nowhere else."""

import os
import subprocess
import sys

import pytest

from morpholith.progress import progress, stage

pty = pytest.importorskip("pty")  # POSIX only
termios = pytest.importorskip("termios")

NESTED = """
import time
from morpholith.progress import progress, stage
stage("reading")
for i in progress(range(3), label="images"):
    for j in progress(range(2), label="tiles"):
        time.sleep(0.2)
"""


def in_terminal(code):
    """Run `code` with stderr on a pseudo-terminal and return what was drawn there."""
    parent, child = pty.openpty()
    termios.tcsetwinsize(child, (24, 80))
    run = subprocess.Popen([sys.executable, "-c", code], stderr=child, stdout=subprocess.PIPE)
    os.close(child)
    drawn = b""
    while True:
        try:
            chunk = os.read(parent, 4096)
        except OSError:  # Linux says EIO when the other end is closed
            break
        if not chunk:
            break
        drawn += chunk
    out, _ = run.communicate()
    os.close(parent)
    assert run.returncode == 0
    return drawn.decode(), out.decode()


def test_items_pass_unchanged():
    assert list(progress(iter("abc"), total=3, label="x")) == ["a", "b", "c"]
    assert list(progress([], label="x")) == []


def test_nothing_is_drawn_without_a_terminal(capfd):
    stage("reading")
    assert sum(progress(range(4), label="adding")) == 6
    assert capfd.readouterr() == ("", "")


def test_terminal_shows_stage_bars_and_time_left():
    drawn, out = in_terminal(NESTED)
    assert out == ""
    assert "reading ..." in drawn
    assert "images:" in drawn
    assert "<00:0" in drawn  # tqdm writes elapsed<left


def test_leaving_early_clears_the_bar():
    code = (
        "import time\nfrom morpholith.progress import progress\n"
        "for i in progress(range(9), label='long'):\n    time.sleep(0.3)\n    if i == 3: break\n"
    )
    drawn, _ = in_terminal(code)
    assert "long:" in drawn
    assert drawn.rstrip("\r").rsplit("\r", 1)[-1].strip() == ""


def test_lazy_iterables_are_not_drained():
    seen = []
    loop = progress((seen.append(i) or i for i in range(5)), label="lazy")
    assert next(loop) == 0
    assert seen == [0]


def test_exceptions_pass_through():
    def broken():
        yield 1
        raise KeyError("x")

    with pytest.raises(KeyError):
        list(progress(broken(), label="x"))
