"""The classical methods against their papers' arithmetic, written out."""

import numpy as np
import pytest
import torch

import histcolor as hc
from histcolor.baselines.classical import (
    UNTRAINED,
    gray,
    jittered,
    match_moments,
    mean_colour,
    neighbourhood_spread,
    rank,
    reinhard,
    welsh,
)
from histcolor.evaluate import Task, squash
from histcolor.metrics import measure, psnr


@pytest.fixture(scope="module")
def truth(photos):
    return squash(hc.read_image(photos / "coffee_cup.jpg"), 96)


@pytest.fixture(scope="module")
def reference(photos):
    return squash(hc.read_image(photos / "chelsea_eye.jpg"), 64)


def task_of(truth, reference):
    return Task(hc.rgb_to_lab(truth)[:1], hc.rgb_to_lab(reference))


def lab(L, a, b):
    """Lab [3, H, W] of three arrays that broadcast."""
    return torch.stack(torch.broadcast_tensors(*(torch.as_tensor(x, dtype=torch.float32) for x in (L, a, b))))


def test_gray_and_mean_colour(reference):
    task = task_of(reference, reference)
    assert hc.rgb_to_lab(gray(task))[1:].abs().max() < 0.01
    ab = hc.rgb_to_lab(mean_colour(task))[1:].mean((1, 2))
    assert (ab - task.reference[1:].mean((1, 2))).abs().max() < 2  # but for clipping and the bins' width
    assert psnr(mean_colour(task), reference) > psnr(gray(task), reference)


def test_rank_gives_the_target_histogram(truth, reference):
    task = task_of(reference, truth)
    exact, mean = (measure(method(task), task.reference) for method in (rank, mean_colour))
    assert exact["intersection"] > 0.9  # but for what sRGB can not show at the photo's L
    assert exact["intersection"] > mean["intersection"]


def test_rank_orders_colours_by_lightness():
    # a reference whose dark half is blue and whose bright half is yellow colours a ramp likewise
    L = torch.linspace(20, 90, 64)[None, None].expand(1, 64, 64).contiguous()
    ab = torch.zeros(2, 64, 64)
    ab[1, :, :32], ab[1, :, 32:] = -30.0, 30.0
    reference = torch.cat([L, ab])[:, :, torch.randperm(64)]  # where things lie in the reference must not matter
    out = hc.rgb_to_lab(rank(Task(L, reference)))
    assert (out[2, :, :30] < -20).all()
    assert (out[2, :, 34:] > 20).all()


def test_moments_are_matched_by_reinhards_arithmetic():
    x, y = np.random.default_rng(0).normal(5, 3, (2, 4, 5)), np.random.default_rng(1).normal(-2, 7, (2, 6, 3))
    out = match_moments(torch.from_numpy(x), torch.from_numpy(y)).reshape(2, 4, 5).numpy()
    for c in range(2):
        expected = (x[c] - x[c].mean()) * (y[c].std() / x[c].std()) + y[c].mean()
        np.testing.assert_allclose(out[c], expected, rtol=1e-5, atol=1e-5)


def test_reinhard_gives_means_and_spreads():
    ramp = torch.linspace(40, 70, 32).expand(32, 32)
    draw = torch.Generator().manual_seed(0)
    a, b = (c + s * torch.randn(40, 40, generator=draw) for c, s in ((6, 2), (-4, 3)))
    task = Task(ramp[None], lab(55 + a - b, a, b))  # L rises with a and falls with b
    out = hc.rgb_to_lab(reinhard(task))
    for c, x in ((1, a), (2, b)):
        assert float(out[c].mean()) == pytest.approx(float(x.mean()), abs=0.05)
        assert float(out[c].std(correction=0)) == pytest.approx(float(x.std(correction=0)), abs=0.05)
    assert out[1, 0, -1] > out[1, 0, 0] + 4, "a rises with L"
    assert out[2, 0, -1] < out[2, 0, 0] - 4, "b falls"


