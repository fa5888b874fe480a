"""Layouts: tables that agree with themselves, conversion by name, and the order of real files."""

import importlib.util
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from skeleton.errors import LayoutError
from skeleton.layouts.conversion import convert, unfillable
from skeleton.layouts.layout import LAYOUTS, LIMBS, get_layout
from skeleton.layouts.tables import ALIASES
from skeleton.record import Skeleton

SIZES = {"coco17": 17, "h36m17": 17, "kinect20": 20, "penn13": 13, "smpl22": 22}
SIZES |= {"ntu25": 25, "openpose18": 18, "openpose25": 25, "halpe26": 26, "wholebody133": 133}
MMPOSE = {
    "coco17": "coco.py",
    "openpose18": "coco_openpose.py",
    "halpe26": "halpe26.py",
    "wholebody133": "coco_wholebody.py",
}


def body(layout: str, frames: int = 3) -> Skeleton:
    joints = len(get_layout(layout).joints)
    rng = np.random.default_rng(0)
    return Skeleton(
        keypoints=rng.uniform(0, 90, (2, frames, joints, 2)),
        confidence=rng.uniform(0.2, 1, (2, frames, joints)),
        visible=np.ones((2, frames, joints), dtype=bool),
        boxes=np.zeros((2, frames, 4)),
        timestamps=np.arange(frames) / 10,
        track_ids=np.arange(2),
        layout=layout,
        frame_size=(100, 120),
        source={},
    )


@pytest.mark.parametrize("name", SIZES)
def test_tables(name):
    layout = get_layout(name)
    assert len(layout.joints) == SIZES[name]
    assert len(layout.bones) == SIZES[name] - 1
    assert sorted(j for joints in layout.limbs.values() for j in joints) == sorted(layout.joints)
    assert (layout.mirror[layout.mirror] == np.arange(SIZES[name])).all()
    for joint, other in zip(layout.joints, layout.mirror, strict=True):
        swapped = joint.replace("left_", "*").replace("right_", "left_").replace("*", "right_")
        assert layout.joints[other] == swapped or joint.startswith("face-")
    for joint, limb in zip(layout.joints, layout.limb_index, strict=True):
        assert joint in layout.limbs[LIMBS[limb]]
        side = joint.split("_")[0]
        assert LIMBS[limb].startswith(side) or LIMBS[limb] in ("head", "torso")
    # Mirroring maps bones onto bones.
    partner = dict(zip(layout.joints, (layout.joints[i] for i in layout.mirror), strict=True))
    assert {(partner[a], partner[b]) for a, b in layout.bones} == set(layout.bones)
    assert [layout.joints[layout.parents[layout.index(child)]] for _, child in layout.bones] == [
        parent for parent, _ in layout.bones
    ]


def test_published_orders():
    coco = get_layout("coco17")
    assert (coco.index("nose"), coco.index("left_wrist"), coco.index("right_ankle")) == (0, 9, 16)
    assert coco.sigmas[coco.index("left_hip")] == 0.107
    assert len(coco.sigmas) == 17
    assert {name for name in SIZES if LAYOUTS[name].sigmas} == {"coco17", "halpe26", "wholebody133"}
    assert set(LAYOUTS) == set(SIZES)
    h36m = get_layout("h36m17")
    assert (h36m.index("right_hip"), h36m.index("left_hip"), h36m.index("right_wrist")) == (1, 4, 16)
    smpl = get_layout("smpl22")
    assert (smpl.index("left_hip"), smpl.index("neck"), smpl.index("right_wrist")) == (1, 12, 21)


