"""Figures of the report against numbers worked out by hand and against scipy."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from hybrid.data.sample import Sample
from hybrid.errors import DataError
from hybrid.scoring.baselines import best_interval
from hybrid.scoring.report import is_right, score, wilson

OPTIONS = ["left arm", "right arm", "left leg", "right leg"]


def choice(id_, answer, options=OPTIONS, task="limb", **more):
    return Sample(id_, "Which?", task, 0, 9, options=options, answer=answer, **more)


def other(id_, answer, task):
    return Sample(id_, "?", task, 0, 9, answer=answer)


def said(id_, prediction=None, **more):
    return {"id": id_, "probe": None, "prediction": prediction, **more}


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 3000), share=st.floats(0, 1))
def test_wilson_is_scipys(n, share):
    k = round(share * n)
    want = binomtest(k, n).proportion_ci(0.95, "wilson")
    assert wilson(k, n) == pytest.approx([want.low, want.high], abs=1e-9)
    assert wilson(0, 0) == [0.0, 1.0]


def test_choices():
    samples = [choice("a", 0), choice("b", 1), choice("c", 0, OPTIONS[:2]), choice("d", 0, OPTIONS[1:3])]
    train = [choice(str(i), 0) for i in range(3)] + [choice("x", 1)]
    report = score([said("a", 0), said("b", 0), said("c", 0), said("d", 1)], samples, train)
    row = report["tasks"]["limb"]
    assert (row["n"], row["accuracy"], row["missing"], row["unparsable"]) == (4, 0.5, 0, 0)
    assert row["ci95"] == pytest.approx(wilson(2, 4))
    assert row["chance"] == pytest.approx((1 / 4 + 1 / 4 + 1 / 2 + 1 / 2) / 4)
    # "left arm": right on a, wrong on b, right on c, no option of d (so chance, one half)
    assert row["majority"] == pytest.approx((1 + 0 + 1 + 0.5) / 4)
    assert row["majority_ci95"] == pytest.approx(wilson(2.5, 4))


def test_majority_is_a_text_and_not_a_position():
    shuffled = [choice("a", 1, ["right arm", "left arm"]), choice("b", 0, ["left arm", "right arm"])]
    train = [choice("x", 2, ["left leg", "right leg", "left arm"])]
    assert score([], shuffled, train)["tasks"]["limb"]["majority"] == 1.0


def test_counts():
    samples = [other("a", 3, "count"), other("b", "5", "count"), other("c", 0, "count")]
    train = [other(str(i), answer, "count") for i, answer in enumerate([3, 3, "3", 5, 1])]
    lines = [said("a", 3), said("b", text="four"), said("c", text="many")]
    row = score(lines, samples, train)["tasks"]["count"]
    assert row["accuracy"] == pytest.approx(1 / 3)
    assert row["within_one"] == pytest.approx(2 / 3)
    assert row["mean_absolute_error"] == pytest.approx(0.5)  # of the two that were parsed
    assert row["unparsable"] == 1
    assert row["chance"] == pytest.approx(1 / 3)
    assert row["majority"] == pytest.approx(1 / 3)


def test_counts_as_options_have_distances_too():
    row = score([said("a", 2)], [choice("a", 0, ["2", "3", "4"], "count")])["tasks"]["count"]
    assert (row["accuracy"], row["within_one"], row["mean_absolute_error"]) == (0, 0, 2)


def test_intervals():
    samples = [other("a", (0, 2), "interval"), other("b", (4, 6), "interval")]
    train = [other("x", (0, 2), "interval"), other("y", (0, 2.2), "interval"), other("z", (4, 6), "interval")]
    row = score([said("a", [0, 1.6]), said("b", [5, 7])], samples, train)["tasks"]["interval"]
    assert row["accuracy"] == 0.5
    assert row["mean_iou"] == pytest.approx((0.8 + 1 / 3) / 2)
    assert (row["r_at_0.3"], row["r_at_0.7"]) == (1.0, 0.5)
    assert row["chance"] == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert row["majority"] == 0.5


def test_best_interval_beats_every_training_interval():
    rng = np.random.default_rng(0)
    starts = rng.uniform(0, 4, 300)
    intervals = np.stack([starts, starts + rng.uniform(0.5, 3, 300)], axis=1)
    best = best_interval(intervals)

    def hits(interval):
        shared = np.clip(np.minimum(interval[1], intervals[:, 1]) - np.maximum(interval[0], intervals[:, 0]), 0, None)
        union = np.ptp(intervals, axis=1) + interval[1] - interval[0] - shared
        return np.mean(shared / union >= 0.5)

    assert hits(best) >= max(hits(interval) for interval in intervals) - 0.02
    assert hits(best) > 0.3


def test_texts_are_compared_without_case_and_punctuation():
    assert is_right("The Left arm.", other("a", "the left arm", "t"))
    assert not is_right("left arm", other("a", "the left arm", "t"))


def test_missing_unparsable_hidden_and_duplicates():
    samples = [choice("a", 0), choice("b", 0), choice("c", 0), choice("d", 0), choice("h", None)]
    lines = [said("a", 0), said("a", 1), said("b", text="no idea"), said("c"), said("h", 2)]
    report = score(lines, samples)
    assert (report["n"], report["missing"], report["unparsable"], report["hidden"]) == (4, 2, 1, 1)
    assert report["micro_accuracy"] == 0.25
    assert report["tasks"]["limb"]["majority"] is None
    assert report["macro_majority"] is None


def test_text_is_parsed_when_no_prediction_is_given():
    report = score([said("a", text="(B)"), said("b", text="the left arm")], [choice("a", 1), choice("b", 0)])
    assert report["micro_accuracy"] == 1.0


def test_macro_micro_binding_groups_and_probes():
    bound = {"binding": True}
    samples = [choice(f"l{i}", 0, meta=bound if i < 2 else {}, group="ab"[i % 2]) for i in range(4)]
    samples += [other("c", 1, "count")]
    lines = [said("l0", 0), said("l1", 1), said("l2", 0), said("l3", 0), said("c", 2)]
    lines += [said(f"l{i}", 1) | {"probe": "shuffle"} for i in range(4)]
    report = score(lines, samples, [choice("x", 0)], benchmark="marionette", config_hash="abc")
    assert (report["benchmark"], report["config_hash"]) == ("marionette", "abc")
    assert report["macro_accuracy"] == pytest.approx((0.75 + 0) / 2)
    assert report["micro_accuracy"] == pytest.approx(3 / 5)
    assert report["macro_chance"] is None  # no training counts
    assert (report["binding"]["n"], report["binding"]["accuracy"]) == (2, 0.5)
    row = report["tasks"]["limb"]
    assert (row["groups"], row["group_accuracy"]) == (2, 0.5)
    probe = report["probes"]["shuffle"]
    assert (probe["n"], probe["missing"], probe["macro_accuracy"]) == (5, 1, 0.0)
    assert probe["tasks"]["limb"]["n"] == 4
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_no_binding_questions_no_binding_row():
    assert score([said("a", 0)], [choice("a", 0)])["binding"] is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (said("z", 0), r"expected predictions of the samples given, found the id 'z'"),
        (
            said("a", 0, answer=1),
            r"expected the answer 0 in the prediction of 'a', found 1; the samples changed",
        ),
        (said("a", [1, 2]), r"expected a prediction of kind choice for 'a', found \[1, 2\]; test again"),
    ],
)
def test_wrong_predictions(line, message):
    with pytest.raises(DataError, match=message):
        score([line], [choice("a", 0)])
