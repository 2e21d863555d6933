"""Colouring in the background: the newest histogram counts."""

import copy
import sys
import threading
from dataclasses import replace

import pytest
import torch

import histcolor as hc
from histcolor import edit
from histcolor.editor.live import Live
from histcolor.histogram import resize_histogram


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return hc.Colorizer(hc.PRESETS["tiny"]).eval()


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    """The same on all processors."""
    monkeypatch.setenv("HISTCOLOR_PRECISION", "float32")


@pytest.fixture
def live(model):
    live = Live(model, hc.demo_photo("chelsea"), size=32, show=64)
    yield live
    live.close()


RED, BLUE = (edit.from_palette(colour, 16) for colour in ("#c33", "#33c"))


def test_result_is_what_colorize_gives(model, live):
    live.ask(RED)
    result = live.wait()
    assert result.target is RED
    assert max(result.rgb.shape) == 64
    assert torch.equal(result.rgb, hc.colorize(model, live.small, RED))
    rounded = (result.rgb * 255).round() / 255
    assert torch.equal(result.achieved, hc.ab_histogram(hc.rgb_to_lab(rounded)[1:], 16))
    assert result.distance == pytest.approx(float(hc.hellinger(resize_histogram(RED, 16), result.achieved)))
    assert live.full(RED).shape == (3, 300, 451)
    live.ask(RED, transport=1.0)
    assert live.wait().distance < result.distance


def test_newer_requests_overtake_older_ones(model, live, monkeypatch):
    """Three more requests come while the first is computed: only the last of them is computed and shown."""
    module, begun, go, computed = sys.modules["histcolor.editor.live"], threading.Event(), threading.Event(), []
    real = module.predict

    def slow(model, photo, hist, pins=None):
        computed.append(hist)
        begun.set()
        assert go.wait(30)
        return real(model, photo, hist)

    monkeypatch.setattr(module, "predict", slow)
    shown = []
    hists = [edit.paint(RED, (0, b), strength=0.5) for b in (-60, -20, 20, 60)]
    live.ask(hists[0], then=shown.append)
    assert begun.wait(30)
    for hist in hists[1:]:
        live.ask(hist, then=shown.append)
    go.set()
    result = live.wait()
    assert result.target is hists[-1]
    assert [any(hist is other for other in computed) for hist in hists] == [True, False, False, True]
    assert shown == [result]


@pytest.fixture
def slow_network(monkeypatch):
    """A network that says when it begins, and waits until it may go on: these two events."""
    module, begun, go = sys.modules["histcolor.editor.live"], threading.Event(), threading.Event()
    real = module.predict

    def slow(*args, **options):
        begun.set()
        assert go.wait(30)
        return real(*args, **options)

    monkeypatch.setattr(module, "predict", slow)
    return begun, go


def test_previews_are_shown_although_the_next_one_waits(live, slow_network):
    """A hand that moves asks for more than can be computed: something is seen all the time, and the end counts."""
    begun, go = slow_network
    hists, shown = [edit.paint(RED, (0, b), strength=0.5) for b in (-60, -20, 20)], []
    live.ask(hists[0], following=True, then=shown.append)
    assert begun.wait(30)
    for hist in hists[1:]:
        live.ask(hist, following=True, then=shown.append)
    go.set()
    live.wait()
    assert [result.target for result in shown] == [hists[0], hists[2]]
    begun.clear()
    go.clear()
    live.ask(hists[1], following=True, then=shown.append)
    assert begun.wait(30)
    live.ask(BLUE, then=shown.append)
    go.set()
    assert live.wait().target is BLUE
    assert [result.target for result in shown[2:]] == [BLUE], "the end of a stroke is worth more than its middle"


def test_what_an_edit_does_not_change_is_not_computed_again(model, live, monkeypatch):
    module, asked = sys.modules["histcolor.editor.live"], []
    real = module.predict
    monkeypatch.setattr(module, "predict", lambda *args, **options: asked.append(args[2]) or real(*args, **options))
    for strength in (0.0, 0.5, 1.0):
        live.ask(RED, strength)
        assert torch.equal(live.wait().rgb, hc.colorize(model, live.small, RED, transport=strength))
    assert len(asked) == 1
    live.ask(BLUE)
    live.wait()
    assert len(asked) == 2
    points = [(20, 30, "#c33")]
    for strength in (0.0, 1.0):
        live.ask(BLUE, strength, points=points)
        before = live.wait()
    assert len(asked) == 3
    shown = []
    live.ask(BLUE, 1.0, points=points, then=shown.append)
    assert live.wait() is before is shown[0], "the same once more is only shown once more"


