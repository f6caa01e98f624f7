"""What a segment is, in codes of SNOMED CT, found by the name that its user gave it."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """A coded term.

    Attributes:
        value: Code value, at most 16 characters.
        meaning: What people read.
        scheme: Coding scheme designator; "SCT" is SNOMED CT.
    """

    value: str
    meaning: str
    scheme: str = "SCT"


@dataclass(frozen=True)
class PropertyCodes:
    """Segmented property of a segment: PS3.3 C.8.20.2, "Segment Description Macro".

    Attributes:
        category: What kind of thing, as in CID 7150.
        type: What it is.
        modifier: Its side, as in CID 244; None where it has none.
    """

    category: Code
    type: Code
    modifier: Code | None = None


ANATOMY = Code("91723000", "Anatomical Structure")
ABNORMAL = Code("49755003", "Morphologically Abnormal Structure")
TISSUE = Code("85756007", "Tissue")
LEFT = Code("7771000", "Left")
RIGHT = Code("24028007", "Right")
DEFAULT = PropertyCodes(TISSUE, TISSUE)
"""Of a name that the table does not know."""

_ANATOMY = {
    "adrenal gland": ("23451007", "Adrenal gland"),
    "aorta": ("15825003", "Aorta"),
    "artery": ("51114001", "Artery"),
    "bladder": ("89837001", "Bladder"),
    "blood vessel": ("59820001", "Blood Vessel"),
    "bone": ("272673000", "Bone"),
    "brain": ("12738006", "Brain"),
    "brainstem": ("119238007", "Brain Stem"),
    "breast": ("76752008", "Breast"),
    "cartilage": ("309312004", "Cartilage"),
    "cerebellum": ("113305005", "Cerebellum"),
    "clavicle": ("51299004", "Clavicle"),
    "colon": ("71854001", "Colon"),
    "duodenum": ("38848004", "Duodenum"),
    "esophagus": ("32849002", "Esophagus"),
    "eye": ("81745001", "Eye"),
    "fat": ("55603005", "Fat"),
    "femur": ("71341001", "Femur"),
    "gallbladder": ("28231008", "Gallbladder"),
    "gray matter": ("389081007", "Gray Matter"),
    "heart": ("80891009", "Heart"),
    "hippocampus": ("5366008", "Hippocampus"),
    "humerus": ("85050009", "Humerus"),
    "inferior vena cava": ("64131007", "Inferior vena cava"),
    "kidney": ("64033007", "Kidney"),
    "left atrium": ("82471001", "Left atrium"),
    "left ventricle": ("87878005", "Left ventricle"),
    "liver": ("10200004", "Liver"),
    "lung": ("39607008", "Lung"),
    "lymph node": ("59441001", "Lymph Node"),
    "mandible": ("91609006", "Mandible"),
    "muscle": ("71616004", "Muscle"),
    "optic chiasm": ("244453006", "Optic chiasm"),
    "optic nerve": ("18234004", "optic nerve"),
    "ovary": ("15497006", "Ovary"),
    "pancreas": ("15776009", "Pancreas"),
    "parotid gland": ("45289007", "Parotid gland"),
    "placenta": ("78067005", "Placenta"),
    "portal vein": ("32764006", "Portal vein"),
    "prostate": ("41216001", "Prostate"),
    "rectum": ("34402009", "Rectum"),
    "rib": ("113197003", "Rib"),
    "right atrium": ("73829009", "Right atrium"),
    "right ventricle": ("53085002", "Right ventricle"),
    "sacrum": ("54735007", "Sacrum"),
    "scapula": ("79601000", "Scapula"),
    "skin": ("39937001", "Skin"),
    "skull": ("89546000", "Skull"),
    "small intestine": ("30315005", "Small intestine"),
    "spinal cord": ("2748008", "Spinal cord"),
    "spine": ("421060004", "Spine"),
    "spleen": ("78961009", "Spleen"),
    "sternum": ("56873002", "Sternum"),
    "stomach": ("69695003", "Stomach"),
    "testis": ("40689003", "Testis"),
    "thyroid": ("69748006", "Thyroid"),
    "tibia": ("12611008", "Tibia"),
    "tongue": ("21974007", "Tongue"),
    "tooth": ("38199008", "Tooth"),
    "trachea": ("44567001", "Trachea"),
    "uterus": ("35039007", "Uterus"),
    "vein": ("29092000", "Vein"),
    "vertebra": ("51282000", "Vertebra"),
    "white matter": ("389080008", "White Matter"),
}
_ABNORMAL = {
    "abscess": ("44132006", "Abscess"),
    "aneurysm": ("85659009", "aneurysm"),
    "cyst": ("367643001", "Cyst"),
    "edema": ("79654002", "Edema"),
    "hematoma": ("35566002", "Hematoma"),
    "hemorrhage": ("50960005", "Hemorrhage"),
    "lesion": ("52988006", "Lesion"),
    "mass": ("4147007", "Mass"),
    "necrosis": ("6574001", "Necrosis"),
    "nodule": ("27925004", "Nodule"),
    "thrombus": ("396339007", "Thrombus"),
    "tumor": ("108369006", "Tumor"),
}
_OTHER_NAMES = {
    "adrenal": "adrenal gland",
    "brain stem": "brainstem",
    "chiasm": "optic chiasm",
    "gall bladder": "gallbladder",
    "grey matter": "gray matter",
    "gtv": "tumor",
    "haematoma": "hematoma",
    "haemorrhage": "hemorrhage",
    "ivc": "inferior vena cava",
    "lymphnode": "lymph node",
    "metastasis": "tumor",
    "neoplasm": "tumor",
    "oedema": "edema",
    "oesophagus": "esophagus",
    "parotid": "parotid gland",
    "small bowel": "small intestine",
    "thyroid gland": "thyroid",
    "tumour": "tumor",
    "urinary bladder": "bladder",
}
_SIDES = {"left": LEFT, "lt": LEFT, "l": LEFT, "right": RIGHT, "rt": RIGHT, "r": RIGHT}


def property_codes(name: str) -> PropertyCodes:
    """Codes of a segment called ``name``, in English: "liver", "Kidney_L", "left lung", "tumour 2"; else ``DEFAULT``.

    Case, numbers, underscores and plurals do not matter, and a side becomes the modifier of the type.
    """
    words = [w for w in re.split(r"[^a-z]+", name.lower()) if w]
    # The left ventricle is a thing of its own, the left kidney a kidney on a side.
    for side, rest in ((None, words), *_without_side(words)):
        known = _look_up(" ".join(rest))
        if known is not None:
            return PropertyCodes(known.category, known.type, side)
    return DEFAULT


def _without_side(words: list[str]) -> list[tuple[Code, list[str]]]:
    ends = [(words[0], words[1:]), (words[-1], words[:-1])] if len(words) > 1 else []
    return [(_SIDES[side], rest) for side, rest in ends if side in _SIDES]


def _look_up(text: str) -> PropertyCodes | None:
    for name in (text, text.removesuffix("s"), text.removesuffix("es")):
        known = _OTHER_NAMES.get(name, name)
        for category, table in ((ANATOMY, _ANATOMY), (ABNORMAL, _ABNORMAL)):
            if known in table:
                return PropertyCodes(category, Code(*table[known]))
    return None
