"""BVH: positions worked out by hand, channels in any order, joints by name, units, and what is refused."""

import numpy as np
import pytest

from skeleton.errors import FormatError
from skeleton.formats import clips, read
from skeleton.formats.bvh import read_motion
from skeleton.formats.mocap import match_joints, plain_name, read_captures, to_record, up_axis
from skeleton.layouts.conversion import convert
from skeleton.layouts.layout import get_layout
from tests.skeleton.formats.bvh_files import BODY, bvh_text

TINY = """HIERARCHY
ROOT My Hips
{
  OFFSET 5 5 5
  CHANNELS 6 Yrotation Zposition Xposition Yposition Zrotation Xrotation
  JOINT arm {
    CHANNELS 4 Zrotation Xrotation Yrotation Yposition
    OFFSET 1 2 3
    End Site
    {
      OFFSET 0 10 0
    }
  }
}
MOTION
Frames: 3
Frame Time: .0333333
0 30 10 20 0 0   0 0 0 2
90 30 10 20 0 0   0 0 0 2
0 30 10 20 0
0   90 90 0 7
"""


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_positions_by_hand(tmp_path):
    motion = read_motion(write(tmp_path / "a.bvh", TINY))
    assert motion.names == ("My Hips", "arm", "arm_end") and motion.parents.tolist() == [-1, 0, 1] and motion.fps == 30
    hips = [10, 20, 30]  # positions replace the offset
    np.testing.assert_allclose(motion.positions[:, 0], [hips] * 3, atol=1e-12)
    np.testing.assert_allclose(motion.positions[0, 1:], np.add(hips, [[1, 2, 3], [1, 12, 3]]), atol=1e-12)
    # a quarter turn about y takes z to x and x to -z
    np.testing.assert_allclose(motion.positions[1, 1:], np.add(hips, [[3, 2, -1], [3, 12, -1]]), atol=1e-12)
    # Zrotation Xrotation as listed: the end (0, 10, 0) goes about x to (0, 0, 10), and about z stays there
    np.testing.assert_allclose(motion.positions[2, 1:], np.add(hips, [[1, 7, 3], [1, 7, 13]]), atol=1e-12)


def test_rotations_apply_in_the_order_listed(tmp_path):
    other = TINY.replace("4 Zrotation Xrotation", "4 Xrotation Zrotation")
    end = read_motion(write(tmp_path / "a.bvh", other)).positions[2, 2]
    # the end goes about z to (-10, 0, 0), and about x stays there
    np.testing.assert_allclose(end, [10 + 1 - 10, 20 + 7, 30 + 3], atol=1e-12)


def test_decimal_commas_and_a_byte_order_mark(tmp_path):
    """As an exporter writes under a German or French locale."""
    plain = TINY.replace("OFFSET 1 2 3", "OFFSET 1.5 2 -3.25").replace("90 90 0 7", "90 90 0 7.5")
    comma = plain.replace("1.5 2 -3.25", "1,5 2 -3,25").replace("7.5", "7,5").replace(".0333333", ",0333333")
    expected, found = (read_motion(write(tmp_path / "a.bvh", text)) for text in (plain, "\ufeff" + comma))
    np.testing.assert_array_equal(found.positions, expected.positions)
    assert found.fps == 30
    np.testing.assert_allclose(found.positions[0, 1], [11.5, 22, 26.75], atol=1e-12)
    for text in (plain.replace("20 0 0   0", "20 0 0   1,000"), plain.replace("OFFSET 5 5 5", "OFFSET 5, 5, 5")):
        with pytest.raises(FormatError, match=r"expected a (finite )?number, found '(1,000|5,)'"):
            read_motion(write(tmp_path / "a.bvh", text))  # a comma among points parts thousands, or values


