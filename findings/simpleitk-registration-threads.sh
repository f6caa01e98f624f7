#!/bin/sh
# SimpleITK's ImageRegistrationMethod.SetNumberOfThreads(1) does not make a registration repeatable; the global number of threads does.
#
# With a fixed seed, or no random samples at all, and one thread asked of the method, eight runs in one process end at eight motions that
# differ in their last digits: the number does not reach the metric (Mattes mutual information), whose threads follow the global default
# and add up in the order in which they end. Whoever wants the same transform twice has to call
# ProcessObject.SetGlobalDefaultNumberOfThreads(1), for the whole process.
#
# Seen with SimpleITK 2.5.7 (ITK 5.4), numpy 2.4.6, Python 3.11, two cores:
#   one thread of the method, all voxels: 8 motions of 8 runs
#   one thread of the method, random voxels with a seed: 8 motions of 8 runs
#   one thread of the process, all voxels: 1 motions of 8 runs
#   one thread of the process, random voxels with a seed: 1 motions of 8 runs
#
# Exits nonzero where this has changed. Needs two cores. Bedside states how far two runs agree (src/bedside/imaging/registration.py).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q SimpleITK==2.5.7 numpy==2.4.6 2>&1 | grep -v WARNING || true
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy
import SimpleITK

z, y, x = numpy.mgrid[:30, :40, :40]
places = numpy.random.default_rng(0).uniform(8, 28, (12, 3))


def blobs(shift):
    values = sum(numpy.exp(-((z - c) ** 2 + (y - b) ** 2 + (x - a - shift) ** 2) / 20) for c, b, a in places)
    return SimpleITK.GetImageFromArray((100 * values).astype(numpy.float32))


fixed, moving = blobs(0), blobs(3)


def register(random):
    method = SimpleITK.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsMattesMutualInformation(32)
    if random:
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(0.2, 1)
    method.SetInterpolator(SimpleITK.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, 50)
    method.SetOptimizerScalesFromPhysicalShift()
    motion = SimpleITK.Euler3DTransform()
    method.SetInitialTransform(motion, inPlace=True)
    method.Execute(fixed, moving)
    return tuple(motion.GetParameters())


def count(what):
    counts = []
    for random, voxels in ((False, "all voxels"), (True, "random voxels with a seed")):
        counts.append(len({register(random) for _ in range(8)}))
        print(f"one thread of the {what}, {voxels}: {counts[-1]} motions of 8 runs")
    return counts


of_method = count("method")
SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
of_process = count("process")
sys.exit(not (min(of_method) > 1 and of_process == [1, 1]))
PYTHON
