from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.core.errors import BedsideError, FormatError, InputError, PromptError
from bedside.core.image import Image
from bedside.core.prompts import InitialMask
from bedside.core.region import Region, mask_region
from bedside.engines.protocol import Prediction
from bedside.session import Session
from bedside.session.answers import Answers
from bedside.session.journal import Undone
from bedside.session.masks import Canvas


def box_and_click(session: Session) -> None:
    session.add_box((8, 3), (22, 17))
    session.add_point((12, 7), positive=False)


def test_a_box_fills_the_object_and_says_where(squares: NDArray[np.uint8], grower: Any) -> None:
    session = Session(squares, segmenter=grower)
    assert session.mask.shape == (40, 60)
    assert not session.mask.any()
    assert session.add_box((8, 3), (22, 17)) == Region((5, 10), (15, 20))
    assert np.array_equal(session.mask, (squares == 200).astype(np.uint8))
    assert session.mask.dtype == np.uint8
    assert session.seconds == {"window": 0.25, "network": 0.5, "paste": 0.125}
    assert session.passes == 1


def test_a_mask_handed_out_is_the_callers_own(squares: NDArray[np.uint8], grower: Any) -> None:
    session = Session(squares, segmenter=grower)
    session.add_box((8, 3), (22, 17))
    session.mask[:] = 1
    assert session.mask.sum() == 100


def test_undo_and_redo_are_remembered_and_not_predicted_anew(squares: NDArray[np.uint8], grower: Any) -> None:
    session = Session(squares, segmenter=grower)
    box_and_click(session)
    corrected, calls = session.mask, len(grower.calls)
    changed = session.undo()
    assert session.mask.sum() == 100
    assert changed is not None
    assert not changed.is_empty
    assert session.undo() == Region((5, 10), (15, 20))
    assert not session.mask.any()
    assert session.undo() is None
    session.redo()
    assert session.redo() == changed
    assert session.redo() is None
    assert np.array_equal(session.mask, corrected)
    assert len(grower.calls) == calls


def test_a_new_prompt_after_undo_forgets_what_was_undone(squares: NDArray[np.uint8], grower: Any) -> None:
    session = Session(squares, segmenter=grower)
    box_and_click(session)
    session.undo()
    session.add_point((44, 28))
    assert session.redo() is None
    assert session.mask.sum() == 164


def test_a_forgotten_step_is_predicted_anew(squares: NDArray[np.uint8], grower: Any) -> None:
    session = Session(squares, segmenter=grower)
    session._answers = Answers(grower, session.image.geometry, Canvas(squares.shape), cache_bytes=0)
    box_and_click(session)
    corrected = session.mask
    session.undo()
    session.redo()
    assert np.array_equal(session.mask, corrected)
    assert len(grower.calls) > 2


def test_a_queued_prompt_is_answered_together_with_the_next(squares: NDArray[np.uint8], grower: Any) -> None:
    session = Session(squares, segmenter=grower)
    assert session.add_box((8, 3), (22, 17), predict=False) is None
    assert not session.mask.any()
    session.add_point((12, 7), positive=False)
    assert grower.calls == [2]
    assert 0 < session.mask.sum() < 100


def test_removing_a_prompt_replays_those_after_it(squares: NDArray[np.uint8], grower: Any) -> None:
    session = Session(squares, segmenter=grower)
    session.add_box((8, 3), (22, 17))
    session.add_point((12, 7), positive=False)
    session.add_point((44, 28))
    assert session.current is not None
    wrong = session.current.prompts[1].id
    assert not session.remove_prompt(wrong).is_empty
    expected = Session(squares, segmenter=type(grower)())
    expected.add_box((8, 3), (22, 17))
    expected.add_point((44, 28))
    assert np.array_equal(session.mask, expected.mask)
    session.undo()
    assert session.mask.sum() < expected.mask.sum()
    with pytest.raises(InputError, match="expected one of"):
        session.remove_prompt(99)