def test_scales_reach_all_that_hangs_on_the_joint(tmp_path):
    """The arm hangs at (1, 2, 3) and its end at (0, 10, 0): the root doubles x and halves y, the arm trebles y."""
    text = TINY.replace("CHANNELS 6", "CHANNELS 8").replace(
        "Zrotation Xrotation\n", "Zrotation Xrotation xScale Yscale\n"
    )
    text = text.replace("CHANNELS 4 Zrotation", "CHANNELS 5 Yscale Zrotation")
    text = text[: text.index("Frames:")] + "Frames: 1\nFrame Time: .1\n0 30 10 20 0 0 2 .5  3 0 0 0 2\n"
    positions = read_motion(write(tmp_path / "a.bvh", text)).positions[0]
    np.testing.assert_allclose(positions, [[10, 20, 30], [12, 21, 33], [12, 36, 33]], atol=1e-12)
    turned = text.replace("0 30 10 20 0 0 2 .5", "90 30 10 20 0 0 2 .5")  # the root's quarter turn: z to x, x to -z
    np.testing.assert_allclose(
        read_motion(write(tmp_path / "a.bvh", turned)).positions[0],
        [[10, 20, 30], [13, 21, 28], [13, 36, 28]],
        atol=1e-12,
    )
    with pytest.raises(FormatError, match=r"a\.bvh: expected scales above 0, found -2; export without scales"):
        read_motion(write(tmp_path / "a.bvh", text.replace("0 0 2 .5", "0 0 -2 .5")))


