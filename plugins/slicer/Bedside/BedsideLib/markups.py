"""What was drawn with Slicer's markups, in mm of Slicer's world (RAS). Needs Slicer's nodes, not its windows."""

import slicer.util
import vtk

CLASSES = {
    "point": "vtkMRMLMarkupsFiducialNode",
    "stroke": "vtkMRMLMarkupsCurveNode",
    "box": "vtkMRMLMarkupsROINode",
}
"""Slicer's class of each kind of prompt."""


def points_in(node):
    """Return where the points of a markup lie; none where nothing was drawn yet."""
    if node.GetNumberOfDefinedControlPoints() == 0:
        return []
    return [tuple(map(float, place)) for place in slicer.util.arrayFromMarkupsControlPoints(node, world=True)]


def stroke_in(node):
    """Return a curve as it is shown, between its points, too; of a single point that point."""
    if node.GetNumberOfDefinedControlPoints() < 2:
        return points_in(node)
    curve = node.GetCurvePointsWorld()
    return [curve.GetPoint(k) for k in range(curve.GetNumberOfPoints())]


def corners_in(node):
    """Return the eight corners of a region, however it is turned; none where it was not drawn yet."""
    size = node.GetSize()
    if node.GetNumberOfDefinedControlPoints() == 0 or min(size) <= 0:
        return []
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(node.GetObjectToWorldMatrix())
    signs = [(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)]
    return [matrix.MultiplyPoint([s[k] * size[k] for k in range(3)] + [1.0])[:3] for s in signs]
