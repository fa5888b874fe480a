"""The joint layouts as plain tables: adding a layout is adding one entry to TABLES.

An entry has `joints` (the file order), `chains` (paths through the body; neighbours on a path are parent
and child), `limbs` (which joints make which limb; every joint once) and `center` (root of the bone tree).
An optional entry `pairs` names left and right joints whose names do not begin with left_ and right_.
Sigmas are given where they are published: COCO-17 (Ronchi & Perona 2017), Halpe-26 (its evaluation code) and
COCO-WholeBody (Jin et al. 2020); the other layouts have no OKS of their own.

Joints are named by their place on the body, and the same place has the same name everywhere, because
conversion goes by name. So `pelvis` is Human3.6M's root and Kinect's hip center, `neck` (at the height of
the shoulders) is Human3.6M's thorax and Kinect's shoulder center, Human3.6M's "neck/nose" is the `nose`
and its head, which is the crown, is `head_top`, as is Halpe's head. The spine joint of the first Kinect lies
a sixth of the way from the pelvis to the neck, where SMPL has `spine1`; that of the second (NTU RGB+D) lies
half-way, where Human3.6M has `spine`, and its neck, above the height of the shoulders, is the `upper_neck`.
A Kinect's foot is the ball of the foot. The trees of ntu25, openpose18 and coco17 are those of pyskl.

Left and right are the person's own. The released Penn Action labels call the person's right side "left":
people who face the camera have their "left" shoulder at the image's left, bowlers seen from behind at its
right, and guitarists strum with the "left" hand in 95 of 100 clips. The order below is the file's order
with the sides put right (tests/skeleton/layouts/test_layout.py measures it).
"""

from skeleton.layouts.tables_wholebody import whole_body

_LEGS = {"left leg": "left_knee left_ankle", "right leg": "right_knee right_ankle"}
_FEET = {"left leg": "left_knee left_ankle left_foot", "right leg": "right_knee right_ankle right_foot"}
_ARMS = {"left arm": "left_elbow left_wrist", "right arm": "right_elbow right_wrist"}
_HANDS = {"left arm": "left_elbow left_wrist left_hand", "right arm": "right_elbow right_wrist right_hand"}
_TOES = {
    f"{side} leg": " ".join(f"{side}_{part}" for part in ("knee", "ankle", "big_toe", "small_toe", "heel"))
    for side in ("left", "right")
}
_TOE_CHAINS = tuple(
    f"{side}_ankle {side}_{part}" for side in ("left", "right") for part in ("big_toe", "small_toe", "heel")
)
_FACE = "nose left_eye right_eye left_ear right_ear"

