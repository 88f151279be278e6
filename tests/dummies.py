"""Small workflows that the tests of the command line run: each does one thing, well or badly."""

from __future__ import annotations

import errno
import os
import signal
import time
import warnings
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from PIL import Image

from morpholith.errors import InputError, InputWarning
from morpholith.image import Quantity
from morpholith.results import ReportFigure, Result


def weigh(
    samples: list[Path],
    /,
    *,
    pixel_size: float | None = None,
    method: Literal["fine", "coarse"] = "fine",
    grid: float | tuple[float, float, float] = 1.0,
    at_least: list[str] | None = None,
    sharpen: bool = False,
    seed: int = 0,
) -> Result:
    """Mass of samples from the bytes of their files.

    Longer explanation with ``code`` in it.

    Parameters
    ----------
    samples
        Files of one sample.
    pixel_size
        Edge of a pixel in um; from the file unless given.
    method : {"fine", "coarse"}
        How to weigh.
    grid
        Edge lengths in um, one or (z, y, x).
    at_least
        Names.
    sharpen
        Sharpen first.
    seed
        Seed of the bootstrap.

    Returns
    -------
    Result

    Notes
    -----
    A section that is no business of the help.
    """
    draws = np.random.default_rng(seed).normal(size=200)
    bytes_ = np.array([len(p.read_bytes()) for p in samples], float)
    table = pd.DataFrame({"image": [p.name for p in samples], "mass_um": bytes_ + draws[: len(bytes_)] / 3})
    table.index = pd.RangeIndex(1, len(table) + 1, name="label")
    notes = [] if pixel_size else ["the pixel size is unknown; lengths are in pixels."]
    if method == "coarse":
        warnings.warn("coarse weighing was asked for.", InputWarning, stacklevel=2)
        warnings.warn("numpy grumbles", DeprecationWarning, stacklevel=2)
    del grid, at_least, sharpen
    return Result(
        title="Masses",
        summary={
            "mass_um": Quantity(float(table.mass_um.mean()), 1.0, 999.0, n=len(table), unit="um", method="mean"),
            "spread": Quantity(float("nan"), n=0, method="sd", warning="needs two samples"),
        },
        tables={"samples": table},
        figures={"masses": ReportFigure(picture(), "Masses of all samples.", section="Masses")},
        files={"extra/raw.bin": lambda path: path.write_bytes(bytes(draws))},
        warnings=notes,
        inputs=samples,
        text={"Masses": "First paragraph.\n\nSecond <b>paragraph</b>."},
    )


def picture() -> bytes:
    """Return a small PNG, without the second that drawing one takes."""
    buffer = BytesIO()
    Image.new("L", (8, 6), 128).save(buffer, format="png")
    return buffer.getvalue()


def fail(*, how: Literal["input", "bug", "interrupt", "resumable", "full", "memory", "denied", "type"]) -> Result:
    """End badly.

    Parameters
    ----------
    how
        In which way.
    """
    warnings.warn("something was odd.", InputWarning, stacklevel=2)
    if how == "type":
        return None
    raise {
        "input": InputError("`x` must be 1, got 2; give 1."),
        "bug": KeyError("lost"),
        "interrupt": KeyboardInterrupt(),
        "resumable": KeyboardInterrupt("3 of 9 tiles are done; run the same again to go on."),
        "full": OSError(errno.ENOSPC, "No space left on device", "x.tif"),
        "memory": MemoryError(),
        "denied": PermissionError(errno.EACCES, "Permission denied", "secret.tif"),
    }[how]


def wait(*, seconds: float = 60.0) -> Result:
    """Work for long.

    Parameters
    ----------
    seconds
        How long.
    """
    print("ready", flush=True)  # noqa: T201
    time.sleep(seconds)
    return Result()


def killed(*, when: Literal["computing", "writing"] = "writing") -> Result:
    """Be killed without warning, as by a power cut.

    Parameters
    ----------
    when
        At which moment.
    """

    def die(path: Path) -> None:
        path.write_bytes(b"half a fi")
        os.kill(os.getpid(), signal.SIGKILL)

    if when == "computing":
        os.kill(os.getpid(), signal.SIGKILL)
    return Result(summary={"x": Quantity(1.0)}, files={"volume.tif": die})
