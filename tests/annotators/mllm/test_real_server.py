"""The client against a real server, whose habits no script would think of."""

import asyncio
import base64

import cv2
import openai
import pytest
from skimage.data import astronaut

from annotators.mllm.client import Client
from annotators.mllm.explainer import MllmExplainer
from annotators.mllm.store import AnswerStore
from annotators.publish import publish
from schemas.explaining import Explain, Mllm
from schemas.manifest import EvidenceSettings


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Base URL and model name; transformers is imported here, since that takes seconds."""
    pytest.importorskip("transformers", reason="transformers is not installed: no real server")
    from tests import tiny_llava

    with tiny_llava.serve(tiny_llava.build(tmp_path_factory.mktemp("llava"))) as address:
        yield address


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


def test_the_gibberish_of_a_real_model_falls_back(server, recoloured, tmp_path):
    base_url, model = server
    block = Mllm(base_url=base_url, model=model, max_tokens=24, image_size=64)

    async def explain(store):
        async with Client(block, store) as client:
            explainer = MllmExplainer(client, Explain(reasks=1), EvidenceSettings(), {})
            return await explainer.explain([recoloured])

    with AnswerStore(tmp_path / "answers.sqlite") as store:
        [said] = asyncio.run(explain(store))
        costs = store.costs().to_pandas()
    row = publish(said, "hash")
    assert row.explainer == "evidence"
    assert row.fallback_reason.startswith(("invalid_answer:", "cut_answer:"))
    assert costs["outcome"].tolist() == ["answered"] * 2
    assert (costs["completion_tokens"] > 0).all()