TABLES = {
    "coco17": {
        "joints": "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow "
        "right_elbow left_wrist right_wrist left_hip right_hip left_knee right_knee "
        "left_ankle right_ankle",
        "chains": (
            "nose left_eye left_ear",
            "nose right_eye right_ear",
            "nose left_shoulder left_elbow left_wrist",
            "nose right_shoulder right_elbow right_wrist",
            "left_shoulder left_hip left_knee left_ankle",
            "right_shoulder right_hip right_knee right_ankle",
        ),
        "limbs": {
            "head": _FACE,
            "torso": "left_shoulder right_shoulder left_hip right_hip",
            **_ARMS,
            **_LEGS,
        },
        "center": "nose",
        "sigmas": "0.026 0.025 0.025 0.035 0.035 0.079 0.079 0.072 0.072 0.062 0.062 0.107 0.107 0.087 0.087 "
        "0.089 0.089",
    },
    "h36m17": {
        "joints": "pelvis right_hip right_knee right_ankle left_hip left_knee left_ankle spine neck "
        "nose head_top left_shoulder left_elbow left_wrist right_shoulder right_elbow "
        "right_wrist",
        "chains": (
            "pelvis right_hip right_knee right_ankle",
            "pelvis left_hip left_knee left_ankle",
            "pelvis spine neck nose head_top",
            "neck left_shoulder left_elbow left_wrist",
            "neck right_shoulder right_elbow right_wrist",
        ),
        "limbs": {
            "head": "nose head_top",
            "torso": "pelvis spine neck left_shoulder right_shoulder left_hip right_hip",
            **_ARMS,
            **_LEGS,
        },
        "center": "pelvis",
    },
    "kinect20": {
        "joints": "pelvis spine1 neck head left_shoulder left_elbow left_wrist left_hand right_shoulder "
        "right_elbow right_wrist right_hand left_hip left_knee left_ankle left_foot right_hip "
        "right_knee right_ankle right_foot",
        "chains": (
            "pelvis spine1 neck head",
            "neck left_shoulder left_elbow left_wrist left_hand",
            "neck right_shoulder right_elbow right_wrist right_hand",
            "pelvis left_hip left_knee left_ankle left_foot",
            "pelvis right_hip right_knee right_ankle right_foot",
        ),
        "limbs": {
            "head": "head",
            "torso": "pelvis spine1 neck left_shoulder right_shoulder left_hip right_hip",
            **_HANDS,
            **_FEET,
        },
        "center": "pelvis",
    },
    "penn13": {
        "joints": "head right_shoulder left_shoulder right_elbow left_elbow right_wrist left_wrist "
        "right_hip left_hip right_knee left_knee right_ankle left_ankle",
        "chains": (
            "head left_shoulder left_elbow left_wrist",
            "head right_shoulder right_elbow right_wrist",
            "left_shoulder left_hip left_knee left_ankle",
            "right_shoulder right_hip right_knee right_ankle",
        ),
        "limbs": {
            "head": "head",
            "torso": "left_shoulder right_shoulder left_hip right_hip",
            **_ARMS,
            **_LEGS,
        },
        "center": "head",
    },
    "smpl22": {
        "joints": "pelvis left_hip right_hip spine1 left_knee right_knee spine2 left_ankle right_ankle "
        "spine3 left_foot right_foot neck left_collar right_collar head left_shoulder "
        "right_shoulder left_elbow right_elbow left_wrist right_wrist",
        "chains": (
            "pelvis left_hip left_knee left_ankle left_foot",
            "pelvis right_hip right_knee right_ankle right_foot",
            "pelvis spine1 spine2 spine3 neck head",
            "spine3 left_collar left_shoulder left_elbow left_wrist",
            "spine3 right_collar right_shoulder right_elbow right_wrist",
        ),
        "limbs": {
            "head": "head",
            "torso": "pelvis spine1 spine2 spine3 neck left_collar right_collar left_shoulder "
            "right_shoulder left_hip right_hip",
            **_ARMS,
            **_FEET,
        },
        "center": "pelvis",
    },
    "ntu25": {
        "joints": "pelvis spine upper_neck head left_shoulder left_elbow left_wrist left_hand right_shoulder "
        "right_elbow right_wrist right_hand left_hip left_knee left_ankle left_foot right_hip right_knee "
        "right_ankle right_foot neck left_hand_tip left_thumb right_hand_tip right_thumb",
        "chains": (
            "neck spine pelvis",
            "neck upper_neck head",
            "neck left_shoulder left_elbow left_wrist left_hand left_hand_tip",
            "neck right_shoulder right_elbow right_wrist right_hand right_hand_tip",
            "left_hand left_thumb",
            "right_hand right_thumb",
            "pelvis left_hip left_knee left_ankle left_foot",
            "pelvis right_hip right_knee right_ankle right_foot",
        ),
        "limbs": {
            "head": "upper_neck head",
            "torso": "pelvis spine neck left_shoulder right_shoulder left_hip right_hip",
            "left arm": "left_elbow left_wrist left_hand left_hand_tip left_thumb",
            "right arm": "right_elbow right_wrist right_hand right_hand_tip right_thumb",
            **_FEET,
        },
        "center": "neck",
    },
    "openpose18": {
        "joints": "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist "
        "right_hip right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear left_ear",
        "chains": (
            "neck nose left_eye left_ear",
            "nose right_eye right_ear",
            "neck left_shoulder left_elbow left_wrist",
            "neck right_shoulder right_elbow right_wrist",
            "left_shoulder left_hip left_knee left_ankle",
            "right_shoulder right_hip right_knee right_ankle",
        ),
        "limbs": {
            "head": _FACE,
            "torso": "neck left_shoulder right_shoulder left_hip right_hip",
            **_ARMS,
            **_LEGS,
        },
        "center": "neck",
    },
    "openpose25": {
        "joints": "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist pelvis "
        "right_hip right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear left_ear "
        "left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel",
        "chains": (
            "pelvis neck nose left_eye left_ear",
            "nose right_eye right_ear",
            "neck left_shoulder left_elbow left_wrist",
            "neck right_shoulder right_elbow right_wrist",
            "pelvis left_hip left_knee left_ankle",
            "pelvis right_hip right_knee right_ankle",
            *_TOE_CHAINS,
        ),
        "limbs": {
            "head": _FACE,
            "torso": "pelvis neck left_shoulder right_shoulder left_hip right_hip",
            **_ARMS,
            **_TOES,
        },
        "center": "pelvis",
    },
    "halpe26": {
        "joints": "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow "
        "right_elbow left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle "
        "head_top neck pelvis left_big_toe right_big_toe left_small_toe right_small_toe left_heel right_heel",
        "chains": (
            "pelvis neck nose head_top",
            "nose left_eye left_ear",
            "nose right_eye right_ear",
            "neck left_shoulder left_elbow left_wrist",
            "neck right_shoulder right_elbow right_wrist",
            "pelvis left_hip left_knee left_ankle",
            "pelvis right_hip right_knee right_ankle",
            *_TOE_CHAINS,
        ),
        "limbs": {
            "head": f"{_FACE} head_top",
            "torso": "pelvis neck left_shoulder right_shoulder left_hip right_hip",
            **_ARMS,
            **_TOES,
        },
        "center": "pelvis",
        "sigmas": "0.026 0.025 0.025 0.035 0.035 0.079 0.079 0.072 0.072 0.062 0.062 0.107 0.107 0.087 0.087 "
        "0.089 0.089 0.026 0.026 0.066 0.079 0.079 0.079 0.079 0.079 0.079",
    },
}
TABLES["wholebody133"] = whole_body(TABLES["coco17"])

