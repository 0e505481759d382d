"""Tandem: from images of Kaggle, Roboflow and your own disk to a classifier, and to scores that hold."""

import os

# From the tenth second of a process on, ONNX Runtime 1.32 reports its use to its makers, unless this is set before it
# is imported, by whatever library. FiftyOne's, OpenVINO's and DVC's reports are off where each of them is set up.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
