"""histcolor.losses against the paper's equations, by hand and by their derivatives."""

import numpy as np
import pytest
import scipy.ndimage
import torch
from torch.autograd import gradcheck

from histcolor import losses
from histcolor.color import AB_MAX
from histcolor.histogram import soft_ab_histogram

BINS = 16


def batch(n=2, side=12, dtype=torch.float32):
    """A prediction, a truth and the truth's histogram; colours within the inner half of the plane."""
    y_ab, t_ab = (torch.rand(2, n, 2, side, side, dtype=dtype) - 0.5).unbind()
    return y_ab, t_ab, soft_ab_histogram(t_ab * AB_MAX, BINS)


def paper_huber(x, y, delta):
    """Equation (4) as it is printed."""
    error = np.abs(x - y)
    return np.where(error < delta, 0.5 * error**2, delta * error - 0.5 * delta**2)


def test_huber_by_hand():
    x = torch.tensor([0.0, 0.005, -0.005, 0.01, 0.5, -0.5], dtype=torch.float64)
    # ½·0.005², ½·0.01² at the seam, and 0.01·0.5 - ½·0.01² beyond it
    expected = torch.tensor([0, 1.25e-5, 1.25e-5, 5e-5, 4.95e-3, 4.95e-3], dtype=torch.float64)
    torch.testing.assert_close(losses.huber(x, torch.zeros_like(x)), expected)


@pytest.mark.parametrize("delta", [0.01, 0.1, 1.0])
def test_huber_is_the_papers_formula(delta):
    x, y = torch.randn(2, 4, 5, 6, dtype=torch.float64).unbind()
    y = torch.where(torch.rand_like(y) < 0.5, x + delta * torch.rand_like(x), y)  # half of them below δ
    torch.testing.assert_close(losses.huber(x, y, delta), torch.from_numpy(paper_huber(x.numpy(), y.numpy(), delta)))


def test_delta_is_the_papers():
    assert losses.DELTA == 0.01
    assert losses.Loss().delta == 0.01
    assert (losses.Loss().lambda_1, losses.Loss().lambda_2) == (1, 10)


def test_sobel_agrees_with_scipy():
    x = torch.rand(2, 2, 9, 11, dtype=torch.float64)
    found = losses.sobel(x)
    assert found.shape == (2, 4, 9, 11)
    for photo in range(2):
        for channel in range(2):
            for place, axis in enumerate((1, 0)):  # x runs along the last axis
                expected = scipy.ndimage.sobel(x[photo, channel].numpy(), axis=axis, mode="nearest") / 8
                torch.testing.assert_close(found[photo, 2 * channel + place], torch.from_numpy(expected))


def test_sobel_of_a_ramp_is_one_and_of_a_plain_picture_zero():
    ramp = torch.arange(8.0).expand(1, 1, 6, 8)
    along_x, along_y = losses.sobel(ramp)[0]
    assert (along_x[:, 1:-1] == 1).all()
    assert (along_y == 0).all()
    assert (losses.sobel(torch.full((1, 2, 5, 5), 0.7)).abs() < 1e-7).all()


def test_a_perfect_prediction_has_no_loss():
    _, t_ab, r_h = batch()
    loss, terms = losses.Loss()(t_ab, t_ab, r_h, torch.ones(2))
    assert loss.item() == pytest.approx(0, abs=1e-9)
    assert set(terms) == {"gt", "grad", "hist"}
    assert all(term.item() == pytest.approx(0, abs=1e-9) for term in terms.values())


def test_losses_are_means_a_photo():
    y_ab, t_ab, r_h = batch(3, dtype=torch.float64)
    delta = losses.DELTA
    y, t = y_ab.numpy(), t_ab.numpy()
    np.testing.assert_allclose(losses.ground_truth_loss(y_ab, t_ab), paper_huber(y, t, delta).mean((1, 2, 3)))
    gy, gt = losses.sobel(y_ab).numpy(), losses.sobel(t_ab).numpy()
    np.testing.assert_allclose(losses.gradient_loss(y_ab, t_ab), paper_huber(gy, gt, delta).mean((1, 2, 3)))
    hist = soft_ab_histogram(y_ab * AB_MAX, BINS).numpy()
    expected = paper_huber(hist, r_h.numpy(), delta).mean((1, 2))
    np.testing.assert_allclose(losses.histogram_loss(y_ab, r_h.float()), expected, rtol=1e-4, atol=1e-10)


def test_the_total_is_the_weighted_sum():
    y_ab, t_ab, r_h = batch()
    for config in (losses.Loss(), losses.Loss(lambda_1=0.3, lambda_2=7.0), losses.Loss(delta=0.1)):
        loss, terms = config(y_ab, t_ab, r_h, torch.ones(2))
        torch.testing.assert_close(
            terms["gt"], losses.ground_truth_loss(y_ab, t_ab, config.delta).mean() / config.delta
        )
        torch.testing.assert_close(terms["grad"], losses.gradient_loss(y_ab, t_ab, config.delta).mean() / config.delta)
        torch.testing.assert_close(terms["hist"], losses.histogram_loss(y_ab, r_h).mean() / losses.DELTA)
        weighted = terms["gt"] + config.lambda_1 * terms["grad"] + config.lambda_2 * terms["hist"]
        torch.testing.assert_close(loss, weighted)
        assert loss > 0


