"""The client against a real server, whose habits no script would think of."""

import base64
from contextlib import closing

import cv2
import openai
import pytest
from skimage.data import astronaut

from annotators.mllm import MllmExplainer
from annotators.pipeline import explain_frame
from schemas.manifest import EvidenceSettings, Mllm
from schemas.records import MeasuredFrame
from schemas.shards import read_records


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Base URL and model name; transformers is imported here, since that takes seconds."""
    pytest.importorskip("transformers", reason="transformers is not installed: no real server")
    from tests import tiny_llava

    with tiny_llava.serve(tiny_llava.build(tmp_path_factory.mktemp("llava"))) as address:
        yield address


@pytest.fixture(scope="module")
def frame(annotated) -> MeasuredFrame:
    run, _ = annotated
    paths = [p for p in run.measured.folder.glob("*.parquet") if "rejects" not in p.name]
    rows = read_records(sorted(paths), MeasuredFrame)
    return next(row for row in rows if row.method == "LipRecolour")


def test_a_real_server_answers_about_a_picture(server):
    base_url, model = server
    _, encoded = cv2.imencode(".jpg", astronaut())
    url = "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()
    picture = {"type": "image_url", "image_url": {"url": url}}
    content = [{"type": "text", "text": "What is it?"}, picture]
    with openai.OpenAI(base_url=base_url, api_key="none", timeout=60, max_retries=0) as client:
        answer = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": content}], max_tokens=24
        )
    assert answer.choices[0].message.content
    picture_tokens = answer.usage.prompt_tokens - len("user: What is it?\nassistant: ")
    assert picture_tokens == 16  # 4 x 4 patches: the picture reached the model


def test_the_gibberish_of_a_real_model_falls_back(server, frame):
    base_url, model = server
    block = Mllm(base_url=base_url, model=model, retries=0, max_tokens=24, image_size=64)
    explainer = MllmExplainer(block)
    with closing(explainer.client):
        row = explain_frame(frame, explainer, EvidenceSettings(), "hash")
    assert row.explainer == "evidence"
    assert row.fallback_reason.startswith(("invalid_answer:", "cut_answer:"))