@pytest.mark.parametrize(
    ("site", "name"),
    [
        ("End Site hand tip", "hand tip"),
        ("END SITE tip {", "tip"),
        ("End Site arm", "arm_end"),
        ("End Site {", "arm_end"),
    ],
)
def test_end_sites_may_have_names(tmp_path, site, name):
    text = TINY.replace("End Site\n    {" if site.endswith("{") else "End Site", site)
    motion = read_motion(write(tmp_path / "a.bvh", text))
    assert motion.names == ("My Hips", "arm", name) and motion.parents.tolist() == [-1, 0, 1]
    np.testing.assert_allclose(motion.positions[0, 2], [11, 32, 33], atol=1e-12)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("HIERARCHY", "HIERACHY", "line 1: expected HIERARCHY, found 'HIERACHY'; mend"),
        ("OFFSET 1 2 3", "OFFSET 1 two 3", "line 8: expected a number, found 'two'"),
        ("OFFSET 1 2 3", "OFFSET 1 2 inf", "line 8: expected a finite number, found 'inf'"),
        ("Zrotation Xrotation Yrotation Yposition", "Zrotation Wrotation Yrotation Yposition",
         "line 7: expected a channel .*'Wrotation'"),
        ("CHANNELS 6", "CHANNELS 2.5", "line 5: expected a number, found '2.5'"),
        ("JOINT arm", "JOINT My Hips", "line 6: expected each joint once, found 'My Hips'"),
        ("JOINT arm", "JOINT", "line 6: expected a joint's name"),
        ("    OFFSET 1 2 3", "    CHANNELS 1 Xrotation", "line 8: expected CHANNELS once in a joint"),
        ("MOTION", "", "expected OFFSET or CHANNELS or|expected ROOT or MOTION, found 'Frames:'"),
        ("Frames: 3", "Frames: 4", "line 20: expected 4 rows of 10 values, found '4 rows, 5 values"),
        ("Frames: 3", "Frames: 0", "line 16: expected 1 to 1000000 frames, found '0'"),
        ("Frames: 3", "Frames: x", "line 16: expected a number, found 'x'"),
        ("Time: .0333333", "Time: 0", "line 17: expected a frame time in seconds, found '0.0'"),
        ("90 30 10", "90 nan 10", "line 19: expected a finite number, found 'nan'"),
        ("90 30 10", "90 3o 10", "line 19: expected a number, found '3o'"),
        ("OFFSET 0 10 0", "OFFSET 0 1e999 0", "line 11: expected a finite number, found '1e999'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(tmp_path, old, new, message):
    path = write(tmp_path / "bad.bvh", TINY.replace(old, new, 1))
    with pytest.raises(FormatError, match=message) as raised:
        read_motion(path)
    assert "bad.bvh" in str(raised.value) and "\n" not in str(raised.value)


def test_numbers_that_overflow_are_refused(tmp_path):
    text = TINY.replace("OFFSET 0 10 0", "OFFSET 0 1e308 0").replace("0 30 10 20", "0 30 10 1.7e308")
    with pytest.raises(FormatError, match="expected positions of a body, found numbers that overflow"):
        read_motion(write(tmp_path / "a.bvh", text))


def test_a_cut_file_is_refused_wherever_it_ends(tmp_path):
    whole = bvh_text(3)
    for end in range(0, len(whole) - 8, 41):
        with pytest.raises(FormatError, match=r"a\.bvh, line \d+: expected"):
            read_motion(write(tmp_path / "a.bvh", whole[:end]))
    with pytest.raises(FormatError, match="expected a BVH file at .*gone.bvh, found no such file"):
        read_motion(tmp_path / "gone.bvh")


def test_a_body_is_read_in_metres(tmp_path):
    turns = {"LeftArm": {"Z": np.array([0.0, 90])}}
    for scale in (1.0, 10.0, 0.01, 1 / 2.54, 1 / 5.6444):  # centimetres, millimetres, metres, inches, CMU's unit
        write(tmp_path / "a.bvh", bvh_text(2, turns=turns, scale=scale))
        skeleton = read(tmp_path / "a.bvh", "bvh")
        at = {name: skeleton.keypoints[0, :, i] for i, name in enumerate(get_layout("smpl22").joints)}
        np.testing.assert_allclose(at["left_hip"], [[0.09, 0.96, 0]] * 2, atol=1e-4)
        np.testing.assert_allclose(at["left_shoulder"], [[0.18, 1.48, 0]] * 2, atol=1e-4)
        np.testing.assert_allclose(at["left_wrist"], [[0.71, 1.48, 0], [0.18, 2.01, 0]], atol=1e-4)
    hidden = [name for i, name in enumerate(get_layout("smpl22").joints) if not skeleton.visible[0, 0, i]]
    assert hidden == ["spine2", "spine3"] and skeleton.timestamps[1] == pytest.approx(1 / 30)
    assert read(tmp_path / "a.bvh", "bvh", metres_per_unit=1.0).keypoints[0, 0, 1, 1] == pytest.approx(96 / 5.6444)
    faces = convert(skeleton, "coco17").visible[0, 0, :5]
    assert faces.tolist() == [True, False, False, False, False]  # the head stands in for the nose
    ((name, load),) = clips(tmp_path, "bvh")
    assert name == "a" and load().skeleton.layout == "smpl22"


def test_bodies_that_cannot_be(tmp_path):
    path = tmp_path / "a.bvh"
    with pytest.raises(
        FormatError, match=r"a\.bvh: expected legs of 0.55 to 1.15 m .* found legs of 52.92 units; give metres"
    ):
        read(write(path, bvh_text(scale=0.63)), "bvh")
    with pytest.raises(FormatError, match="metres_per_unit must be above 0, found -1"):
        read(path, "bvh", metres_per_unit=-1)
    with pytest.raises(FormatError, match="expected joints known as left_hip, right_hip, found Hips, Spine"):
        read(write(path, bvh_text(names=lambda name: name.replace("UpLeg", "Odd"))), "bvh")
    sides = {"Left": "Right", "Righ": "Left"}
    exchanged = bvh_text(names=lambda name: sides.get(name[:4], name[:4]) + name[4 + name.startswith("Right") :])
    with pytest.raises(FormatError, match="expected knees and toes that point forward, found them pointing back"):
        read(write(path, exchanged), "bvh")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("joint_Root Hips Spine Chest Neck Head Shoulder_L UpperArm_L LowerArm_L Hand_L "
         "UpperLeg_L LowerLeg_L Foot_L Toes_L",
         "- pelvis spine1 spine2 neck head left_collar left_shoulder left_elbow left_wrist left_hip left_knee "
         "left_ankle left_foot"),
        ("Hips LHipJoint LeftUpLeg LeftLeg LowerBack Spine Spine1 Neck Neck1 RightShoulder RightArm RightHandThumb",
         "pelvis - left_hip left_knee spine1 spine2 spine3 neck - right_collar right_shoulder -"),
        ("mixamorig:Hips mixamorig:Spine mixamorig:Spine1 mixamorig:Spine2 mixamorig:LeftToeBase mixamorig:LeftForeArm",
         "pelvis spine1 spine2 spine3 left_foot left_elbow"),
        ("Hips LeftCollar LeftShoulder LeftElbow LeftWrist LeftHip LeftKnee LeftAnkle",
         "pelvis left_collar left_shoulder left_elbow left_wrist left_hip left_knee left_ankle"),
        ("hip lShldr lForeArm lThigh lShin lFoot", "pelvis left_shoulder left_elbow left_hip left_knee left_ankle"),
        ("Bip01|Bip01 L Thigh|Bip01 R Calf|Bip01 R UpperArm", "- left_hip right_knee right_shoulder"),
        (" ".join(get_layout("smpl22").joints), " ".join(get_layout("smpl22").joints)),
    ],
)  # fmt: skip
def test_joints_by_name(names, expected):
    names = names.split("|") if "|" in names else names.split()
    found = {place: joint for joint, place in match_joints(names).items()}
    assert [found.get(place, "-") for place in range(len(names))] == expected.split()
    assert plain_name("UpperArm_L") == plain_name("LeftUpperArm") == plain_name("x:left_upper_arm") == "leftupperarm"