def test_removing_what_began_the_object_leaves_it_empty(squares: NDArray[np.uint8], grower: Any) -> None:
    session = Session(squares, segmenter=grower)
    box_and_click(session)
    session.remove_prompt(1)
    assert not session.mask.any()
    session.undo()
    assert session.mask.any()


def test_an_initial_mask_stands_as_it_is_and_is_corrected(squares: NDArray[np.uint8], grower: Any) -> None:
    session = Session(squares, segmenter=grower)
    session.add_box((8, 3), (22, 17))
    drawn = np.zeros((40, 60), dtype=np.int32)
    drawn[20:35, 30:50] = 7
    assert session.set_mask(drawn) == Region((5, 10), (35, 50))
    assert np.array_equal(session.mask, (drawn != 0).astype(np.uint8))
    assert grower.calls == [1]
    session.add_point((32, 22), positive=False)
    assert session.mask[22, 32] == 0
    session.undo()
    session.undo()
    assert session.mask.sum() == 100


def test_a_mask_can_begin_an_object_for_a_negative_click(squares: NDArray[np.uint8], grower: Any) -> None:
    session = Session(squares, segmenter=grower)
    session.set_mask(squares == 200)
    session.add_point((12, 7), positive=False)
    assert 0 < session.mask.sum() < 100


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.add_point((100, 5)), "outside the image on axis x"),
        (lambda s: s.add_point((5, 5, 5)), "2 coordinates"),
        (lambda s: s.add_point((5, 5), frame="moon"), "index or world"),
        (lambda s: s.add_box((5, 5), (5, 9)), "larger than its start"),
        (lambda s: s.add_box((5, 5), (9, 9), positive=False), "no negative box"),
        (lambda s: s.add_lasso([(5, 5), (9, 5), (9, 9)]), "takes no lasso"),
        (lambda s: s.set_mask(np.ones((3, 3))), "image's shape"),
    ],
)
def test_a_rejected_prompt_changes_nothing(squares: NDArray[np.uint8], grower: Any, call: Any, message: str) -> None:
    for prepare in (lambda s: None, lambda s: s.add_box((8, 3), (22, 17))):
        session = Session(squares, segmenter=grower)
        prepare(session)
        before, mask = session.journal, session.mask
        with pytest.raises(PromptError, match=message):
            call(session)
        assert session.journal == before
        assert np.array_equal(session.mask, mask)


def test_a_negative_prompt_cannot_begin_an_object(squares: NDArray[np.uint8], grower: Any) -> None:
    session = Session(squares, segmenter=grower)
    with pytest.raises(PromptError, match="cannot start"):
        session.add_point((12, 7), positive=False)
    assert session.objects == ()
    session.add_point((12, 7), positive=False, predict=False)
    session.add_box((8, 3), (22, 17))
    assert grower.calls == [2]


def test_a_prediction_that_fails_changes_nothing(squares: NDArray[np.uint8], grower: Any) -> None:
    session = Session(squares, segmenter=grower)
    session.add_box((8, 3), (22, 17))
    session.add_point((44, 28))
    before, mask = session.journal, session.mask
    grower.fail = True
    for call in (lambda: session.add_point((2, 2)), lambda: session.remove_prompt(1), session.replay):
        with pytest.raises(RuntimeError):
            call()
        assert session.journal == before
        assert np.array_equal(session.mask, mask)
    grower.fail = False
    session.add_point((12, 7), positive=False)
    assert session.mask[7, 12] == 0