@pytest.mark.parametrize("name", MMPOSE)
def test_orders_sides_and_sigmas_of_mmpose(name):
    """Joint by joint as in the data set's description that mmpose's models carry."""
    spec = importlib.util.find_spec("mmpose")
    if spec is None:
        pytest.skip("mmpose is not installed")
    folder = Path(spec.submodule_search_locations[0], ".mim", "configs", "_base_", "datasets")
    info = runpy.run_path(str(folder / MMPOSE[name]))["dataset_info"]
    layout, ours = get_layout(name), ALIASES.get(name, {})
    entries = [info["keypoint_info"][index] for index in range(len(info["keypoint_info"]))]
    assert [ours.get(entry["name"], entry["name"]) for entry in entries] == list(layout.joints)
    partners = [entry["swap"] or entry["name"] for entry in entries]
    assert [ours.get(partner, partner) for partner in partners] == [layout.joints[other] for other in layout.mirror]
    if layout.sigmas:
        assert list(layout.sigmas) == info["sigmas"]


@pytest.mark.parametrize(("name", "theirs"), [("coco17", "coco"), ("openpose18", "openpose"), ("ntu25", "nturgb+d")])
def test_trees_of_mmaction(name, theirs):
    """Bones and root as in the graphs on which pyskl and mmaction2 train, so that their weights can be used."""
    if importlib.util.find_spec("mmaction") is None:
        pytest.skip("mmaction2 is not installed")
    from skeleton.openmmlab import prepare

    prepare("mmengine", "mmcv", "mmaction")
    from mmaction.models.utils.graph import Graph

    graph, layout = Graph(theirs, mode="spatial"), get_layout(name)
    assert (graph.num_node, graph.center) == (len(layout.joints), layout.index(layout.center))
    assert set(graph.inward) == {(layout.index(child), layout.index(parent)) for parent, child in layout.bones}


def test_orders_of_kinect_and_body25():
    """Places that the data sets' own descriptions number: NTU RGB+D counts from 1, BODY_25 from 0."""
    ntu, body = get_layout("ntu25"), get_layout("openpose25")
    numbers = {"pelvis": 1, "spine": 2, "head": 4, "left_shoulder": 5, "left_hand": 8, "right_hand": 12}
    numbers |= {"left_foot": 16, "right_foot": 20, "neck": 21, "left_hand_tip": 22, "right_thumb": 25}
    assert {joint: ntu.index(joint) + 1 for joint in numbers} == numbers
    numbers = {"neck": 1, "right_wrist": 4, "left_wrist": 7, "pelvis": 8, "right_ankle": 11, "left_ankle": 14}
    numbers |= {"right_eye": 15, "left_ear": 18, "left_big_toe": 19, "left_heel": 21, "right_heel": 24}
    assert {joint: body.index(joint) for joint in numbers} == numbers


def test_unknown_names_list_the_known():
    with pytest.raises(LayoutError, match=r"unknown joint layout 'coco'; choose one of coco17, .*smpl22"):
        get_layout("coco")
    with pytest.raises(LayoutError, match="layout penn13 has no joint 'nose'; it has head,"):
        get_layout("penn13").index("nose")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"joints": (*LAYOUTS["penn13"].joints[:-1], "head")}, r"named once, found \['head'\] twice"),
        ({"limbs": {**LAYOUTS["penn13"].limbs, "head": ()}}, r"every joint once, look at \['head'\]"),
        ({"bones": LAYOUTS["penn13"].bones[:-1]}, r"a tree from head, look at \['right_ankle'\]"),
        ({"pairs": (("left_toe", "right_toe"),)}, r"unknown joints \['left_toe', 'right_toe'\]"),
        ({"sigmas": (0.1,)}, "13 sigmas expected, found 1"),
    ],
)
def test_a_table_that_contradicts_itself(change, message):
    with pytest.raises(LayoutError, match=message):
        replace(LAYOUTS["penn13"], **change)