def test_in_bfloat16_pictures_look_the_same_and_the_saved_one_is_exact(model, monkeypatch):
    monkeypatch.setenv("HISTCOLOR_PRECISION", "bfloat16")
    quick = Live(model, hc.demo_photo("chelsea"), size=64, show=64)
    options = {"points": [(20, 30, "#c33")], "transport": 0.5}
    quick.ask(RED, **options)
    shown, exact = quick.wait().rgb, hc.colorize(model, quick.photo, RED, **options)
    assert torch.equal(quick.full(RED, **options), exact)
    options["points"] = [(20 * 64 / 451, 30 * 64 / 451, "#c33")]
    difference = (shown - hc.colorize(model, quick.small, RED, **options)).abs()
    assert 0 < difference.mean() < 0.01
    quick.close()


@pytest.mark.parametrize("automatic", [False, True])
def test_pins_are_those_of_colorize(model, live, automatic):
    """Places are pixels of the photo at its full size, also for the small picture."""
    live.model = model = copy.deepcopy(model)
    model.average.fill_(1.0)
    points = [(400, 250, "#c33"), (20, 30, "gray")]
    options = {"points": points} if automatic else {"points": points, "transport": 0.5}
    full = live.full(RED, 0.5, automatic=automatic, points=points)
    photo = hc.demo_photo("chelsea")
    assert torch.equal(full, hc.colorize(model, photo, None if automatic else RED, size=32, **options))
    live.ask(RED, 0.5, automatic=automatic, points=points)
    pinned = live.wait().rgb
    assert (
        pinned - hc.colorize(model, replace(live.small, model=model), None if automatic else RED)
    ).abs().max() > 0.05
    shown = torch.nn.functional.interpolate(full[None], pinned.shape[1:], mode="area")[0]
    assert (pinned - shown).abs().mean() < 0.02, "the same colours at both sizes"


def test_an_edit_stops_a_preview(live, slow_network, monkeypatch):
    """When the pointer is up while the network computes a preview, no more is computed of that."""
    (begun, go), module, finished = slow_network, sys.modules["histcolor.editor.live"], []
    monkeypatch.setattr(module, "join", lambda *args, join=module.join: finished.append(1) or join(*args))
    live.ask(RED, following=True)
    assert begun.wait(30)
    live.ask(BLUE)
    go.set()
    assert live.wait().target is BLUE
    assert len(finished) == 1


def test_a_failure_is_raised_by_wait_and_the_next_request_works(live):
    live.ask(torch.zeros(16, 16))
    with pytest.raises(ValueError, match="all zero"):
        live.wait()
    live.ask(BLUE)
    assert live.wait().target is BLUE

    def broken(result):
        raise OSError("The page is gone.")

    live.ask(RED, then=broken)
    with pytest.raises(OSError, match="page is gone"):
        live.wait()
    live.ask(torch.zeros(16, 16), fail=broken)
    with pytest.raises(OSError, match="page is gone"):
        live.wait(5)
    live.ask(BLUE)
    assert live.wait(5).target is BLUE, "the thread lives on"


def test_waiting_for_nothing_and_for_too_long(model, live, monkeypatch):
    with pytest.raises(ValueError, match="There is no picture yet"):
        live.wait()
    go = threading.Event()
    monkeypatch.setattr(sys.modules["histcolor.editor.live"], "predict", lambda *_, **__: go.wait(30))
    live.ask(RED)
    with pytest.raises(TimeoutError, match=r"not ready after 0\.01 seconds"):
        live.wait(0.01)
    go.set()


def test_small_and_long_photos(model):
    for shape in ((1, 1), (3, 500), (40, 30)):
        live = Live(model, torch.rand(3, *shape), size=32, show=64)
        live.ask(RED)
        assert max(live.wait().rgb.shape) == min(64, max(3, *shape))
        assert live.full(RED).shape == (3, *shape)
        assert 0 <= live.lightness <= 100
        live.close()


def test_a_closed_one_takes_no_requests(model):
    live = Live(model, torch.rand(3, 8, 8), size=32)
    live.close()
    with pytest.raises(ValueError, match="was closed"):
        live.ask(RED)
    with pytest.raises(ValueError, match="no picture yet"):
        live.wait(1)


def test_a_photo_that_was_left_shows_nothing_more(model, monkeypatch):
    """It is closed while it computes: the result is dropped."""
    started, go_on, shown = threading.Event(), threading.Event(), []

    def slow(*args, **kwargs):
        started.set()
        go_on.wait(20)
        return torch.zeros(1, 2, 32, 32)

    monkeypatch.setattr("histcolor.editor.live.predict", slow)
    left = Live(model, hc.demo_photo("chelsea"), size=32, show=64)
    left.ask(RED, then=shown.append)
    assert started.wait(20)
    left.close()
    go_on.set()
    with pytest.raises(ValueError, match="There is no picture yet"):
        left.wait()
    assert not shown
