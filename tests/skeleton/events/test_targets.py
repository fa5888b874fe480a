"""Event targets against cases made by hand: four bins of half a second."""

import numpy as np
import pytest

from skeleton.events.limb_event import LimbEvent
from skeleton.events.targets import COVER, columns, event_targets
from skeleton.layouts.layout import LIMBS

LEFT, RIGHT = LIMBS.index("left arm"), LIMBS.index("right arm")


def targets(*events, tracks=(7,), bins=4, width=0.5):
    return event_targets(
        [LimbEvent(**{"person": 7, "start": 0.5, "end": 1.5} | event) for event in events], list(tracks), bins, width
    )


def column(values, name):
    return values[..., columns()[name]]


def test_columns_are_words_and_last_the_repetitions():
    names = list(columns())
    assert len(names) == len(set(names)) == len(columns())
    assert names[-1] == "repetitions"
    assert {"raise", "wave", "kick", "up", "left", "the head", "the hip"} < set(names)
    assert list(columns().values()) == list(range(len(names)))


def test_an_event_marks_its_movement_and_direction_in_its_bins_and_limb():
    values = targets({"limb": "left arm", "movement": "raise", "direction": "up"})
    assert values.shape == (1, 4, 6, len(columns()))
    assert values.dtype == np.float32
    for name in ("raise", "up"):
        assert column(values, name)[0, :, LEFT].tolist() == [0, 1, 1, 0]
    assert values.sum() == 6  # two bins, two words, a start and an end, nothing else


def test_the_first_and_the_last_marked_bin_hold_start_and_end():
    values = targets({"limb": "left arm", "movement": "raise", "start": 0.46, "end": 1.9})
    assert column(values, "raise")[0, :, LEFT].tolist() == [0, 1, 1, 1]
    assert column(values, "start")[0, :, LEFT].tolist() == [0, 1, 0, 0]
    assert column(values, "end")[0, :, LEFT].tolist() == [0, 0, 0, 1]
    within = targets({"limb": "left arm", "movement": "raise", "start": 0.6, "end": 0.9})
    assert column(within, "start")[0, :, LEFT].tolist() == column(within, "end")[0, :, LEFT].tolist() == [0, 1, 0, 0]


def test_nothing_happens_where_there_is_no_event():
    assert targets().shape == (1, 4, 6, len(columns()))
    assert not targets().any()
    assert targets({"limb": "head", "movement": "nod"}, tracks=()).shape[0] == 0


@pytest.mark.parametrize(
    ("start", "end", "marked"),
    [
        (0.0, 2.0, [1, 1, 1, 1]),
        (0.36, 1.14, [0, 1, 0, 0]),  # 28 % of the first and of the third bin
        (0.34, 1.16, [1, 1, 1, 0]),  # 32 %
        (0.6, 0.7, [0, 1, 0, 0]),  # a short event lies in one bin whole
        (0.45, 0.55, [1, 1, 0, 0]),  # or in two by half
        (-1.0, 0.2, [1, 0, 0, 0]),
        (1.9, 9.0, [0, 0, 0, 0]),  # 20 % of the last bin
    ],
)
def test_a_bin_is_marked_from_the_share_on_that_the_event_covers(start, end, marked):
    values = targets({"limb": "left arm", "movement": "raise", "start": start, "end": end})
    assert pytest.approx(0.3) == COVER
    assert column(values, "raise")[0, :, LEFT].tolist() == marked


def test_repetitions_are_shared_out_over_the_time_of_the_event():
    values = targets({"limb": "right arm", "movement": "wave", "count": 4, "start": 0.25, "end": 1.25})
    np.testing.assert_allclose(column(values, "repetitions")[0, :, RIGHT], [1, 2, 1, 0], atol=1e-6)
    assert column(values, "repetitions").sum() == pytest.approx(4)
    assert column(values, "wave")[0, :, RIGHT].tolist() == [1, 1, 1, 0]
    once = targets({"limb": "left arm", "movement": "raise"})
    assert not column(once, "repetitions").any()  # not a movement that is counted


def test_two_events_of_one_limb_add_their_repetitions():
    wave = {"limb": "left arm", "movement": "wave", "count": 1}
    values = targets({**wave, "start": 0.0, "end": 0.25}, {**wave, "start": 0.25, "end": 0.5, "count": 2})
    assert column(values, "repetitions")[0, 0, LEFT] == pytest.approx(3)
    assert column(values, "wave")[0, :, LEFT].tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("limb", "movement", "limbs"),
    [
        ("both arms", "wave", {"left arm", "right arm"}),
        ("both legs", "bend", {"left leg", "right leg"}),
        ("whole body", "jump", {"torso", "left leg", "right leg"}),
        ("torso", "bow", {"torso"}),
        ("head", "nod", {"head"}),
    ],
)
def test_limbs_of_several_parts_mark_each(limb, movement, limbs):
    values = targets({"limb": limb, "movement": movement})
    assert {LIMBS[i] for i in np.flatnonzero(column(values, movement)[0].any(0))} == limbs


def test_body_targets_are_words_and_objects_are_not():
    touch = targets({"limb": "left arm", "movement": "touch", "target": "the hip"})
    assert column(touch, "the hip")[0, :, LEFT].tolist() == [0, 1, 1, 0]
    reach = targets({"limb": "left arm", "movement": "reach", "target": "the red ball"})
    assert reach.sum() == column(reach, "reach").sum() + 2 == 4  # beside a start and an end


def test_persons_stand_in_the_order_of_their_tracks_and_strangers_nowhere():
    events = [
        {"limb": "head", "movement": "nod", "person": 3},
        {"limb": "head", "movement": "shake", "person": 7},
        {"limb": "torso", "movement": "bow", "person": 99},
    ]
    values = targets(*events, tracks=(7, 3))
    assert column(values, "shake")[0].any() and not column(values, "shake")[1].any()
    assert column(values, "nod")[1].any() and not column(values, "nod")[0].any()
    assert not column(values, "bow").any()


def test_what_the_view_cannot_tell_is_no_target():
    assert not targets({"limb": "head", "movement": "nod", "observable": False}).any()