@pytest.mark.parametrize("source", SIZES)
@pytest.mark.parametrize("target", SIZES)
def test_conversion_keeps_named_joints_and_hides_unfillable_ones(source, target):
    before, after = body(source), convert(body(source), target)
    missing = unfillable(source, target)
    for index, joint in enumerate(get_layout(target).joints):
        assert after.visible[:, :, index].all() == (joint not in missing), joint
        if joint in get_layout(source).joints:
            same = before.keypoints[:, :, get_layout(source).index(joint)]
            np.testing.assert_allclose(after.keypoints[:, :, index], same, rtol=1e-6)
    assert after.layout == target
    assert after.source.get("converted_from") == (None if source == target else source)


def test_averages():
    coco = body("coco17")
    place = {joint: coco.keypoints[:, :, i] for i, joint in enumerate(get_layout("coco17").joints)}
    hips = (place["left_hip"] + place["right_hip"]) / 2
    shoulders = (place["left_shoulder"] + place["right_shoulder"]) / 2
    h36m, layout = convert(coco, "h36m17"), get_layout("h36m17")
    np.testing.assert_allclose(h36m.keypoints[:, :, layout.index("pelvis")], hips, rtol=1e-5)
    np.testing.assert_allclose(h36m.keypoints[:, :, layout.index("neck")], shoulders, rtol=1e-5)
    np.testing.assert_allclose(h36m.keypoints[:, :, layout.index("spine")], (hips + shoulders) / 2, rtol=1e-5)
    assert unfillable("coco17", "h36m17") == ("head_top",)
    assert unfillable("penn13", "coco17") == ("left_eye", "right_eye", "left_ear", "right_ear")
    least = np.minimum(coco.confidence[:, :, 11], coco.confidence[:, :, 12])
    np.testing.assert_allclose(h36m.confidence[:, :, 0], least)


def test_what_can_be_converted():
    assert (
        unfillable("openpose25", "coco17") == unfillable("halpe26", "coco17") == unfillable("ntu25", "kinect20") == ()
    )
    assert unfillable("wholebody133", "ntu25") == unfillable("halpe26", "openpose25") == ()
    assert unfillable("ntu25", "coco17") == ("left_eye", "right_eye", "left_ear", "right_ear")
    assert unfillable("coco17", "openpose18") == ()
    assert "left_foot" in unfillable("coco17", "smpl22") and "left_foot" not in unfillable("openpose25", "smpl22")
    whole, layout = body("wholebody133"), get_layout("wholebody133")
    ntu = convert(whole, "ntu25").keypoints[:, :, get_layout("ntu25").index("left_hand")]
    parts = [whole.keypoints[:, :, layout.index(joint)] for joint in ("left_hand_root", "left_middle_finger1")]
    np.testing.assert_allclose(ntu, sum(parts) / 2, rtol=1e-5)


def test_an_average_is_visible_only_where_all_parts_are():
    coco = body("coco17")
    visible = coco.visible.copy()
    visible[0, 1, get_layout("coco17").index("left_hip")] = False
    keypoints = coco.keypoints.copy()
    keypoints[~visible] = np.nan
    after = convert(replace(coco, visible=visible, keypoints=keypoints), "h36m17")
    pelvis, right = get_layout("h36m17").index("pelvis"), get_layout("h36m17").index("right_hip")
    assert not after.visible[0, 1, pelvis]
    assert after.visible[0, 0, pelvis]
    assert after.visible[0, 1, right]
    assert np.isfinite(after.keypoints).all()


