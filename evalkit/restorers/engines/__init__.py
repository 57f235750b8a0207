"""What networks run on: PyTorch, OpenVINO, ONNX Runtime; and pictures in tiles."""

ENTRIES = ()
"""No restorer of its own."""
