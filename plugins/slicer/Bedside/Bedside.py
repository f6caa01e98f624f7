"""Bedside in 3D Slicer: prompts by markups, a segment for each object, predicted by ``bedside ui`` on this machine."""

from pathlib import Path

import qt
import slicer
from BedsideLib.markups import CLASSES, corners_in, points_in, stroke_in
from BedsideLib.server import Server, ServerError
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleWidget

ADDRESS = "http://127.0.0.1:8765"
COLOURS = ("#e6b422", "#4a9fd8", "#6cc24a", "#d8524a", "#a06cd5", "#e88a36")
SETTING = "Bedside/address"


class Bedside(ScriptedLoadableModule):
    """What Slicer lists the module by."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "Bedside"
        parent.categories = ["Segmentation"]
        parent.contributors = ["The Bedside authors"]
        parent.helpText = "Segments from boxes, points and strokes on the CPU. Start 'bedside ui --no-browser' first."
        parent.acknowledgementText = "Not a medical device."


class BedsideWidget(ScriptedLoadableModuleWidget):
    """The panel."""

    def setup(self):
        """Build the panel; called by Slicer."""
        ScriptedLoadableModuleWidget.setup(self)
        self.picture = None
        self.volume = None
        self.segmentation = None
        self.numbers = {}
        self.markups = []
        form = qt.QFormLayout()
        self.layout.addLayout(form)
        self.address = qt.QLineEdit(qt.QSettings().value(SETTING, ADDRESS))
        self.token = qt.QLineEdit()
        self.token.setEchoMode(qt.QLineEdit.Password)
        form.addRow("Server", self.address)
        form.addRow("Token", self.token)
        form.addRow(self._button("Test connection", self.test))
        self.selector = slicer.qMRMLNodeComboBox()
        self.selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
        self.selector.addEnabled = self.selector.removeEnabled = False
        self.selector.setMRMLScene(slicer.mrmlScene)
        form.addRow("Volume", self.selector)
        form.addRow(self._button("Send the volume", self.send))
        self.segments = qt.QComboBox()
        form.addRow("Segment", self.segments)
        form.addRow(self._button("New segment", self.begin), self._button("Delete segment", self.delete))
        form.addRow(
            self._button("Point on it", lambda: self.place("point", True)),
            self._button("Point off it", lambda: self.place("point", False)),
        )
        form.addRow(
            self._button("Stroke on it", lambda: self.place("stroke", True)),
            self._button("Stroke off it", lambda: self.place("stroke", False)),
        )
        form.addRow(self._button("Draw a box", lambda: self.place("box", True)), self._button("Predict", self.predict))
        form.addRow(self._button("Undo", lambda: self.step("undo")), self._button("Redo", lambda: self.step("redo")))
        self.status = qt.QLabel("Not a medical device.")
        self.status.wordWrap = True
        form.addRow(self.status)
        self.layout.addStretch(1)

    def cleanup(self):
        """Remove what was drawn and not yet predicted; called by Slicer."""
        self._forget_markups()

    @staticmethod
    def _button(text, action):
        button = qt.QPushButton(text)
        button.clicked.connect(lambda *_: action())
        return button

    # The server

    def server(self):
        """Return the server that the panel names."""
        qt.QSettings().setValue(SETTING, self.address.text.partition("?")[0])
        return Server(self.address.text, self.token.text)

    def test(self):
        """Say which Bedside answers."""
        self._try(lambda: self._say(f"Bedside {self.server().check()} answers."))

    def send(self):
        """Hand the chosen volume to the server, and begin a segmentation for it."""
        volume = self.selector.currentNode()
        if volume is None:
            self._say("Choose a volume first.")
            return
        if volume.GetParentTransformNode() is not None:
            self._say("Harden the volume's transform first: the server sees the volume alone.")
            return
        self._try(lambda: self._send(volume))

    def _send(self, volume):
        path = str(Path(slicer.app.temporaryPath) / f"bedside-{volume.GetID()}.nrrd")
        if not slicer.util.saveNode(volume, path):
            raise ServerError(f"the volume cannot be written to {path}")
        self.picture = self.server().open(path)
        self.volume = volume
        self.numbers = {}
        self.segments.clear()
        self.segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{volume.GetName()} Bedside")
        self.segmentation.CreateDefaultDisplayNodes()
        self.segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        # What was drawn on this volume before is in the server's workspace.
        for number, told in sorted(self.picture.objects.items()):
            self._add_segment(number, told["name"], told["colour"])
            self._show(number, self.picture.mask(number))
        if not self.numbers:
            self._begin()
        self._say("Sent. Place a point or draw a box, then press Predict.")

    # Segments

    def begin(self):
        """Begin a segment."""
        self._try(self._begin)

    def _begin(self):
        self._need_picture()
        name = f"Segment {len(self.numbers) + 1}"
        colour = COLOURS[len(self.numbers) % len(COLOURS)]
        self._add_segment(self.picture.begin(name, colour), name, colour)

    def _add_segment(self, number, name, colour):
        rgb = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        segment = self.segmentation.GetSegmentation().AddEmptySegment("", name, rgb)
        self.numbers[number] = segment
        self.segments.addItem(name, number)
        self.segments.setCurrentIndex(self.segments.count - 1)

    def delete(self):
        """Delete the chosen segment, there and here."""
        self._try(self._delete)

    def _delete(self):
        number = self._number()
        self.picture.delete(number)
        self.segmentation.GetSegmentation().RemoveSegment(self.numbers.pop(number))
        self.segments.removeItem(self.segments.currentIndex)

    def _number(self):
        self._need_picture()
        number = self.segments.currentData
        if number is None:
            self._begin()
            number = self.segments.currentData
        return int(number)

    def _show(self, number, mask):
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, self.segmentation, self.numbers[number], self.volume)

    # Prompts

    def place(self, kind, positive):
        """Let the user draw a prompt with Slicer's markups."""
        self._try(lambda: self._place(kind, positive))

    def _place(self, kind, positive):
        self._need_picture()
        node = slicer.mrmlScene.AddNewNodeByClass(CLASSES[kind], f"Bedside {kind} {'on' if positive else 'off'}")
        node.CreateDefaultDisplayNodes()
        self.markups.append((node, kind, positive))
        selection = slicer.app.applicationLogic().GetSelectionNode()
        selection.SetReferenceActivePlaceNodeClassName(CLASSES[kind])
        selection.SetActivePlaceNodeID(node.GetID())
        interaction = slicer.app.applicationLogic().GetInteractionNode()
        interaction.SetPlaceModePersistence(kind == "stroke")
        interaction.SetCurrentInteractionMode(interaction.Place)
        self._say("Draw in a slice view, then press Predict. A stroke ends with a right click.")

    def predict(self):
        """Send what was drawn since the last time, and show the mask."""
        self._try(self._predict)

    def _predict(self):
        number, mask = self._number(), None
        for node, kind, positive in list(self.markups):
            drawn = {"box": corners_in, "stroke": stroke_in, "point": points_in}[kind](node)
            if kind == "box" and drawn:
                mask = self.picture.add_box(number, drawn)
            elif kind == "stroke" and len(drawn) > 1:
                mask = self.picture.add_scribble(number, drawn, positive)
            else:
                for point in drawn:
                    mask = self.picture.add_point(number, point, positive)
            self.markups.remove((node, kind, positive))
            slicer.mrmlScene.RemoveNode(node)
        if mask is None:
            self._say("Nothing was drawn yet.")
            return
        self._show(number, mask)
        told = self.picture.objects[number]
        self._say(f"{told['name']}: {told['volume']:.1f} {told['unit']}")

    def step(self, way):
        """Undo or redo a prompt of the chosen segment."""
        self._try(lambda: self._step(way))

    def _step(self, way):
        number = self._number()
        self._show(number, getattr(self.picture, way)(number))

    def _forget_markups(self):
        for node, _, _ in self.markups:
            slicer.mrmlScene.RemoveNode(node)
        self.markups = []

    # What the user is told

    def _need_picture(self):
        if self.picture is None:
            raise ServerError("Send a volume first.")

    def _try(self, action):
        slicer.app.setOverrideCursor(qt.Qt.WaitCursor)
        try:
            action()
        except ServerError as error:
            self._say(str(error))
        finally:
            slicer.app.restoreOverrideCursor()

    def _say(self, text):
        self.status.text = text