def clips(path):
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def test_kinect_order_on_nw_ucla(shared):
    """Bones keep their length within a clip, three times better than between joints in a shuffled order."""
    data, layout = clips(shared / "data/skeletons/nw_ucla.npz"), get_layout("kinect20")
    child, parent = np.array([(layout.index(c), layout.index(p)) for p, c in layout.bones]).T

    def variation(order):
        spread = []
        for i in range(0, len(data["label"]), 40):
            points = data["xyz"][data["offset"][i] : data["offset"][i + 1]][:, order]
            length = np.linalg.norm(points[:, child] - points[:, parent], axis=-1)
            spread.append(length.std(0))
        return np.mean(spread)  # metres

    print(
        variation(np.arange(20)),
        [variation(np.random.default_rng(seed).permutation(20)) for seed in range(5)],
    )
    # Metres with y up: the head is on top, the feet are below, the spine joint is where spine1 is said to be.
    height = {joint: np.median(data["xyz"][:, i, 1]) for i, joint in enumerate(layout.joints)}
    assert max(height, key=height.get) == "head"
    assert sorted(height, key=height.get)[:2] in (["left_foot", "right_foot"], ["right_foot", "left_foot"])
    points = data["xyz"]
    rise = np.linalg.norm(points[:, layout.index("spine1")] - points[:, layout.index("pelvis")], axis=-1)
    back = np.linalg.norm(points[:, layout.index("neck")] - points[:, layout.index("pelvis")], axis=-1)
    assert 0.1 < np.median(rise) / np.median(back) < 0.25
    # Right-handed axes: up x forward (ankle to foot) points to the person's left.
    forward = points[:, layout.index("left_foot")] - points[:, layout.index("left_ankle")]
    forward = forward + points[:, layout.index("right_foot")] - points[:, layout.index("right_ankle")]
    left = points[:, layout.index("left_shoulder")] - points[:, layout.index("right_shoulder")]
    up = points[:, layout.index("neck")] - points[:, layout.index("pelvis")]
    assert ((np.cross(up, forward) * left).sum(-1) > 0).mean() > 0.9


def test_penn_order_and_sides_on_penn_action(shared):
    """The file's "left" is the person's right (tables.py): measured on four kinds of clips."""
    data, layout = clips(shared / "data/skeletons/penn_action.npz"), get_layout("penn13")
    seen = {joint: data["xyz"][:, i, 2] > 0 for i, joint in enumerate(layout.joints)}

    def rows(action):
        chosen = np.flatnonzero(data["label"] == action)
        return [slice(data["offset"][i], data["offset"][i + 1]) for i in chosen]

    def left_is_right_in_the_image(action):
        a, b = layout.index("left_shoulder"), layout.index("right_shoulder")
        at = np.concatenate([np.arange(r.start, r.stop) for r in rows(action)])
        at = at[seen["left_shoulder"][at] & seen["right_shoulder"][at]]
        return (data["xyz"][at, a, 0] > data["xyz"][at, b, 0]).mean()

    # Seen from the front the person's left is at the image's right; bowlers are seen from behind.
    for action in ("jumping_jacks", "jump_rope", "clean_and_jerk"):
        assert left_is_right_in_the_image(action) > 0.95, action
    assert left_is_right_in_the_image("bowl") < 0.15

    def right_wrist_is_faster(action):
        faster = []
        for r in rows(action):
            both = seen["left_wrist"][r] & seen["right_wrist"][r]
            if both.sum() < 10:
                continue
            points = data["xyz"][r][both]
            wrists = [points[:, layout.index(f"{side}_wrist"), :2] for side in ("left", "right")]
            speed = [np.quantile(np.linalg.norm(np.diff(p, axis=0), axis=1), 0.9) for p in wrists]
            faster.append(speed[1] > speed[0])
        return np.mean(faster)

    assert right_wrist_is_faster("strum_guitar") > 0.8
    assert right_wrist_is_faster("bowl") > 0.6
    # Upright people: ankle below knee below hip below shoulder below head (image y points down).
    upright = np.concatenate([np.arange(r.start, r.stop) for r in rows("jumping_jacks")])
    upright = upright[np.all([seen[joint][upright] for joint in layout.joints], axis=0)]
    for side in ("left", "right"):
        chain = ["head", *(f"{side}_{part}" for part in ("shoulder", "hip", "knee", "ankle"))]
        height = data["xyz"][upright][:, [layout.index(joint) for joint in chain], 1]
        assert (np.diff(height, axis=1) > 0).all(1).mean() > 0.95
