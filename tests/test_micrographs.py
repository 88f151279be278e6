"""The condition-to-micrograph model: network, flow, training, code of a recipe, file."""

import json
import os
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")

from morpholith import generate  # noqa: E402
from morpholith.errors import InputError, InputWarning  # noqa: E402
from morpholith.nets import micrograph_flow, micrograph_store, micrograph_training  # noqa: E402
from morpholith.nets.micrograph_net import MicrographNet, NetConfig  # noqa: E402
from morpholith.nets.micrograph_training import Patches, Schedule  # noqa: E402

SMALL = (8, 12)
NAMES = ["texture_mean", "d50_um"]


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def moved_net(code=3, seed=0):
    """A network whose recipe matters: an untrained one answers zero."""
    torch.manual_seed(seed)
    net = MicrographNet(NetConfig(code, SMALL))
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.05 * torch.randn_like(p))
    return net.eval()


def grey_patches(n=40):
    """Images of one grey each: 60 where the code is -1, 190 where it is 1."""
    codes = np.where(np.arange(n) % 2, 1.0, -1.0)[:, None]
    images = [np.full((70, 80), 190 if c > 0 else 60, np.uint8) for c in codes[:, 0]]
    return Patches(images, codes, np.zeros((n, 1)), np.zeros(n, int), np.zeros(1))


def table_of(n=12, missing=False):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"ph": np.linspace(9.8, 11, n), "time_min": rng.uniform(10, 100, n),
         "gas": np.where(np.arange(n) % 3, "N2", "O2")},
        index=pd.Index([f"c{i}" for i in range(n)], name="condition"),
    )  # fmt: skip
    if missing:
        frame.loc["c3", "ph"] = np.nan
        frame.loc["c4", "gas"] = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        return generate.process_table(frame)


def measured_of(table):
    ph = table.conditions["ph"].fillna(10.4).to_numpy()
    values = {"texture_mean": 0.9 - 0.3 * (ph - 9.8), "d50_um": 8 - 2 * (ph - 9.8)}
    errors = {f"{k}_se": np.full(len(ph), 0.01) for k in values}
    return pd.DataFrame(values | errors, index=table.conditions.index)


def small_model(table=None, measured=None):
    table = table or table_of()
    measured = measured_of(table) if measured is None else measured
    beliefs = generate.expectation(table, measured, NAMES)
    net = moved_net(len(NAMES))
    weights, settings = micrograph_store.described(net.state_dict(), net.config)
    views = (generate.View("3000x", 0.2, ("d50_um",)), generate.View("15000x", 0.04, ("texture_mean",)))
    return generate.MicrographModel(table, views, beliefs, "flow", weights, settings, measured)


# --- the network and the flow ------------------------------------------------------------------------------------


def test_an_untrained_network_answers_zero_whatever_the_recipe():
    net = MicrographNet(NetConfig(3, SMALL))
    net.out.weight.data.zero_()
    net.out.bias.data.zero_()
    x = torch.randn(2, 1, 32, 48)
    out = net(x, torch.rand(2), torch.randn(2, 3), torch.zeros(2), torch.ones(2))
    assert out.shape == x.shape
    assert not out.any()


def test_a_recipe_that_is_withheld_has_no_effect_and_one_that_is_given_has():
    net, x, time = moved_net(), torch.randn(1, 1, 32, 32), torch.tensor([0.5])
    scale = torch.zeros(1)
    one, two = torch.tensor([[1.0, 0, 0]]), torch.tensor([[-1.0, 0.5, 0]])
    with torch.no_grad():
        free = [net(x, time, code, scale, torch.zeros(1)) for code in (one, two)]
        told = [net(x, time, code, scale, torch.ones(1)) for code in (one, two)]
    assert torch.equal(*free)
    assert not torch.allclose(*told)


def test_the_network_does_not_know_the_size_of_the_field():
    net = moved_net()
    x = torch.randn(1, 1, 32, 160)
    inputs = torch.tensor([0.3]), torch.zeros(1, 3), torch.zeros(1), torch.ones(1)
    with torch.no_grad():
        whole, part = net(x, *inputs), net(x[..., :112], *inputs)
    # away from the cut nothing changes
    assert torch.allclose(whole[..., :56], part[..., :56], atol=1e-4)
    assert not torch.allclose(whole[..., 104:112], part[..., 104:], atol=1e-4)