def test_objects_are_apart_and_share_one_label_map(squares: NDArray[np.uint8], grower: Any) -> None:
    session = Session(squares, segmenter=grower)
    first = session.add_object("kidney", "#ff0000")
    session.add_box((8, 3), (22, 17))
    second = session.add_object("spleen")
    session.add_point((44, 28))
    session.set_mask(session.mask | session.masks[first.id])
    assert [o.name for o in session.objects] == ["kidney", "spleen"]
    assert [o.label for o in session.objects] == [1, 2]
    assert [o.voxels for o in session.objects] == [100, 164]
    keep, overwrite = session.label_map(), session.label_map("overwrite")
    assert keep.shape == (40, 60)
    assert np.bincount(keep.ravel()).tolist() == [2236, 100, 64]
    assert np.bincount(overwrite.ravel()).tolist() == [2236, 0, 164]
    assert session.label_map("overlap").shape == (2, 40, 60)
    session.add_point((12, 7), positive=False, object_id=first.id)
    assert session.current is not None
    assert session.current.id == second.id
    session.select(first.id)
    assert session.mask.sum() < 100
    assert session.masks[second.id].sum() == 164
    assert np.array_equal(session.mask_of(second.id, Region((20, 30), (99, 99))), session.masks[second.id][20:, 30:])
    with pytest.raises(InputError, match=r"one of \[1, 2\]"):
        session.select(3)


def test_a_label_map_needs_an_object(squares: NDArray[np.uint8], grower: Any) -> None:
    session = Session(squares, segmenter=grower)
    with pytest.raises(InputError, match="at least one object"):
        session.label_map()
    session.add_object()
    assert not session.label_map().any()
    assert session.label_map().shape == (40, 60)


def test_a_saved_session_comes_back_bit_for_bit(
    tmp_path: Path, squares: NDArray[np.uint8], grower: Any, grower_class: Any
) -> None:
    session = Session(squares, segmenter=grower)
    session.add_object("a", "#112233")
    box_and_click(session)
    session.undo()
    session.add_point((44, 28), predict=False)
    session.add_scribble([(15, 12), (18, 12)], positive=False, thickness=3)
    session.add_object("b")
    session.set_mask(squares > 100)
    session.add_point((12, 7), positive=False)
    session.select(1)
    session.remove_prompt(3)
    session.undo()
    session.save(tmp_path / "journal.json")
    loaded = Session.load(tmp_path / "journal.json", squares, segmenter=grower_class())
    assert loaded.journal == session.journal
    assert loaded.objects == session.objects
    for number, mask in session.masks.items():
        assert np.array_equal(loaded.masks[number], mask)
    loaded.replay()
    assert np.array_equal(loaded.label_map(), session.label_map())
    loaded.redo()
    session.redo()
    assert np.array_equal(loaded.mask, session.mask)
    loaded.add_point((44, 28))
    assert loaded.objects[0].prompts[-1].id == 7


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["point", "negative", "box", "queue", "undo", "redo", "remove", "mask"]),
            st.integers(0, 39),
        ),
        max_size=14,
    )
)
def test_any_course_of_events_replays_to_the_same_mask(
    squares: NDArray[np.uint8], grower_class: Any, course: list[tuple[str, int]]
) -> None:
    session = Session(squares, segmenter=grower_class())
    session.add_object()
    for action, n in course:
        if action == "point":
            session.add_point((n, 7))
        elif action == "negative":
            session.add_point((n, 7), positive=False, predict=bool(session.mask.any()))
        elif action == "queue":
            session.add_point((n, 28), predict=False)
        elif action == "box":
            session.add_box((n, 3), (n + 12, 30))
        elif action == "mask":
            session.set_mask(np.arange(2400).reshape(40, 60) % (n + 2) == 0)
        elif action == "undo":
            session.undo()
        elif action == "redo":
            session.redo()
        elif session.objects[0].prompts:
            session.remove_prompt(session.objects[0].prompts[n % len(session.objects[0].prompts)].id)
    journal = type(session.journal).from_dict(json.loads(json.dumps(session.journal.to_dict())))
    again = Session.from_journal(journal, squares, segmenter=grower_class())
    assert np.array_equal(again.mask, session.mask)


