"""Every request and answer of the server, as typed messages: the contract between server and page.

Coordinates of prompts are (x, y[, z]); shapes and boxes of voxels are in array order ([z, ]y, x), half open. Binary
fields are base64 of zlib: ``bits`` are a 0/1 mask packed eight voxels a byte (the first voxel in the highest bit), and
``labels`` are the numbers of objects, one or two bytes a voxel (little endian); both in C order of their box.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from bedside.serve.message import Message
from bedside.serve.prompt_messages import PromptFields

Colour = Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Label = Annotated[int, Field(ge=1, le=65_535)]
Policy = Literal["keep", "overwrite", "overlap"]
WorkState = Literal["new", "in progress", "done"]


class Problem(Message):
    """The body of every answer that is an error.

    Attributes:
        kind: Name of the error's class ("PromptError", "LockedError", "NotFoundError", ...).
        what: What went wrong.
        expected: What would have been right.
        got: What came instead.
        fix: What to do about it.
        message: All of this in one line.
    """

    kind: str
    what: str
    expected: str | None = None
    got: str | None = None
    fix: str | None = None
    message: str


# Models


class Tools(Message):
    """What the model of an image takes; a tool that is missing here is greyed out.

    Attributes:
        dimensions: Axes of the images it takes.
        prompt_kinds: "box", "point", "scribble", "lasso", "mask".
        negative_kinds: Those that may be negative.
        starts_from: Those that can begin an object.
        flat_boxes: Whether a box in a volume must lie on one slice, of any plane.
        suggest: Whether it says where to click next; None until the model has been loaded.
        candidates: Whether it proposes masks of other sizes; None until the model has been loaded.
        quality: Whether it estimates the quality of its answers; None until the model has been loaded.
    """

    dimensions: list[int]
    prompt_kinds: list[str]
    negative_kinds: list[str]
    starts_from: list[str]
    flat_boxes: bool = False
    suggest: bool | None = None
    candidates: bool | None = None
    quality: bool | None = None


# Server and worklist


class WindowPreset(Message):
    """A display window: values from ``level - width / 2`` to ``level + width / 2``, in the image's units."""

    name: str
    level: float
    width: float


class Item(Message):
    """One line of the worklist: a place where an image is, opened or not.

    Attributes:
        item: Its number.
        image: Number of the image, once it has been opened; the work belongs to the image and not to the path.
        objects: Objects of the image so far.
        ready: Whether the image is in memory, so that it opens at once.
        problem: Why it could not be opened, from the last attempt.
    """

    item: int
    path: str
    name: str
    series: str | None = None
    volume: int | None = None
    state: WorkState
    image: int | None = None
    objects: int = 0
    ready: bool = False
    problem: str | None = None


class Worklist(Message):
    """The images of this start, in order, and those opened since.

    Attributes:
        scanning: A folder is still being looked through: ask again.
        counts: Items by state.
    """

    items: list[Item]
    scanning: bool
    counts: dict[str, int]


class OpenRequest(Message):
    """Open an image by its path on this machine: a file, a folder of DICOM files, or a zip of either."""

    path: Annotated[str, Field(min_length=1, max_length=4096)]
    series: str | None = None
    volume: Annotated[int, Field(ge=0, le=1_000_000)] | None = None


class SavedBeside(Message):
    """Where the masks of an image were saved, and what to know of them."""

    folder: str
    notes: list[str]


class ItemUpdate(Message):
    """Set the state of a line of the worklist."""

    state: WorkState


# Objects and prompts


class Box(Message):
    """A half-open box of voxels in array order ([z, ]y, x)."""

    start: list[int]
    stop: list[int]