def test_draws_depend_on_their_seed_and_number_alone(monkeypatch):
    net, code = moved_net(), np.array([0.2, -0.4, 1.0])
    many = micrograph_flow.drawn(net, code, 0.0, images=3, seed=5, shape=(32, 48), steps=3)
    assert many.shape == (3, 32, 48)
    assert many.dtype == np.uint8
    assert not np.array_equal(many[0], many[1])
    few = micrograph_flow.drawn(net, code, 0.0, images=1, seed=5, shape=(32, 48), steps=3)
    assert np.abs(few[0].astype(int) - many[0]).max() <= 1
    monkeypatch.setattr(micrograph_flow, "BATCH", 1)
    one_by_one = micrograph_flow.drawn(net, code, 0.0, images=3, seed=5, shape=(32, 48), steps=3)
    assert np.abs(one_by_one.astype(int) - many).max() <= 1
    assert not np.array_equal(many, micrograph_flow.drawn(net, code, 0.0, images=3, seed=6, shape=(32, 48), steps=3))


def test_the_flow_of_a_gaussian_ends_in_it():
    """Where pictures are grey values of mean m and sd s, the velocity is known, and so is what must be drawn."""
    m, s = 0.3, 0.2

    def velocity(x, t):
        # of E[eps - x0 | x_t] for independent Gaussians
        variance = (1 - t) ** 2 * s**2 + t**2
        return -m + (t - (1 - t) * s**2) / variance * (x - (1 - t) * m)

    x = torch.randn(200_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ends = {n: micrograph_flow._along(velocity, x, np.linspace(1, 0, n + 1)) for n in (6, 12, 24)}
    errors = {n: abs(float(end.std()) - s) / s for n, end in ends.items()}
    assert abs(float(ends[12].mean()) - m) < 0.01
    assert errors[24] < 0.02
    assert errors[24] < errors[12] < errors[6]


def test_guidance_of_one_is_the_network_and_more_moves_away_from_all_recipes():
    net, code = moved_net(), np.array([1.0, -1.0, 0.5])
    plain, strong = (
        micrograph_flow.drawn(net, code, 0.0, images=1, seed=1, shape=(32, 32), steps=2, guidance=g) for g in (1.0, 3.0)
    )
    assert not np.array_equal(plain, strong)


def test_grey_goes_there_and_back():
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(micrograph_flow.to_grey(torch.from_numpy(micrograph_flow.to_signal(grey))), grey)


# --- training ----------------------------------------------------------------------------------------------------


def test_what_is_learnt_follows_the_recipe(tmp_path):
    patches = grey_patches()
    plan = Schedule(150, batch=4, learning_rate=3e-3, dropped=0.1, wide=0.0, average=0.95)
    config = NetConfig(1, SMALL)
    state, curve = micrograph_training.train(patches, plan, config=config, checkpoint=tmp_path / "c.pt", seed=3)
    assert np.mean(curve[-20:]) < 0.3 * np.mean(curve[:5])
    net = MicrographNet(config)
    net.load_state_dict(state)
    dark, light = (
        micrograph_flow.drawn(net, np.array([c]), 0.0, images=2, seed=1, shape=(64, 64), steps=6) for c in (-1.0, 1.0)
    )
    assert abs(dark.mean() - 60) < 15
    assert abs(light.mean() - 190) < 15


def test_a_training_that_was_stopped_goes_on_as_the_unbroken_one(tmp_path, monkeypatch):
    patches, config = grey_patches(), NetConfig(1, (8,))
    plan = Schedule(6, batch=2, wide=0.5)
    whole, curve = micrograph_training.train(patches, plan, config=config, checkpoint=tmp_path / "a.pt", seed=3)

    from morpholith.nets import training

    save, written = training._save, []

    def stop(path, *what):
        save(path, *what)
        written.append(path)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "_save", stop)
    fit = training.fit
    monkeypatch.setattr(training, "fit", lambda *a, **k: fit(*a, save_every=3, **k))
    with pytest.raises(KeyboardInterrupt):
        micrograph_training.train(patches, plan, config=config, checkpoint=tmp_path / "b.pt", seed=3)
    monkeypatch.setattr(training, "_save", save)
    resumed, again = micrograph_training.train(patches, plan, config=config, checkpoint=tmp_path / "b.pt", seed=3)
    assert len(written) == 1
    assert again == curve
    assert all(torch.equal(whole[k], resumed[k]) for k in whole)