def test_a_replay_on_another_model_answers_every_prompt(
    squares: NDArray[np.uint8], grower: Any, grower_class: Any
) -> None:
    session = Session(squares, segmenter=grower)
    box_and_click(session)
    other = grower_class("wide", tolerance=250.0)
    session.replay(segmenter=other)
    assert session.model == "wide"
    assert other.calls == [1, 2]
    assert session.mask.sum() > 100
    assert session.journal.model == "wide"


def test_a_replay_that_the_model_rejects_leaves_the_session(
    squares: NDArray[np.uint8], grower: Any, grower_class: Any
) -> None:
    session = Session(squares, segmenter=grower)
    box_and_click(session)
    before = session.mask
    poor = grower_class("poor")
    poor.capabilities = type(poor.capabilities)(
        (2,), frozenset({"point"}), frozenset({"point"}), False, frozenset({"point"})
    )
    with pytest.raises(PromptError, match="poor takes no box"):
        session.replay(segmenter=poor)
    assert session.model == "region-grower"
    assert np.array_equal(session.mask, before)


def test_a_journal_is_not_loaded_onto_another_image(tmp_path: Path, squares: NDArray[np.uint8], grower: Any) -> None:
    session = Session(squares, segmenter=grower)
    box_and_click(session)
    path = tmp_path / "journal.json"
    session.save(path)
    with pytest.raises(InputError, match="another image: expected shape"):
        Session.load(path, squares[:30], segmenter=grower)
    changed = squares.copy()
    changed[0, 0] += 1
    with pytest.raises(InputError, match="another image: expected content"):
        Session.load(path, changed, segmenter=grower)


def test_a_journal_with_a_prompt_outside_is_rejected(tmp_path: Path, squares: NDArray[np.uint8], grower: Any) -> None:
    session = Session(squares, segmenter=grower)
    box_and_click(session)
    data = session.journal.to_dict()
    data["objects"][0]["events"][1]["prompt"]["position"] = [500, 5]
    path = tmp_path / "journal.json"
    path.write_text(json.dumps(data))
    with pytest.raises(PromptError, match="outside"):
        Session.load(path, squares, segmenter=grower)
    path.write_text("[]")
    with pytest.raises(FormatError, match=r"journal\.json"):
        Session.load(path, squares, segmenter=grower)


def test_a_volume_with_world_prompts(grower: Any) -> None:
    array = np.zeros((12, 16, 20), dtype=np.int16)
    array[4:9, 5:10, 6:12] = 300
    session = Session(Image.from_array(array, (0.5, 0.5, 3.0)), segmenter=grower)
    session.add_point((4.0, 3.5, 18.0), frame="world")
    assert np.array_equal(session.mask, (array > 0).astype(np.uint8))
    assert session.journal.objects[0].events[0].prompt.frame == "world"  # type: ignore[union-attr]
    session.undo()
    assert isinstance(session.journal.objects[0].events[-1], Undone)
    assert not session.mask.any()


def test_what_is_no_image_is_rejected(grower: Any) -> None:
    with pytest.raises(InputError, match="a path"):
        Session(3, segmenter=grower)  # type: ignore[arg-type]


def test_the_segmenter_hears_how_many_prompts_are_new(squares: NDArray[np.uint8], grower: Any) -> None:
    heard: list[int] = []
    predict = grower.predict

    def listening(prompts: Any, previous: Any = None, fresh: int = 1) -> Any:
        heard.append(fresh)
        return predict(prompts, previous, fresh)

    grower.predict = listening
    session = Session(squares, segmenter=grower)
    session.add_box((8, 3), (22, 17))
    session.add_point((12, 7), positive=False, predict=False)
    session.add_point((13, 8), positive=False)
    assert heard == [1, 2]