class ObjectInfo(Message):
    """An object of an image.

    Attributes:
        id: Its number, from 1, never used again after it was deleted; its value in ``labels``.
        label: Its value in a saved label map, which stays when other objects are deleted and can be set.
        volume: In ``unit``.
        unit: "ml" for volumes and "mm2" for pictures; "voxels" or "pixels" where the spacing is unknown.
        quality: Estimated quality of its last answer, 0 to 1, where the model says so.
        box: Smallest box that holds it; None while it is empty.
    """

    id: int
    name: str
    colour: Colour
    visible: bool
    locked: bool
    label: int
    voxels: int
    volume: float
    unit: Literal["ml", "mm2", "voxels", "pixels"]
    quality: float | None
    can_undo: bool
    can_redo: bool
    prompts: int
    box: Box | None


class ObjectCreate(Message):
    """Begin an object, which becomes the current one."""

    name: Name | None = None
    colour: Colour | None = None
    label: Label | None = None


class ObjectUpdate(Message):
    """Change what is given of an object."""

    name: Name | None = None
    colour: Colour | None = None
    visible: bool | None = None
    locked: bool | None = None
    label: Label | None = None


class PromptInfo(Message):
    """A prompt in force.

    Attributes:
        id: Its number, unique within the image.
        predict: Whether the model answered it by itself; False where it waited for the next one.
        prompt: As it was given; of a mask without its bits.
    """

    id: int
    kind: str
    positive: bool
    predict: bool
    prompt: dict[str, Any]


class PromptList(Message):
    """The prompts in force of an object, oldest first."""

    object: int
    prompts: list[PromptInfo]


class PromptRequest(Message):
    """Add a prompt.

    Attributes:
        prompt: A point, box, scribble, lasso or mask, as {"kind": "point", "position": [x, y, z], "positive": true}.
        object: The object; the current one by default, which is begun where there is none yet.
        predict: False keeps it back, to be answered together with the next one.
        on: Which image the model looks at: on the second one the prompt is answered at once, and what is kept is the
            mask.
    """

    prompt: PromptFields
    object: int | None = None
    predict: bool = True
    on: Literal["first", "second"] = "first"


class BrushRequest(Message):
    """Replace a box of an object's mask by what was painted; outside the box the mask stays as it is.

    Attributes:
        box: At least one voxel, within the image.
        bits: The new mask of that box.
        object: The object; the current one by default, which is begun where there is none yet.
    """

    box: Box
    bits: str
    object: int | None = None


class Patch(Message):
    """What changed on the picture: the box, the object's mask in it, and who is seen at each of its voxels.

    Attributes:
        bits: 0/1 mask of the object that the change is of; None where it is of all objects.
        labels: Numbers of the objects that are seen (visible ones, by the image's overlap policy), 0 for none.
        dtype: Dtype of ``labels``: "uint16" where a number of an object is above 255.
    """

    start: list[int]
    stop: list[int]
    bits: str | None
    labels: str
    dtype: Literal["uint8", "uint16"]


class Carried(Message):
    """How far a mask was carried along.

    Attributes:
        axis: Across which the slices lie, in array order.
        start: The slice that it began with.
        first: The first slice that has a mask of it now.
        last: The last one.
        low: Why it stopped at the first.
        high: Why it stopped at the last.
    """

    axis: int
    start: int
    first: int
    last: int
    low: Literal["end", "empty", "quality", "overlap"]
    high: Literal["end", "empty", "quality", "overlap"]


class Change(Message):
    """What a prompt, undo, redo, brush or a change of an object did.

    Attributes:
        image: Number of the image.
        version: Counts the changes of the image. Where it is not one more than the client's, a change was missed:
            fetch ``/labels`` and ``/objects`` again.
        object: The object that was changed; None where the change is of the image.
        current: The object that prompts go to.
        objects: All objects, in the order of their labels.
        prompts: The prompts in force of ``object``; None where they did not change.
        patch: None where no voxel changed.
        seconds: Wall time by stage: "queue" (waiting for the worker), "window", "network", "paste" (the model),
            "session" (all of the answer), "save" (the workspace), "encode" (the patch).
        passes: Times that the network ran.
        together: How many earlier prompts, superseded, were answered with this one.
        opened: Numbers of the objects that a segmentation became.
        notes: What to know of that segmentation.
        carried: How far a mask was carried along; None for any other change.
    """

    image: int
    version: int
    object: int | None
    current: int | None
    objects: list[ObjectInfo]
    prompts: list[PromptInfo] | None = None
    patch: Patch | None = None
    seconds: dict[str, float] = Field(default_factory=dict)
    passes: int = 0
    together: int = 0
    opened: list[int] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    carried: Carried | None = None