def test_reinhard_without_spread_is_the_mean_colour():
    colours = lab(torch.linspace(30, 80, 16).expand(16, 16), 10.0, torch.tensor([[4.0], [8.0]]).repeat(8, 1))
    flat = Task(torch.full((1, 8, 8), 60.0), colours)
    out = hc.rgb_to_lab(reinhard(flat))
    torch.testing.assert_close(out[1:].mean((1, 2)), torch.tensor([10.0, 6.0]), atol=0.05, rtol=0)
    assert float(out[1:].std((1, 2)).max()) < 0.01


def test_spread_of_a_neighbourhood_is_numpys():
    L = np.random.default_rng(0).uniform(0, 100, (9, 7))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(L, 2, mode="symmetric"), (5, 5))
    np.testing.assert_allclose(neighbourhood_spread(L), windows.std((-2, -1)), atol=1e-9)
    assert neighbourhood_spread(np.full((6, 6), 33.3)).max() < 1e-4, "no NaN from rounding below zero"


@pytest.mark.parametrize(("height", "width", "count"), [(256, 256, 196), (5, 300, 70), (1, 1, 1)])
def test_samples_are_one_a_cell(height, width, count):
    rows, columns = jittered(height, width, 200)
    assert len(rows) == len(columns) == count
    assert 0 <= rows.min() <= rows.max() < height
    assert 0 <= columns.min() <= columns.max() < width
    assert len(set(zip(rows, columns, strict=True))) == count
    assert np.array_equal(rows, jittered(height, width, 200)[0]), "the same places every time"


def test_welsh_is_its_papers_arithmetic(truth, reference):
    small = task_of(truth[:, :24, :20], reference[:, :30, :26])
    L, (L_ref, a_ref, b_ref) = small.L[0].double().numpy(), small.reference.double().numpy()
    remapped = L.std() / L_ref.std() * (L_ref - L_ref.mean()) + L.mean()

    def spread(x):
        return np.lib.stride_tricks.sliding_window_view(np.pad(x, 2, mode="symmetric"), (5, 5)).std((-2, -1))

    s, s_ref = spread(L), spread(remapped)
    places = list(zip(*jittered(30, 26, 200), strict=True))
    a, b = np.empty_like(L), np.empty_like(L)
    for i, j in np.ndindex(L.shape):
        distance = [0.5 * abs(L[i, j] - remapped[p]) + 0.5 * abs(s[i, j] - s_ref[p]) for p in places]
        a[i, j], b[i, j] = a_ref[places[np.argmin(distance)]], b_ref[places[np.argmin(distance)]]
    expected = hc.lab_to_rgb(lab(small.L[0], a, b))
    torch.testing.assert_close(welsh(small), expected, atol=1e-5, rtol=0)


def test_welsh_sees_the_answer_when_the_reference_is_the_photo(truth):
    crop = truth[:, 10:50, 10:50]
    same = task_of(crop, crop)
    few, all_ = (float(psnr(welsh(same, samples), crop)) for samples in (200, 40 * 40))
    assert all_ > few > float(psnr(mean_colour(same), crop)) + 3
    assert all_ > float(psnr(rank(same), crop)) + 3


def test_welsh_of_flat_photos():
    flat = Task(torch.full((1, 8, 8), 60.0), lab(torch.full((9, 9), 20.0), 10.0, -5.0))
    out = hc.rgb_to_lab(welsh(flat))
    torch.testing.assert_close(out, lab(torch.full((8, 8), 60.0), 10.0, -5.0), atol=0.05, rtol=0)


def test_every_method_colours_a_photo_of_another_size_than_its_reference(truth, reference):
    task = task_of(truth, reference)
    for name, method in UNTRAINED.items():
        out = method(task)
        assert out.shape == truth.shape, name
        assert float(out.min()) >= 0, name
        assert float(out.max()) <= 1, name
        # L stays, up to sRGB's gamut
        moved = (hc.rgb_to_lab(out)[0] - task.L[0]).abs()
        assert float(moved.median()) < 0.5, name
