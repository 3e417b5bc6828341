from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np

from fict.models import load_model

FILE = "face_landmark.tflite"


def test_a_thread_has_its_models_once_and_shares_none():
    """An interpreter that two threads use at a time fails, or gives one the other's answer."""
    together = Barrier(3)

    def load(_):
        together.wait(60)
        model = load_model(FILE)
        assert load_model(FILE) is model
        picture = np.zeros((model.side, model.side, 3), np.float32)
        return model, [model(picture)[0] for _ in range(20)]

    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(load, range(3)))
    assert len({id(model) for model, _ in found}) == 3
    for _, answers in found:
        assert all(np.array_equal(answer, found[0][1][0]) for answer in answers)