def test_the_terms_hold_no_graph():
    y_ab, t_ab, r_h = batch()
    loss, terms = losses.Loss()(y_ab.requires_grad_(), t_ab, r_h, torch.ones(2))
    assert loss.requires_grad
    assert not any(term.requires_grad for term in terms.values())  # the history would keep every step's memory


def test_cross_reference_has_the_histogram_term_alone():
    y_ab, t_ab, r_h = batch()
    config = losses.Loss()
    loss, terms = config(y_ab, t_ab, r_h, torch.zeros(2))
    assert terms["gt"] == terms["grad"] == 0
    torch.testing.assert_close(loss, config.lambda_2 * losses.histogram_loss(y_ab, r_h).mean() / losses.DELTA)


def test_a_photo_without_a_histogram_has_no_histogram_term():
    y_ab, t_ab = torch.rand(2, 2, 2, 16, 16) - 0.5
    r_h = losses.soft_ab_histogram(t_ab * 110, 16)
    config, yes = losses.Loss(), torch.ones(2)
    given, terms = config(y_ab, t_ab, r_h, yes, yes)
    assert torch.equal(given, config(y_ab, t_ab, r_h, yes)[0])
    dropped, _ = config(y_ab, t_ab, r_h, yes, torch.zeros(2))
    torch.testing.assert_close(dropped, terms["gt"] + terms["grad"])


def test_with_cross_reference_the_true_photo_does_not_count():
    y_ab, t_ab, r_h = batch()
    self_reference = torch.tensor([1.0, 0.0])
    other_truth = torch.stack([t_ab[0], -t_ab[1]])
    config = losses.Loss()
    loss, _ = config(y_ab, t_ab, r_h, self_reference)
    same, _ = config(y_ab, other_truth, r_h, self_reference)
    differs, _ = config(y_ab, -t_ab, r_h, self_reference)
    assert loss == same
    assert loss != differs
    # the mean is over the whole batch: a photo with cross-reference does not make the others count more
    config = losses.Loss(lambda_2=0, lambda_cross=0)
    alone, _ = config(y_ab[:1], t_ab[:1], r_h[:1], self_reference[:1])
    both, _ = config(y_ab, t_ab, r_h, self_reference)
    torch.testing.assert_close(both, alone / 2)
    # and L_H has another weight where it is alone
    config = losses.Loss(lambda_1=0, lambda_2=2, lambda_cross=3)
    loss, _ = config(t_ab, t_ab, r_h.flip(0), self_reference)
    off = losses.histogram_loss(t_ab, r_h.flip(0)) / losses.DELTA
    torch.testing.assert_close(loss, (2 * off[0] + 3 * off[1]) / 2)


@pytest.mark.parametrize("loss", [losses.ground_truth_loss, losses.gradient_loss])
def test_gradients_are_right(loss):
    y_ab, t_ab, _ = batch(2, 4, torch.float64)
    with torch.no_grad():
        y_ab[0] = t_ab[0] + 0.004 * torch.rand_like(t_ab[0])  # below δ, where the loss is a square
    assert gradcheck(lambda y: loss(y, t_ab), (y_ab.requires_grad_(),), eps=1e-7, atol=1e-8, fast_mode=True)


def test_gradient_of_the_histogram_loss_is_right():
    # clear of the kernel's kinks at the bin centres, and so are the steps of gradcheck
    lower = torch.randint(0, BINS - 1, (1, 2, 3, 3))
    y_ab = (lower + 0.2 + 0.6 * torch.rand(lower.shape, dtype=torch.float64) + 0.5) * 2 / BINS - 1
    r_h = soft_ab_histogram((torch.rand(1, 2, 3, 3, dtype=torch.float64) * 2 - 1) * AB_MAX, BINS)
    y_ab.requires_grad_()

    def in_double(y):
        return losses.huber(soft_ab_histogram(y * AB_MAX, BINS), r_h).mean((1, 2))

    assert gradcheck(in_double, (y_ab,), eps=1e-7, atol=1e-7)
    # the loss itself computes in float32 whatever it is given, too coarse for finite differences
    (expected,) = torch.autograd.grad(in_double(y_ab).sum(), y_ab)
    found = losses.histogram_loss(y_ab, r_h.float())
    assert found.dtype == torch.float32
    (gradient,) = torch.autograd.grad(found.sum(), y_ab)
    torch.testing.assert_close(gradient, expected, atol=1e-7, rtol=1e-3)


def test_histogram_loss_takes_bfloat16_from_autocast():
    y_ab, _, r_h = batch()
    loss = losses.histogram_loss(y_ab.bfloat16(), r_h)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, losses.histogram_loss(y_ab, r_h), atol=1e-6, rtol=0.05)


def test_the_histogram_loss_alone_moves_colours_to_their_targets():
    y_ab = torch.full((1, 2, 8, 8), 0.12).requires_grad_()  # a kernel reaches one bin, of 0.125
    r_h = soft_ab_histogram(torch.full((1, 2, 8, 8), 0.2 * AB_MAX), BINS)
    optimizer = torch.optim.Adam([y_ab], lr=0.01)
    first = losses.histogram_loss(y_ab, r_h).item()
    for _ in range(40):
        optimizer.zero_grad()
        loss = losses.histogram_loss(y_ab, r_h).sum()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1 * first
    assert (y_ab - 0.2).abs().max() < 0.05