@pytest.mark.parametrize(
    "value",
    ["x", 5, None, b"12", [None, 1], [[[1]]], {"x": 1}, object()],
    ids=["text", "number", "None", "bytes", "flat", "nested", "mapping", "object"],
)
def test_whatever_is_given_for_a_gesture_the_error_is_ours(squares: NDArray[np.uint8], grower: Any, value: Any) -> None:
    session = Session(squares, segmenter=grower)
    session.add_point((12, 7))
    # Of numbers None is the current one, and 5 may be one.
    number = "x" if value in (None, 5) else value
    for gesture in (
        lambda: session.add(value),
        lambda: session.add_point(value),
        lambda: session.add_box(value, (3, 4)),
        lambda: session.add_box((1, 2), value),
        lambda: session.add_scribble(value),
        lambda: session.add_scribble([(1, 2)], thickness=[value]),
        lambda: session.add_lasso(value),
        lambda: session.add_point((12, 7), frame=value),
        lambda: session.set_mask(value),
        lambda: session.undo(number),
        lambda: session.select(number),
        lambda: session.remove_prompt(number),
        lambda: session.set_label(1, number),
        lambda: session.mask_of(number),
    ):
        with pytest.raises(BedsideError) as caught:
            gesture()
        assert "\n" not in str(caught.value)
    assert len(session.objects[0].prompts) == 1


class Boaster:
    """A segmenter that is surer after every prompt, whatever the prompt changed."""

    name = "boaster"

    def __init__(self, grower, changes):
        self.grower, self.changes, self.capabilities = (
            grower,
            list(changes),
            replace(grower.capabilities, estimates=True),
        )
        self.quality = 0.4

    def set_image(self, image):
        self.shape = image.shape

    def predict(self, prompts, previous=None, fresh=1):
        self.quality += 0.1
        mask = np.zeros(self.shape, np.uint8) if previous is None else previous.copy()
        before = mask.copy()
        mask.ravel()[: self.changes.pop(0)] = 1
        region = Region.whole(self.shape)
        changed = mask_region(mask != before)
        return Prediction(mask, region, np.zeros((1, 1), np.float32), (), changed, quality=self.quality)


def test_a_prompt_that_changes_next_to_nothing_does_not_raise_the_estimate(grower_class):
    segmenter = Boaster(grower_class(), [200, 200, 202, 300, 400, 500])
    session = Session(np.zeros((30, 30), np.uint8), segmenter=segmenter)
    told = []
    # Of the clicks that change a lot, those on what is in the mask already have corrected nothing.
    for place in [(1, 1), (1, 1), (1, 1), (1, 1), (29, 29), (1, 1)]:
        session.add_point(place)
        told.append(session.objects[0].quality)
    assert told == pytest.approx([0.5, 0.5, 0.5, 0.5, 0.9, 0.9])


def test_a_classical_tool_is_a_prompt_that_undo_takes_back(grower_class):
    session = Session(np.zeros((30, 30), np.uint8), segmenter=grower_class())
    mask = np.zeros((30, 30), np.uint8)
    mask[5:15, 5:15] = 1
    mask[9:11, 9:11] = 0
    session.add(InitialMask(mask))
    assert session.edit("fill-holes") == Region((9, 9), (11, 11))
    assert session.mask.sum() == 100
    assert session.edit("fill-holes").is_empty
    assert len(session.objects[0].prompts) == 2
    session.undo()
    np.testing.assert_array_equal(session.mask, mask)
    other = session.add_object().id
    session.add(InitialMask(np.roll(mask, 5, axis=0)))
    session.edit("subtract", other=1)
    np.testing.assert_array_equal(session.mask, np.roll(mask, 5, axis=0) & ~mask & 1)
    with pytest.raises(InputError, match="another object"):
        session.edit("union", other=other)
    with pytest.raises(InputError, match="nothing left"):
        session.edit("shrink", 30.0)
    again = Session.from_journal(session.journal, np.zeros((30, 30), np.uint8), segmenter=grower_class())
    np.testing.assert_array_equal(again.mask_of(other), session.mask_of(other))
