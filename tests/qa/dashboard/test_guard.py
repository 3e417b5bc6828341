import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from qa.dashboard.guard import COOKIE, Guard, check_address
from schemas.errors import UsageError

TOKEN = "correct horse battery"


async def inner(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "hello"})
    else:
        await PlainTextResponse("secret")(scope, receive, send)


def client(host="127.0.0.1", token="", at="127.0.0.1", scheme="http"):
    return TestClient(Guard(inner, host, token), base_url=f"{scheme}://{at}:8090")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_a_loopback_name_is_served(host):
    answer = client(at=host).get("/")
    assert answer.text == "secret"


def test_every_answer_lets_the_page_load_nothing_from_elsewhere():
    for answer in (client().get("/"), client(token=TOKEN).get("/")):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "http" not in policy
        assert "*" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1"])
def test_a_foreign_name_that_resolves_here_is_refused(host):
    assert client(at=host).get("/").status_code == 403


def test_another_sites_page_may_not_ask():
    for origin in ("http://evil.example", "http://127.0.0.1:1234", "null"):
        assert client().get("/", headers={"origin": origin}).status_code == 403
    assert client().get("/", headers={"origin": "http://127.0.0.1:8090"}).status_code == 200


def test_a_token_opens_and_a_cookie_stands_for_it():
    visitor = client("0.0.0.0", TOKEN, "dashboard.lan")
    assert visitor.get("/").status_code == 401
    assert visitor.get("/?token=wrong").status_code == 401
    assert visitor.get("/?token=%C3%A9").status_code == 401
    welcomed = visitor.get(f"/records?token={TOKEN}&x=1", follow_redirects=False)
    assert welcomed.status_code == 303
    assert welcomed.headers["location"] == "/records"
    assert "httponly" in welcomed.headers["set-cookie"].lower()
    assert TOKEN not in welcomed.headers["set-cookie"]
    assert visitor.get("/").text == "secret"
    assert client("0.0.0.0", TOKEN).get("/", headers={"cookie": f"{COOKIE}=x"}).status_code == 401


def test_behind_a_proxy_the_token_opens_and_the_cookie_is_for_encrypted_connections():
    visitor = client(token=TOKEN, at="qa.example.org", scheme="https")
    assert visitor.get("/").status_code == 401
    welcomed = visitor.get(f"/?token={TOKEN}", follow_redirects=False)
    assert "; secure" in welcomed.headers["set-cookie"].lower()
    assert visitor.get("/", headers={"origin": "https://qa.example.org:8090"}).text == "secret"
    assert visitor.get("/", headers={"origin": "https://evil.example"}).status_code == 403
    plain = client(token=TOKEN).get(f"/?token={TOKEN}", follow_redirects=False)
    assert "secure" not in plain.headers["set-cookie"].lower()


def test_cookies_of_others_on_the_host_do_no_harm():
    visitor = client(token=TOKEN)
    welcomed = visitor.get(f"/?token={TOKEN}", follow_redirects=False)
    ours = welcomed.headers["set-cookie"].partition(";")[0]
    for odd in ("a[0]=1", 'b={"x": 1, "y": 2}', "noname", "c@d=é"):
        for shown in (f"{odd}; {ours}", f"{ours}; {odd}"):
            headers = {"cookie": shown.encode()}
            assert client(token=TOKEN).get("/", headers=headers).text == "secret", shown


def test_an_unreadable_host_or_origin_is_refused():
    for headers in ({"host": "["}, {"origin": "http://["}):
        for token in ("", TOKEN):
            assert client(token=token).get("/", headers=headers).status_code == 403


def test_websockets_are_guarded_alike():
    with client().websocket_connect("ws://127.0.0.1:8090/") as socket:
        assert socket.receive_text() == "hello"
    refused = [
        (client(token=TOKEN), "127.0.0.1", {}),
        (client(), "127.0.0.1", {"origin": "http://evil.example"}),
        (client(), "evil.example", {}),
    ]
    for visitor, host, headers in refused:
        asked = visitor.websocket_connect(f"ws://{host}:8090/", headers=headers)
        with pytest.raises(WebSocketDisconnect), asked:
            pass


def test_an_address_that_others_reach_needs_a_long_token():
    check_address("127.0.0.1", "")
    check_address("0.0.0.0", TOKEN)
    with pytest.raises(UsageError, match="can be reached by others"):
        check_address("0.0.0.0", "")
    with pytest.raises(UsageError, match="too short"):
        check_address("127.0.0.1", "short")
