"""The endpoint as an OpenAI client and as a careless one see it."""

import base64
import io
import json
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openai
import pytest
import torch
from PIL import Image
from starlette.testclient import TestClient

from model.answer import Answer
from model.serving.app import HOSTS, MOST_BYTES, make_app, run
from schemas import rle
from schemas.errors import UsageError
from schemas.records import Segmentation
from tests.own_server import NAME, Scripted, serving

TEXT = "This face is fake. The <p>nose</p> [SEG] is odd, the <p>lips</p> [SEG] as well."
SIDE = 40


def url_of(image, kind="png"):
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, kind)
    return f"data:image/{kind};base64," + base64.b64encode(encoded.getvalue()).decode()


PICTURE = url_of(np.arange(SIDE * 60 * 3, dtype=np.uint8).reshape(SIDE, 60, 3))


def request(text="What was forged?", picture=PICTURE, **more):
    content = [{"type": "text", "text": text}]
    if picture:
        content.append({"type": "image_url", "image_url": {"url": picture}})
    return {"model": NAME, "messages": [{"role": "user", "content": content}]} | more


@pytest.fixture
def model():
    return Scripted(TEXT)


@pytest.fixture
def client(model):
    app = make_app(model, NAME)
    with TestClient(app, f"http://{HOSTS[0]}", raise_server_exceptions=False) as opened:
        yield opened


@pytest.fixture
def refused(client):
    """Posts a request that is refused; gives status and error."""

    def post(body):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = client.post("/v1/chat/completions", content=data)
        error = answer.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return answer.status_code, error

    return post


def test_the_openai_client_gets_text_and_masks_plain_and_streamed(model):
    with serving(model) as url, openai.OpenAI(base_url=url, api_key="none", max_retries=0) as api:
        assert [one.id for one in api.models.list()] == [NAME]
        plain = api.chat.completions.create(**request()).choices[0]
        parts = [part.choices[0] for part in api.chat.completions.create(**request(stream=True))]
    assert plain.message.content == TEXT
    assert plain.finish_reason == "stop"
    assert "".join(part.delta.content or "" for part in parts) == TEXT
    assert parts[-1].finish_reason == "stop"
    assert len(parts) > len(TEXT.split())
    [streamed] = [part.delta.masks for part in parts if hasattr(part.delta, "masks")]
    assert streamed == plain.message.masks
    decoded = [rle.decode(Segmentation(**mask)) for mask in plain.message.masks]
    assert [mask.shape for mask in decoded] == [(SIDE, 60)] * 2
    assert [int(mask.sum()) for mask in decoded] == [56, 56]
    assert (decoded[0] & decoded[1]).any()  # they overlap and stay two masks


def test_the_model_gets_the_pixels_and_the_query(client, model):
    mask = np.zeros((SIDE, 60), np.bool_)
    mask[3:9, 20:30] = True
    coded = rle.encode(mask).model_dump()
    for query in (
        {"box_xyxy": [20, 3, 30, 9]},
        {"segmentation": coded, "category_id": 7},
    ):
        answer = client.post("/v1/chat/completions", json=request("In <box>?", query=query))
        assert answer.status_code == 200
        image, prompt = model.asked[-1]
        assert (image.shape, image.dtype) == ((3, SIDE, 60), torch.uint8)
        assert image.permute(1, 2, 0).flatten()[:5].tolist() == [0, 1, 2, 3, 4]
        assert np.array_equal(prompt.query.numpy(), mask)
        assert prompt.query_category_id == query.get("category_id")
    client.post("/v1/chat/completions", json=request(query={"category_id": 7}))
    assert model.asked[-1][1].query is None


def test_the_latest_picture_and_the_last_question_count(client, model):
    body = request("first")
    body["messages"] += [
        {"role": "assistant", "content": "said"},
        {"role": "user", "content": "second"},
    ]
    assert client.post("/v1/chat/completions", json=body).status_code == 200
    assert model.asked[-1][1].question == "second"


def test_a_cut_answer_says_so(client, model):
    model.truncated = True
    answer = client.post("/v1/chat/completions", json=request()).json()
    assert answer["choices"][0]["finish_reason"] == "length"


def bomb(width, height):
    """A PNG that claims to be huge."""
    facts = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", facts), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    png = b"\x89PNG\r\n\x1a\n"
    for kind, data in parts:
        png += struct.pack(">I", len(data)) + kind + data
        png += struct.pack(">I", zlib.crc32(kind + data))
    return "data:image/png;base64," + base64.b64encode(png).decode()


@pytest.mark.parametrize(
    ("picture", "code"),
    [
        (bomb(60_000, 60_000), "picture_too_large"),
        (bomb(5000, 5000), "picture_too_large"),
        (bomb(20_000, 64), "picture_too_large"),  # few pixels, but a long side
        (bomb(64, 64), "no_picture"),  # its pixels are missing
        (url_of(np.zeros((4, 400, 3), np.uint8)), "picture_too_small"),
        (url_of(np.zeros((64, 64, 3), np.uint8), "gif"), "no_picture"),
        ("data:image/png;base64," + base64.b64encode(b"no picture").decode(), "no_picture"),
        ("data:image/png;base64,%%%", "no_picture"),
        (PICTURE[:200], "no_picture"),
        ("data:text/html;base64,AAAA", "no_data_url"),
        ("http://127.0.0.1:1/face.png", "no_data_url"),
        ("file:///etc/hostname", "no_data_url"),
        ("", "no_picture"),
    ],
)
def test_what_is_no_usable_picture_is_refused(refused, model, picture, code):
    status, error = refused(request(picture=picture))
    assert (status, error["code"], error["type"]) == (400, code, "invalid_request_error")
    assert not model.asked