def test_patches_are_turned_and_come_from_every_view_alike():
    ramp = np.tile(np.arange(80, dtype=np.uint8), (70, 1))
    images = [ramp, ramp, ramp, 255 - np.zeros_like(ramp)]
    patches = Patches(images, np.arange(4.0)[:, None], np.zeros((4, 1)), np.array([0, 0, 0, 1]), np.array([0.5, -0.5]))
    x, codes, scales = patches.batch(np.random.default_rng(0), 400, 64, 0.0)
    assert x.shape == (400, 1, 64, 64)
    assert 150 < (scales == -0.5).sum() < 250
    assert np.array_equal(scales == -0.5, codes[:, 0] == 3)
    slopes = {(float(np.sign(p[0, 0, -1] - p[0, 0, 0])), float(np.sign(p[0, -1, 0] - p[0, 0, 0]))) for p in x}
    assert slopes == {(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)}


def test_small_images_are_continued_by_mirroring_and_noise_goes_onto_the_code():
    patches = Patches(
        [np.eye(40, dtype=np.uint8) * 255], np.zeros((1, 2)), np.array([[0.0, 2.0]]), np.zeros(1, int), np.zeros(1)
    )
    x, codes, _ = patches.batch(np.random.default_rng(0), 500, 64, 0.1)
    assert x.shape[-2:] == (64, 64)
    assert codes.std(0) == pytest.approx([0.1, 2.0], rel=0.15)


def test_layers_of_the_recipe_learn_faster():
    from morpholith.nets.training import _groups

    groups = _groups(MicrographNet(NetConfig(2, SMALL)), 1e-3, {"film": 6.0, "embed": 6.0})
    assert sorted(g["lr"] for g in groups) == pytest.approx([1e-3, 6e-3])
    assert len(_groups(MicrographNet(NetConfig(2, SMALL)), 1e-3, {})) == 1


def test_two_processes_train_one_network(tmp_path):
    patches, config = grey_patches(8), NetConfig(1, (8,))
    plan = Schedule(2, batch=2, wide=0.0)
    how = {"config": config, "checkpoint": tmp_path / "two.pt", "seed": 3}
    state, curve = micrograph_training.train(patches, plan, processes=2, **how)
    assert len(curve) == 2
    alone, own = micrograph_training.train(patches, plan, config=config, checkpoint=tmp_path / "one.pt", seed=3)
    assert curve != own
    assert any(not torch.equal(state[k], alone[k]) for k in state)
    assert all(torch.isfinite(v).all() for v in state.values())


def test_fewer_cards_than_processes_are_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match="2 processes need as many cards, and 1"):
        micrograph_training.train(
            grey_patches(4), Schedule(1), config=NetConfig(1, (8,)), checkpoint=tmp_path / "c", seed=0, processes=2,
            device="cuda",
        )  # fmt: skip


# --- the code of a recipe ----------------------------------------------------------------------------------------


def test_what_is_expected_follows_what_was_measured():
    table = table_of()
    measured = measured_of(table)
    beliefs = generate.expectation(table, measured, NAMES)
    mean, sd = beliefs.at([{"ph": 9.8, "time_min": 40, "gas": "N2"}, {"ph": 11, "time_min": 40, "gas": "N2"}])
    for j, name in enumerate(NAMES):
        process = beliefs.processes[name]
        values = process.value(process.centre + process.scale * mean[:, j])
        assert values == pytest.approx(measured[name].iloc[[0, -1]].to_numpy(), rel=0.03)
    assert (sd < 0.3).all()


def test_descriptors_with_few_values_are_not_expected():
    table = table_of()
    measured = measured_of(table)
    measured.loc[measured.index[:6], "d50_um"] = np.nan
    beliefs = generate.expectation(table, measured, NAMES)
    assert beliefs.processes["d50_um"] is None
    mean, sd = beliefs.at(table.conditions)
    assert not mean[:, 1].any()
    assert not sd[:, 1].any()
    assert mean[:, 0].std() > 0.5
    assert generate.recipe_code.expectation_from(table, *beliefs.state()).at(table.conditions)[0] == pytest.approx(mean)


def test_codes_of_the_training_are_what_was_measured():
    table = table_of()
    measured = measured_of(table)
    measured.loc["c3", "d50_um"] = np.nan
    beliefs = generate.expectation(table, measured, NAMES)
    codes, errors = generate.training_codes(beliefs, measured)
    unit = beliefs.units["texture_mean"]
    assert not unit.log
    assert unit.centre + unit.scale * codes[:, 0] == pytest.approx(measured["texture_mean"].to_numpy())
    assert errors[:, 0] == pytest.approx(0.01 / unit.scale)
    assert codes[3, 1] == 0
    assert errors[3, 1] == 1
    others = np.delete(np.arange(12), 3)
    size = beliefs.units["d50_um"]
    plain = size.centre + size.scale * codes[others, 1]
    assert (np.exp(plain) if size.log else plain) == pytest.approx(measured["d50_um"].to_numpy()[others])


