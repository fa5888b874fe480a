"""COCO-WholeBody's 133 joints: COCO's 17, three of each foot, 68 of the face and 21 of each hand.

The face keeps the numbers of its 68 points, which have no names: the jaw runs from face-0 at the person's
right ear to face-16 at the left one, brows are 17 to 26, the nose is 27 to 35, eyes are 36 to 47, the lips 48 to
67. The root of a hand lies where the body's wrist is; a hand's joints belong to its arm, toes and heel to the leg.
"""

from collections.abc import Mapping

_SIDES = ("left", "right")
_TOES = ("big_toe", "small_toe", "heel")
_FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
_HAND = ("hand_root", *(f"{finger}{joint}" for finger in _FINGERS for joint in (1, 2, 3, 4)))

# Paths over the face from the tip of the nose (30) outward; the chin hangs on the lower lip.
_FACE_PATHS = (
    (30, 29, 28, 27),
    (30, 33, 32, 31),
    (33, 34, 35),
    (27, 21, 20, 19, 18, 17),
    (27, 22, 23, 24, 25, 26),
    (27, 39, 38, 37, 36),
    (39, 40, 41),
    (27, 42, 43, 44, 45),
    (42, 47, 46),
    (33, 51, 50, 49, 48, 59, 58),
    (51, 52, 53, 54, 55, 56),
    (51, 62, 61, 60, 67),
    (62, 63, 64, 65),
    (62, 66, 57, *range(8, -1, -1)),
    range(8, 17),
)
# The two sides of the face: (left, right). Points that are their own mirror image are missing.
_FACE_PAIRS = (
    *((16 - point, point) for point in range(8)),
    *((43 - point, point) for point in range(17, 22)),
    (35, 31),
    (34, 32),
    *((45, 36), (44, 37), (43, 38), (42, 39), (47, 40), (46, 41)),
    *((54, 48), (53, 49), (52, 50), (55, 59), (56, 58), (64, 60), (63, 61), (65, 67)),
)
_FOOT_SIGMAS = "0.068 0.066 0.066 0.092 0.094 0.094"
_FACE_SIGMAS = (
    "0.042 0.043 0.044 0.043 0.040 0.035 0.031 0.025 0.020 0.023 0.029 0.032 0.037 0.038 0.043 0.041 0.045 "
    "0.013 0.012 0.011 0.011 0.012 0.012 0.011 0.011 0.013 0.015 0.009 0.007 0.007 0.007 0.012 0.009 0.008 "
    "0.016 0.010 0.017 0.011 0.009 0.011 0.009 0.007 0.013 0.008 0.011 0.012 0.010 0.034 0.008 0.008 0.009 "
    "0.008 0.008 0.007 0.010 0.008 0.009 0.009 0.009 0.007 0.007 0.008 0.011 0.008 0.008 0.008 0.01 0.008"
)
_HAND_SIGMAS = (
    "0.029 0.022 0.035 0.037 0.047 0.026 0.025 0.024 0.035 0.018 0.024 0.022 0.026 0.017 0.021 0.021 0.032 "
    "0.02 0.019 0.022 0.031"
)


def whole_body(body: Mapping) -> dict:
    """The table of wholebody133, given that of coco17, whose joints it begins with."""
    face = [f"face-{point}" for point in range(68)]
    toes = {side: [f"{side}_{part}" for part in _TOES] for side in _SIDES}
    hands = {side: [f"{side}_{part}" for part in _HAND] for side in _SIDES}
    chains = [*body["chains"], "nose face-30"]
    chains += [" ".join(face[point] for point in path) for path in _FACE_PATHS]
    limbs = dict(body["limbs"])
    limbs["head"] = " ".join([limbs["head"], *face])
    for side in _SIDES:
        chains += [f"{side}_ankle {toe}" for toe in toes[side]]
        root = f"{side}_hand_root"
        chains.append(f"{side}_wrist {root}")
        for finger in _FINGERS:
            chains.append(" ".join([root, *(f"{side}_{finger}{joint}" for joint in (1, 2, 3, 4))]))
        limbs[f"{side} arm"] = " ".join([limbs[f"{side} arm"], *hands[side]])
        limbs[f"{side} leg"] = " ".join([limbs[f"{side} leg"], *toes[side]])
    return {
        "joints": " ".join([body["joints"], *toes["left"], *toes["right"], *face, *hands["left"], *hands["right"]]),
        "chains": tuple(chains),
        "limbs": limbs,
        "center": body["center"],
        "pairs": tuple((face[left], face[right]) for left, right in _FACE_PAIRS),
        "sigmas": " ".join([body["sigmas"], _FOOT_SIGMAS, _FACE_SIGMAS, _HAND_SIGMAS, _HAND_SIGMAS]),
    }
