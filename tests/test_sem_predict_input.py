"""Bad input of `morpholith sem predict`: said in a sentence, before anything is drawn."""

import pytest
from _reactor_model import ReactorModel, in_the_place_of_every_model

from morpholith.cli import main
from morpholith.errors import InputError
from morpholith.workflows.sem_predict import recipes


@pytest.fixture
def model(monkeypatch):
    return in_the_place_of_every_model(ReactorModel(), monkeypatch)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no condition was given"),
        (["--condition", "pH=10.5"], "did you mean 'ph'"),
        (["--condition", "temperature=60"], "there are ph, naoh, nh4oh, time_min, stirring_rpm, atmosphere"),
        (["--condition", "ph=high"], "'high', which is no finite number"),
        (["--condition", "ph=inf"], "no finite number"),
        (["--condition", "time_min=-3"], "must be above 0"),
        (["--condition", "atmosphere=argon"], "N2, O2, air"),
        (["--condition", "ph"], "NAME=VALUE"),
        (["--condition", "ph=10", "ph=11"], "gives 'ph' twice"),
        (["--condition", "ph="], "no process variable"),
        (["--condition", "ph=10", "--images", "0"], "--images must be 1 or more"),
        (["--condition", "ph=10", "--size", "100"], "the nearest is 96"),
        (["--condition", "ph=10", "--size", "32"], "the nearest is 64"),
        (["--condition", "ph=10", "--size", "100000"], "the nearest is 2048"),
        (["--condition", "ph=10", "--size", "2048", "--images", "300"], "draw 256 or fewer"),
        (["--condition", "ph=10", "--view", "3000"], "did you mean '3000x'"),
        (["--condition", "ph=10", "--seed=-1"], "--seed must not be negative"),
        (["--conditions", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_bad_options_are_said_before_anything_is_drawn(model, tmp_path, capsys, words, said):
    assert main(["sem", "predict", "m", *words, "--out", str(tmp_path / "o")]) == 2
    assert said in capsys.readouterr().err
    assert model.calls == []
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ph,temperature\n10,60\n", "no variable for the column of"),
        ("ph\n", "has no recipe"),
        ("", "not a readable CSV"),
        ("condition,lot\na,1\n", "has no recipe"),
        ("condition,ph\na,10\na,11\n", "gives condition 'a' twice"),
        ("condition,ph\n,10\n", "without a name"),
        ("condition,ph\na,10\nb,x\n", "condition 'b': "),
        ("condition,ph,naoh\na,10,\nb,,\n", "condition 'b': "),
    ],
)
def test_bad_tables(model, tmp_path, text, said):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=said):
        recipes(model.table, None, tmp_path / "t.csv")


def test_a_variable_is_given_in_one_place(model, tmp_path):
    (tmp_path / "t.csv").write_text("ph\n10\n")
    with pytest.raises(InputError, match="in one place"):
        recipes(model.table, ["ph=10"], tmp_path / "t.csv")
    assert recipes(model.table, ["naoh=0.1"], tmp_path / "t.csv").loc["row1", "naoh"] == 0.1