def test_units_stay_those_that_the_network_was_taught_with():
    table = table_of()
    measured = measured_of(table)
    whole = generate.expectation(table, measured, NAMES)
    some = generate.expectation(table, measured.iloc[:9], NAMES)
    assert some.units["d50_um"] != whole.units["d50_um"]
    recipe = [{"ph": 10.0, "time_min": 40, "gas": "N2"}]
    moved = replace(some, units=whole.units).at(recipe)[0]
    # a line is told from the first nine conditions as well as from all
    assert moved == pytest.approx(whole.at(recipe)[0], abs=0.08)
    assert some.at(recipe)[0] != pytest.approx(moved, abs=0.2)


@pytest.mark.parametrize("log", [True, False])
def test_a_process_of_the_logarithm_speaks_in_other_units_and_the_reverse(log):
    from morpholith.generate import recipe_code

    class Process:
        def value(self, mean):
            return np.exp(mean) if self.log else mean

    p = Process()
    p.log = log
    value, unit = 5.0, recipe_code.Unit(not log, 1.0, 0.5)
    given = np.log(value) if log else value
    mean, sd = recipe_code._in_units(p, unit, np.array([given]), np.array([0.02 if log else 0.1]))
    meant = value if log else np.log(value)
    assert mean == pytest.approx((meant - 1.0) / 0.5)
    assert sd == pytest.approx((0.1 if log else 0.02) / 0.5)


def test_what_a_recipe_lacks_is_drawn_from_the_training():
    table = table_of(missing=True)
    beliefs = generate.expectation(table, measured_of(table), NAMES)
    rng = np.random.default_rng(0)
    codes = generate.recipe_codes(beliefs, {"ph": np.nan, "time_min": 50, "gas": "N2"}, 60, rng=rng)
    assert len(np.unique(codes[:, 1])) > 6
    values = table.conditions["ph"].dropna()
    possible = beliefs.at([{"ph": v, "time_min": 50, "gas": "N2"} for v in values])[0]
    assert set(np.round(codes[:, 1], 9)) <= set(np.round(possible[:, 1], 9))
    known = generate.recipe_codes(beliefs, {"ph": 10.0, "time_min": 50, "gas": "N2"}, 3, rng=rng)
    assert (known == known[0]).all()


# --- the model and its file --------------------------------------------------------------------------------------


def test_a_model_is_what_it_was_after_a_file(tmp_path):
    model = replace(small_model(), lines={"d50_um": (0.5, 1.1)}, about={"seed": 3})
    model.save(tmp_path / "model")
    again = generate.load_micrographs(tmp_path)
    recipe = {"ph": 10.3, "time_min": 33, "gas": "O2"}
    for view in ("3000x", "15000x"):
        ours = model.draw(recipe, view=view, images=2, seed=4, shape=(64, 80))
        assert np.array_equal(ours, again.draw(recipe, view=view, images=2, seed=4, shape=(64, 80)))
        assert ours.shape == (2, 64, 80)
    assert again.corrected("d50_um", [2.0]) == pytest.approx([2.7])
    assert again.corrected("texture_mean", [0.4]) == pytest.approx([0.4])
    pd.testing.assert_frame_equal(again.measured, model.measured, check_index_type=False)
    assert again.table == model.table
    assert again.views == model.views


def test_views_recipes_and_seeds_change_what_is_drawn():
    model = small_model()
    draw = lambda view="3000x", seed=1, **recipe: model.draw(  # noqa: E731
        {"ph": 10.3, "time_min": 33, "gas": "O2"} | recipe, view=view, images=1, seed=seed, shape=(64, 64)
    )
    first = draw()
    assert np.array_equal(first, draw())
    assert not np.array_equal(first, draw(view="15000x"))
    assert not np.array_equal(first, draw(seed=2))
    assert not np.array_equal(first, draw(ph=10.9))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"view": "500x"}, "no view '500x'; it has 3000x, 15000x"),
        ({"images": 0}, "one micrograph or more"),
        ({"shape": (60, 64)}, "multiples of 16; got"),
        ({"shape": (64, 8192)}, "64 to 4096"),
    ],
)
def test_impossible_draws_are_refused(how, said):
    asked = {"view": "3000x", "images": 1, "shape": (64, 64)} | how
    with pytest.raises(InputError, match=said):
        small_model().draw({"ph": 10, "time_min": 20, "gas": "N2"}, seed=1, **asked)


