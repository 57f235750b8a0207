"""SFace's weights are not here: a tiny network of the same layout stands in."""

from importlib.util import find_spec

import cv2
import numpy as np
import pytest

from evalkit.errors import WeightsError
from evalkit.metrics import identity as module
from evalkit.metrics.identity import identity
from evalkit.weights import WeightsInUse


@pytest.fixture
def stand_in(need, tmp_path, monkeypatch):
    """The mean of every 14 px square of the 112 px crop, as 192 numbers."""
    need(find_spec("onnx"), "pip install evalkit[onnx]")
    from onnx import TensorProto, helper, save

    side, out = [1, 3, 112, 112], [1, 192]
    nodes = [
        helper.make_node(
            "AveragePool", ["data"], ["small"], kernel_shape=[14, 14], strides=[14, 14]
        ),
        helper.make_node("Flatten", ["small"], ["fc1"]),
    ]
    graph = helper.make_graph(
        nodes,
        "stand-in",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, side)],
        [helper.make_tensor_value_info("fc1", TensorProto.FLOAT, out)],
    )
    path = tmp_path / "sface.onnx"
    opset = helper.make_opsetid("", 13)
    save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    weights = WeightsInUse("sface", path, "0" * 64, "user")
    monkeypatch.setattr(module, "find", lambda _: weights)
    return path


def test_the_same_picture_is_the_same_person(stand_in, astronaut):
    assert identity(astronaut, astronaut) == pytest.approx(0, abs=1e-5)


def test_another_face_is_farther_than_a_blurred_one(stand_in, astronaut):
    other, blurred = astronaut.copy(), cv2.GaussianBlur(astronaut, (0, 0), 1)
    other[50:190, 160:290] = astronaut[50:190, 160:290][::-1]
    assert identity(other, astronaut) > 10 * identity(blurred, astronaut)


def test_a_change_outside_of_the_face_is_none_of_the_person(stand_in, astronaut):
    source = astronaut[:340]  # without what the cascade takes for another face
    output = source.copy()
    output[250:] = 0
    assert identity(output, source) == pytest.approx(0, abs=1e-5)


def test_without_a_face_or_without_weights_there_is_no_value(
    stand_in, astronaut, monkeypatch
):
    sky = np.full((64, 64, 3), 200, np.uint8)
    assert np.isnan(identity(sky, sky))
    monkeypatch.setattr(module, "find", lambda _: None)
    assert np.isnan(identity(astronaut, astronaut))


def test_another_file_is_refused(stand_in, astronaut, tmp_path, monkeypatch):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not a network")
    weights = WeightsInUse("sface", path, "1" * 64, "user")
    monkeypatch.setattr(module, "find", lambda _: weights)
    with pytest.raises(WeightsError, match="no ONNX file"):
        identity(astronaut, astronaut)