@pytest.mark.parametrize("up", ["x", "y", "z"])
def test_any_axis_may_be_up(tmp_path, up):
    motion = read_motion(write(tmp_path / "a.bvh", bvh_text(2, path=np.array([[30.0, 100, 20], [40, 100, 50]]))))
    shift = {"y": 0, "z": 1, "x": 2}[up]
    turned = np.roll(motion.positions, shift, axis=-1)
    assert up_axis(motion.names, turned, "a") == up
    whole = type(motion)(motion.names, motion.parents, turned, motion.fps)
    expected = to_record(motion, "a").keypoints
    np.testing.assert_allclose(to_record(whole, "a", up=up).keypoints, expected, atol=1e-6)
    standing = to_record(whole, "a", up=up, stand=True)
    seen = standing.keypoints[0][standing.visible[0]].reshape(2, -1, 3)
    assert seen[..., 1].min() == pytest.approx(0, abs=1e-6)
    hips = standing.keypoints[0, :, 1:3].mean(1)
    np.testing.assert_allclose(hips[:, [0, 2]], [[0, 0], [0.1, 0.3]], atol=1e-6)
    with pytest.raises(
        FormatError, match="expected one axis with the head above the feet, found x .*; give up=x, y or z"
    ):
        up_axis(motion.names, -turned, "a")


def test_captures_of_an_npz(tmp_path):
    motion = read_motion(write(tmp_path / "a.bvh", bvh_text(5)))
    parts = {
        "xyz": (motion.positions * 10).astype(np.int16), "offset": np.array([0, 2, 5]), "name": np.array(["a", "b"]),
        "joint_names": np.array(motion.names), "parents": motion.parents,
    }  # fmt: skip
    np.savez(tmp_path / "a.npz", **parts)
    found = read_captures(tmp_path / "a.npz", 25)
    (first, content, _), (second, _, load) = found.clips
    assert (first, content, second, found.up()) == ("a", None, "b", "y") and load().fps == 25
    np.testing.assert_allclose(load().positions, motion.positions[2:] * 10, atol=1)
    np.savez(tmp_path / "a.npz", **parts, content=np.array(["walk", "run"]), fps=60.0)
    assert [(content, load().fps) for _, content, load in read_captures(tmp_path / "a.npz").clips] == [
        ("walk", 60),
        ("run", 60),
    ]
    for changed, message in (
        ({"offset": np.array([0, 2, 4])}, "expected xyz .* and offset from 0 up to T for 2 names, found .* up to 4"),
        ({"offset": np.array([0, 5, 5])}, "expected xyz"),
        ({"content": np.array(["walk"])}, "expected xyz"),
        ({"xyz": np.array(3.0)}, "expected xyz"),
        ({"xyz": np.full((5, len(motion.names), 3), "a")}, "expected xyz"),
        ({"joint_names": np.array(["a"])}, r"expected xyz \[T, 1, 3\]"),
        ({"name": np.array([{}, {}], dtype=object)}, "found an unreadable file"),
        ({"xyz": motion.positions * (9, 9, 1e-4)}, "expected x, y, z in metres, .*like x, y in pixels and a score"),
        ({"fps": -1.0}, "fps must be frames a second above 0, found -1"),
    ):
        np.savez(tmp_path / "bad.npz", **parts | changed)
        with pytest.raises(FormatError, match=message):
            read_captures(tmp_path / "bad.npz")
    del parts["parents"]
    np.savez(tmp_path / "bad.npz", **parts)
    with pytest.raises(FormatError, match="found no array 'parents' in it"):
        read_captures(tmp_path / "bad.npz")
    (tmp_path / "bad.npz").write_bytes(b"PK nothing")
    with pytest.raises(FormatError, match="found an unreadable file"):
        read_captures(tmp_path / "bad.npz")


def test_the_body_of_these_tests_has_every_joint():
    assert len(match_joints(list(BODY))) == len(BODY)