def test_other_files_are_no_model(tmp_path):
    with pytest.raises(InputError, match="neither a model's file nor the folder"):
        generate.load_micrographs(tmp_path / "nothing")
    model = small_model()
    model.save(tmp_path / "m")
    path = tmp_path / "m.json"
    recipe = json.loads(path.read_text())
    for change, said in (
        ({"kind": "particle model"}, "is a particle model, not a micrograph model"),
        ({"format": 99}, "has format 99"),
        ({"views": 3}, "lacks or garbles"),
    ):
        path.write_text(json.dumps({**recipe, **change}))
        with pytest.raises(InputError, match=said):
            generate.load_micrographs(tmp_path / "m")
    path.write_text(json.dumps(recipe))
    os.truncate(tmp_path / "m.safetensors", 100)
    with pytest.raises(InputError, match="SHA-256 differs"):
        generate.load_micrographs(tmp_path / "m")


# --- learning with conditions left out ---------------------------------------------------------------------------


def test_conditions_are_parted_evenly_and_once():
    names = [f"c{i}" for i in range(13)]
    groups = generate.parted(names, 4, rng=np.random.default_rng(1))
    assert sorted(len(g) for g in groups) == [3, 3, 3, 4]
    assert sorted(n for g in groups for n in g) == sorted(names)
    assert generate.parted(names, 0, rng=np.random.default_rng(1)) == []
    for folds in (1, 14):
        with pytest.raises(InputError, match="can be left out in 2 to 13 folds"):
            generate.parted(names, folds, rng=np.random.default_rng(1))


def small_images(table):
    rng = np.random.default_rng(2)
    names = tuple(table.conditions.index)
    views = (generate.View("3000x", 0.2, ("d50_um",)), generate.View("15000x", 0.04, ("texture_mean",)))
    arrays = [rng.integers(0, 255, (64, 72), dtype=np.uint8) for _ in range(2 * len(names))]
    condition = np.repeat(np.arange(len(names)), 2)
    return generate.TrainingImages(
        views, arrays, condition, np.tile([0, 1], len(names)), names, tuple(f"i{k}" for k in range(len(arrays))),
        (None,) * len(arrays),
    )  # fmt: skip


def test_a_fold_knows_nothing_of_the_conditions_it_leaves_out(tmp_path):
    table = table_of()
    measured = measured_of(table)

    def learn(measured, folder, folds=3):
        return generate.learn_micrographs(
            small_images(table), table, measured, steps=generate.Steps(1, 1), folder=tmp_path / folder, folds=folds,
            seed=5,
        )  # fmt: skip

    learnt = learn(measured, "a")
    assert set(learnt.curves) == {"base", "codes"}
    assert sorted(n for names, _ in learnt.folds for n in names) == sorted(table.conditions.index)
    left, fold = learnt.folds[0]
    wrong = measured.copy()
    wrong.loc[list(left), NAMES] *= 1.5
    _, again = learn(wrong, "b").folds[0]
    recipe = [table.conditions.loc[left[0]].to_dict()]

    def told(model):
        beliefs = model.expectation
        plain = [u.centre + u.scale * c for u, c in zip(beliefs.units.values(), beliefs.at(recipe)[0][0], strict=True)]
        return [np.exp(v) if u.log else v for v, u in zip(plain, beliefs.units.values(), strict=True)]

    assert told(fold) == pytest.approx(told(again))
    assert told(learnt.model) != pytest.approx(told(learn(wrong, "b").model), rel=0.05)
    assert fold.weights is learnt.model.weights
    assert len(learn(measured, "a", folds=None).folds) == 12


def test_the_papers_way_is_a_back_end_of_the_same_model(tmp_path):
    pytest.importorskip("diffusers")
    table = table_of()
    learnt = generate.learn_micrographs(
        small_images(table), table, measured_of(table), steps=generate.Steps(1, 1), folder=tmp_path / "work",
        backend="control", folds=3, seed=5,
    )  # fmt: skip
    assert len(learnt.folds) == 3
    assert learnt.curves["control"]
    learnt.model.save(tmp_path / "model")
    # the file is whole: it does not lean on the folder of checkpoints
    (tmp_path / "work").rename(tmp_path / "elsewhere")
    model = generate.load_micrographs(tmp_path)
    recipe = {"ph": 10.3, "time_min": 33, "gas": "O2"}
    ours = model.draw(recipe, view="3000x", images=1, seed=4, shape=(64, 64))
    assert np.array_equal(ours, learnt.model.draw(recipe, view="3000x", images=1, seed=4, shape=(64, 64)))
