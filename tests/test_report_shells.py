"""Figures of shells: they draw, also with little to draw, and show what they say."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from morpholith import generate, measure
from morpholith.generate import Family, ShellModel
from morpholith.report import shells, to_png

MODEL = ShellModel((Family("log_normal", 40.0, 5.0, 0.3), Family("student_t", 1.5, shape=3.0), Family("normal", 2.5)))


@pytest.fixture(scope="module")
def learnt():
    a = generate.draw_shells(MODEL, 60, rng=0).coefficients
    return a, generate.learn_shells(a)


def test_every_figure_of_the_report_draws(learnt):
    a, found = learnt
    rng = np.random.default_rng(0)
    labels = np.zeros((24, 30, 36), np.int32)
    labels[4:14, 5:16, 6:20] = 1
    labels[12:22, 18:28, 22:34] = 2
    volume = SimpleNamespace(
        shells=SimpleNamespace(coefficients=a * 0.5, table=pd.DataFrame({"frame_weight": np.linspace(1, 2, 60)})),
        labels=labels,
        middle=rng.random((30, 36)),
        voxel_um=0.5,
        spacing=(0.5, 0.5, 0.5),
    )
    figures = shells.learnt_figures(volume, found)
    assert list(figures) == ["shell_volume", "shells_drawn", "shell_families", "shell_dependence"]
    for one in figures.values():
        assert to_png(one.picture)[:4] == b"\x89PNG"
        assert one.section == "Shells"
    assert list(shells.learnt_figures(None, found)) == ["shell_dependence"]


def test_densities_drawn_are_those_of_the_model(learnt):
    a, found = learnt
    fig = shells.families_figure(a, found)
    assert len(fig.axes) == 3
    for l, ax in enumerate(fig.axes):  # noqa: E741
        x, y = ax.lines[-1].get_data()
        np.testing.assert_allclose(y, generate.shell_families.density(found.model.families[l], x))
        heights = np.array([p.get_height() for p in ax.patches])
        assert (heights * ax.patches[0].get_width()).sum() == pytest.approx(1)


def test_forms_stand_beside_each_other(learnt):
    a, _ = learnt
    table = measure.shell_shapes(a, voxel_um=0.1)
    fig = shells.forms_figure(table, table.iloc[:0])
    assert [ax.get_xlabel() for ax in fig.axes] == list(shells.FORMS.values())
    assert to_png(shells.forms_figure(table, table.iloc[::2]))[:4] == b"\x89PNG"