class Superseded(Message):
    """A prompt was taken into the journal and is answered together with a newer one of the same object."""

    superseded: Literal[True] = True
    image: int
    object: int | None


class Cancelled(Message):
    """How many answers are stopped: those under way and those that waited."""

    image: int
    cancelled: int


class ObjectList(Message):
    """All objects of an image, with the version that they belong to."""

    version: int
    current: int | None
    objects: list[ObjectInfo]


class LabelPatch(Message):
    """Who is seen where, of the whole image: ``labels`` of the smallest box outside which there is nothing."""

    version: int
    start: list[int]
    stop: list[int]
    labels: str
    dtype: Literal["uint8", "uint16"]


class Suggestion(Message):
    """Where to click next, as a prompt ready to be sent; None where nothing seems wrong, or the object is empty."""

    object: int
    prompt: PromptFields | None


# Images


class ImageInfo(Message):
    """An open image.

    Attributes:
        dimensions: 2 or 3.
        shape: Array order, without colours.
        spacing: mm, (x, y[, z]).
        spacing_known: False where the file gave none: 1 stands in, and lengths are voxels.
        origin: LPS mm.
        direction: Rows of the matrix whose columns are the axes x, y[, z], LPS.
        affine: 4 x 4, from index (x, y, z) to RAS mm, as in the NIfTI of ``/image.nii``.
        modality: As the file says, or "CT" where the values leave no doubt (``modality_guessed``).
        dtype: Dtype of the image in memory.
        stored_dtype: Stored dtype of ``/image.nii``.
        colour: Whether it is an RGB picture.
        range: Smallest and largest value (sampled in large volumes).
        percentiles: Values by percentile ("0.5", "1", "2", "5", "25", "50", "75", "95", "98", "99", "99.5").
        window: Display window to begin with.
        presets: Display windows that suit the modality.
        nbytes: Size of the samples in memory.
        linked: Whether it has a second image.
        notes: What to know of how the file was read (images left aside, orientations that differ).
        dicom_formats: The DICOM objects that its masks can be saved as; none where it is not from DICOM files.
        model_problem: Why the model that answered so far cannot be loaded; what it answered is shown all the same.
    """

    image: int
    item: int
    name: str
    path: str
    sha256: str
    dimensions: int
    shape: list[int]
    spacing: list[float]
    spacing_known: bool
    origin: list[float]
    direction: list[list[float]]
    affine: list[list[float]]
    modality: str | None
    modality_guessed: bool
    dtype: str
    stored_dtype: str
    colour: bool
    range: list[float]
    percentiles: dict[str, float]
    window: WindowPreset
    presets: list[WindowPreset]
    nbytes: int
    linked: bool
    notes: list[str]
    dicom_formats: list[str]
    state: WorkState
    model: str
    model_problem: str | None
    policy: Policy
    tools: Tools
    version: int
    current: int | None
    objects: list[ObjectInfo]
    seconds: dict[str, float] = Field(default_factory=dict)


class ImageList(Message):
    """The images in memory."""

    images: list[ImageInfo]


class ImageUpdate(Message):
    """Change what is given of an image.

    Attributes:
        model: Another model answers all prompts again.
        policy: Who is seen, and saved, where two objects claim a voxel.
        current: The object that prompts go to.
    """

    model: str | None = None
    policy: Policy | None = None
    current: int | None = None
