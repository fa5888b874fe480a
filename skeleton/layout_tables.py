"""The joint layouts as plain tables: adding a layout is adding one entry to TABLES.

An entry has `joints` (the file order), `chains` (paths through the body; neighbours on a path are parent
and child), `limbs` (which joints make which limb; every joint once) and `center` (root of the bone tree).
Sigmas are given for COCO-17 only, where they are published (Ronchi & Perona 2017); the other layouts have
no OKS of their own.

Joints are named by their place on the body, and the same place has the same name everywhere, because
conversion goes by name. So `pelvis` is Human3.6M's root and Kinect's hip center, `neck` (at the height of
the shoulders) is Human3.6M's thorax and Kinect's shoulder center, Human3.6M's "neck/nose" is the `nose`
and its head, which is the crown, is `head_top`. Kinect's spine joint lies a sixth of the way from the
pelvis to the neck, where SMPL has `spine1`.

Left and right are the person's own. The released Penn Action labels call the person's right side "left":
people who face the camera have their "left" shoulder at the image's left, bowlers seen from behind at its
right, and guitarists strum with the "left" hand in 95 of 100 clips. The order below is the file's order
with the sides put right (tests/skeleton/test_layouts.py measures it).
"""

_LEGS = {"left leg": "left_knee left_ankle", "right leg": "right_knee right_ankle"}
_FEET = {"left leg": "left_knee left_ankle left_foot", "right leg": "right_knee right_ankle right_foot"}
_ARMS = {"left arm": "left_elbow left_wrist", "right arm": "right_elbow right_wrist"}
_HANDS = {"left arm": "left_elbow left_wrist left_hand", "right arm": "right_elbow right_wrist right_hand"}

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
            "head": "nose left_eye right_eye left_ear right_ear",
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
}

# Joints that a layout lacks, as averages of others (a repeated name weighs more); the first alternative
# whose parts the source has is taken. An eye, an ear, a hand, a foot or the crown cannot be read off the
# other joints: they stay invisible. Nose and head stand in for each other as a last resort (10 cm apart).
FILLS = {
    "pelvis": ("left_hip right_hip",),
    "neck": ("left_shoulder right_shoulder",),
    "spine": ("spine2", "pelvis neck"),
    "spine1": ("pelvis pelvis pelvis pelvis pelvis neck",),
    "spine2": ("spine", "pelvis neck"),
    "spine3": ("pelvis neck neck neck",),
    "left_collar": ("neck left_shoulder",),
    "right_collar": ("neck right_shoulder",),
    "head": ("left_ear right_ear", "nose head_top", "nose"),
    "nose": ("head",),
}