# Joints that others call by another name, as {layout: {their name: ours}}.
ALIASES = {"halpe26": {"head": "head_top", "hip": "pelvis"}}

# Joints that a layout lacks, as averages of others (a repeated name weighs more); the first alternative
# whose parts the source has is taken. An eye, an ear or the crown cannot be read off the other joints, nor a hand
# without fingers or a foot without toes: they stay invisible. Nose and head stand in for each other as a last
# resort (10 cm apart). A hand lies between its root and the knuckle of the middle finger.
FILLS = {
    "pelvis": ("left_hip right_hip",),
    "neck": ("left_shoulder right_shoulder",),
    "spine": ("spine2", "pelvis neck"),
    "spine1": ("pelvis pelvis pelvis pelvis pelvis neck",),
    "spine2": ("spine", "pelvis neck"),
    "spine3": ("pelvis neck neck neck",),
    "left_collar": ("neck left_shoulder",),
    "right_collar": ("neck right_shoulder",),
    "upper_neck": ("neck neck head",),
    "head": ("left_ear right_ear", "nose head_top", "nose"),
    "nose": ("head",),
    **{
        f"{side}_{joint}": (" ".join(f"{side}_{part}" for part in parts.split()),)
        for side in ("left", "right")
        for joint, parts in {
            "foot": "big_toe small_toe",
            "hand": "hand_root middle_finger1",
            "hand_root": "wrist",
            "hand_tip": "middle_finger4",
            "thumb": "thumb4",
        }.items()
    },
}