NAN = float("nan")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"box_xyxy": [20, 3, 10, 9]}, "wrong_box"),
        ({"box_xyxy": [-1, 3, 10, 9]}, "wrong_box"),
        ({"box_xyxy": [0, 0, 61, 40]}, "wrong_box"),
        ({"box_xyxy": [0, 0, 10]}, "invalid_request"),
        ({"box_xyxy": [0, 0, "x", 1]}, "invalid_request"),
        ({"segmentation": {"size": [60, SIDE], "counts": "0"}}, "wrong_mask"),
        ({"segmentation": {"size": [SIDE, 60], "counts": "0"}}, "wrong_mask"),
        ({"segmentation": {"size": [SIDE, 60], "counts": "ü"}}, "wrong_mask"),
        ({"segmentation": rle.encode(np.zeros((SIDE, 60), bool)).model_dump()}, "wrong_mask"),
    ],
)
def test_what_does_not_fit_the_picture_is_refused(refused, model, query, code):
    status, error = refused(request("In <box>?", query=query))
    assert (status, error["code"]) == (400, code)
    assert not model.asked


def test_a_box_of_nan_is_refused(refused):
    body = json.dumps(request("In <box>?", query={"box_xyxy": [0, 0, NAN, 1]})).encode()
    status, error = refused(body)
    assert (status, error["code"]) in ((400, "wrong_box"), (400, "invalid_request"))


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (request("a" * 2**20), 400, "question_too_long"),
        (request("  "), 400, "no_question"),
        (request(picture=None), 400, "no_picture"),
        (request() | {"model": "gpt-4o"}, 404, "model_not_found"),
        (request(n=3), 400, "invalid_request"),
        (request() | {"messages": []}, 400, "invalid_request"),
        (request() | {"messages": [{"role": "user"}] * 65}, 400, "invalid_request"),
        ({"model": NAME}, 400, "invalid_request"),
        (b"{not json", 400, "invalid_request"),
        (b"[1]", 400, "invalid_request"),
        (b"\xff\xfe", 400, "invalid_request"),
        (b" " * (MOST_BYTES + 1), 413, "too_large"),
    ],
    ids=lambda value: "" if isinstance(value, dict | bytes) else str(value),
)
def test_requests_that_cannot_be_answered_are_refused(refused, model, body, status, code):
    found, error = refused(body)
    assert (found, error["code"]) == (status, code)
    assert len(error["message"]) < 300  # nothing long of the client's comes back
    assert not model.asked


def test_several_pictures_in_a_message_are_refused(refused):
    body = request()
    body["messages"][0]["content"].append({"type": "image_url", "image_url": {"url": PICTURE}})
    assert refused(body)[1]["code"] == "several_pictures"


def test_an_answer_with_more_seg_than_masks_is_never_sent(refused, model):
    model.masks = 1
    status, error = refused(request())
    assert (status, error["code"], error["type"]) == (500, "broken_answer", "server_error")
    assert refused(request(stream=True))[0] == 500


def test_what_the_model_refuses_and_where_it_fails_is_told_apart(refused, model, monkeypatch):
    def refuse(image, prompts):
        raise UsageError("the query points at no pixel")

    monkeypatch.setattr(model, "answer", refuse)
    status, error = refused(request())
    assert (status, error["message"]) == (400, "the query points at no pixel")

    def fail(image, prompts):
        raise RuntimeError("planted-secret")

    monkeypatch.setattr(model, "answer", fail)
    status, error = refused(request())
    assert (status, error["code"]) == (500, "model_failed")
    assert "planted-secret" not in json.dumps(error)


def test_unknown_paths_and_foreign_hosts_are_refused(client):
    assert client.get("/v1/nothing").json()["error"]["code"] == "not_found"
    assert client.get("/docs").status_code == 404
    foreign = client.get("/v1/models", headers={"Host": "evil.example"})
    assert foreign.status_code == 400


def test_one_request_is_worked_on_at_a_time_and_too_many_are_sent_away():
    class Slow(Scripted):
        def __init__(self):
            super().__init__("ok")
            self.go_on, self.inside, self.most = threading.Event(), 0, 0

        def answer(self, image, prompts):
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.go_on.wait(10)
            self.inside -= 1
            return super().answer(image, prompts)

    model = Slow()

    def ask(api):
        try:
            return api.chat.completions.create(**request()).choices[0].message.content
        except openai.RateLimitError as error:
            model.go_on.set()  # the others need not wait any longer
            return error.response.headers["Retry-After"]

    with (
        serving(model, queue=2) as url,
        ThreadPoolExecutor(6) as pool,
        openai.OpenAI(base_url=url, api_key="none", max_retries=0) as api,
    ):
        answers = sorted(pool.map(ask, [api] * 6))
    assert model.most == 1
    assert answers.count("ok") >= 3
    assert "1" in answers


def test_the_server_binds_to_loopback_only(monkeypatch, model):
    bound = {}
    monkeypatch.setattr("uvicorn.run", lambda app, **settings: bound.update(settings))
    run(model, NAME, 0, 1)
    assert bound["host"] == "127.0.0.1"


def test_a_mask_that_is_no_bool_is_never_sent(refused, model, monkeypatch):
    twice = torch.full((1, SIDE, 60), 2)
    monkeypatch.setattr(model, "answer", lambda image, prompts: [Answer("[SEG]", twice)])
    assert refused(request())[1]["code"] == "broken_answer"
