"""The gate: closed for everyone who shows nothing, or something wrong, on every route and socket of ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from serving import BEARER, BROWSER, SECRET, Play, on_a_socket
from starlette.routing import Route
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from easyjobs.api.site import SOCKET, Place
from easyjobs.hub.settings import HubSettings
from easyjobs.protocol.proof import authorization, parse_challenge

PUBLIC = {"/health/live", "/health/ready", "/login", "/login/login.css", "/logout"}
HELLO = json.dumps([{"t": "hello", "protocol": 1, "role": "client"}])


def our_routes(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Every method and path that our places among the host's routes serve."""
    places = [route for route in app.routes if isinstance(route, Place)]
    assert places
    routes: list[Route] = places[0].site.routes
    for route in routes:
        path = route.path
        for name, value in {"queue": "play", "task": "add", "id": "x", "worker": "x"}.items():
            path = path.replace("{" + name + "}", value)
        for method in sorted(route.methods or ()):
            yield method, path


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": SECRET},
        {"Authorization": "Basic OnNlY3JldA=="},
        {"Authorization": "EasyJobs 1.a." + "0" * 64},
        {"Cookie": "easyjobs_session=99999999999.abc.0000"},
        {"Cookie": "easyjobs_session="},
        {"Cookie": f"easyjobs_session={SECRET}"},
    ],
    ids=str,
)
async def test_every_route_is_closed_to_who_shows_nothing_that_is_right(headers: dict[str, str]) -> None:
    async def at_once(_: float) -> None:
        return

    play = Play()
    async with play.served(), play.client(headers=headers) as stranger:
        play.site._gate._sleep = at_once
        walked = set()
        for method, path in our_routes(play.app):
            answer = await stranger.request(method, path)
            if path in PUBLIC:
                assert answer.status_code in (200, 303, 401), path  # 401: the form was sent without the secret
                continue
            walked.add(path)
            assert answer.status_code == 401, (method, path)
            assert answer.headers["www-authenticate"] == 'Bearer realm="easyjobs"'
            if method != "HEAD":
                assert answer.headers["content-type"] == "application/problem+json"
        assert len(walked) > 20


async def test_paths_that_only_resemble_public_ones_are_closed() -> None:
    play = Play()
    async with play.served(), play.client(headers={}) as stranger:
        for path in (
            "/health/live/",
            "/health/live/../../api/jobs",
            "/health/live/%2e%2e/%2e%2e/api/jobs",
            "/health//live",
            "/login/",
            "/login/login.html",
            "/login/../api/jobs",
            "/api/jobs/",
            "/api/",
            "/docs/",
        ):
            answer = await stranger.get(httpx.URL("http://jobs.test", raw_path=path.encode()))
            assert answer.status_code == 401, path


async def test_the_secret_is_not_taken_from_the_url() -> None:
    play = Play()
    async with play.served(), play.client(headers={}) as stranger:
        for name in ("secret", "token", "access_token", "server_secret"):
            assert (await stranger.get("/api/jobs", params={name: SECRET})).status_code == 401


async def test_two_credentials_at_once_are_none() -> None:
    play = Play()
    async with play.served(), play.client(headers={}) as stranger:
        answer = await stranger.get(
            "/api/jobs", headers=[("Authorization", f"Bearer {SECRET}"), ("Authorization", "Bearer x")]
        )
        assert answer.status_code == 401


async def test_a_wrong_secret_is_answered_late() -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    play = Play()
    async with play.served() as http:
        play.site._gate._sleep = sleep
        assert (await http.get("/api/jobs")).status_code == 200
        assert waited == []
        assert (await http.get("/api/jobs", headers={"Authorization": "Bearer wrong"})).status_code == 401
        assert (await http.post("/login", data={"secret": "wrong"})).status_code == 401
        assert waited == [0.25, 0.25]


# -- browsers


async def log_in(browser: httpx.AsyncClient, next: str = "/docs", secret: str = SECRET) -> httpx.Response:
    return await browser.post("/login", data={"secret": secret, "next": next}, headers={"Origin": "http://jobs.test"})


async def test_a_browser_is_sent_to_the_form_and_back() -> None:
    play = Play()
    async with play.served(), play.client(headers=BROWSER) as browser:
        sent = await browser.get("/docs")
        assert (sent.status_code, sent.headers["location"]) == (303, "/login?next=/docs")
        form = await browser.get(sent.headers["location"])
        assert form.status_code == 200
        assert 'value="/docs"' in form.text
        assert (await browser.get("/login/login.css")).status_code == 200
        back = await log_in(browser)
        assert (back.status_code, back.headers["location"]) == (303, "/docs")
        cookie = back.headers["set-cookie"]
        for part in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age=43200"):
            assert part in cookie
        assert "Secure" not in cookie
        assert (await browser.get("/docs")).status_code == 200
        assert (await browser.get("/openapi.json")).status_code == 200


async def test_a_browser_that_logs_out_is_a_stranger_again() -> None:
    play = Play()
    async with play.served(), play.client(headers=BROWSER) as browser:
        await log_in(browser)
        assert (await browser.get("/docs")).status_code == 200
        foreign = await browser.post("/logout", headers={"Origin": "http://evil.test"})
        assert foreign.status_code == 403
        assert (await browser.get("/docs")).status_code == 200
        out = await browser.post("/logout", headers={"Origin": "http://jobs.test"})
        assert (out.status_code, out.headers["location"]) == (303, "/login")
        assert (await browser.get("/docs")).status_code == 303


async def test_over_https_the_cookie_is_secure_and_below_a_prefix_it_stays_there() -> None:
    play = Play(prefix="/jobs")
    async with play.served(), play.client(headers={}, base_url="https://jobs.test") as browser:
        back = await browser.post("/jobs/login", data={"secret": SECRET}, headers={"Origin": "https://jobs.test"})
        assert back.headers["location"] == "/jobs/docs"
        assert "Secure" in back.headers["set-cookie"]
        assert "Path=/jobs;" in back.headers["set-cookie"]
        assert (await browser.get("/jobs/docs")).status_code == 200


@pytest.mark.parametrize(
    "next", ["//evil.test", "https://evil.test", "/\\evil.test", "\\\\evil.test", "/\t/evil.test", "javascript:x", ""]
)
async def test_the_form_leads_to_no_other_host(next: str) -> None:
    play = Play()
    async with play.served(), play.client(headers=BROWSER) as browser:
        assert (await log_in(browser, next)).headers["location"] == "/docs"


async def test_the_form_shows_what_it_was_given_as_text() -> None:
    play = Play()
    async with play.served(), play.client(headers=BROWSER) as browser:
        form = await browser.get("/login", params={"next": '"><script>alert(1)</script>{message}'})
        assert "<script>" not in form.text
        assert "script-src 'self'" in form.headers["content-security-policy"]
        wrong = await log_in(browser, secret="wrong")
        assert wrong.status_code == 401
        assert "That is not the secret." in wrong.text
        assert "set-cookie" not in wrong.headers


@pytest.mark.parametrize(
    "origin", [None, "null", "http://evil.test", "http://jobs.test.evil.test", "http://jobs.test:81"]
)
async def test_a_cookie_writes_from_our_own_pages_only(origin: str | None) -> None:
    play = Play()
    async with play.served(), play.client(headers={}) as browser:
        await log_in(browser)
        headers = {} if origin is None else {"Origin": origin}
        foreign = await browser.post("/api/queues/play/tasks/add", json={"a": 1}, headers=headers)
        assert foreign.status_code == 403
        assert play.ran == []
        own = {"Origin": "http://jobs.test"}
        assert (await browser.post("/api/queues/play/tasks/add?wait=10", json={"a": 1}, headers=own)).status_code == 200


async def test_another_pages_form_cannot_log_a_browser_in() -> None:
    play = Play()
    async with play.served(), play.client(headers={}) as browser:
        answer = await browser.post("/login", data={"secret": SECRET}, headers={"Origin": "http://evil.test"})
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


async def test_a_changed_cookie_is_refused_and_a_neighbours_odd_one_does_no_harm() -> None:
    play = Play()
    async with play.served(), play.client(headers={}) as browser:
        await log_in(browser)
        value = browser.cookies["easyjobs_session"]
        browser.cookies.clear()
        end, token, mac = value.split(".")
        for changed in (f"{int(end) + 1}.{token}.{mac}", f"{end}.{token}.{mac[:-1]}x", f"{end}.{token}", mac):
            answer = await browser.get("/api/jobs", headers={"Cookie": f"easyjobs_session={changed}"})
            assert answer.status_code == 401
        odd = f'x={{"a": "b, c"}}; y; ="; easyjobs_session={value}'
        assert (await browser.get("/api/jobs", headers={"Cookie": odd})).status_code == 200


async def test_open_docs_opens_the_docs_and_nothing_else() -> None:
    play = Play(open_docs=True)
    async with play.served(), play.client(headers={}) as stranger:
        for path in ("/docs", "/openapi.json", "/docs/docs.js", "/docs/swagger-ui-bundle.js"):
            assert (await stranger.get(path)).status_code == 200
        assert (await stranger.get("/api/jobs")).status_code == 401


# -- no secret at all


async def test_without_a_secret_only_the_machine_itself_is_served(capsys: pytest.CaptureFixture[str]) -> None:
    play = Play(server_secret=None)
    async with play.served():
        said = capsys.readouterr().err
        secret = said.partition("manager's is ")[2].split()[0]
        assert "EASYJOBS_SECRET" in said
        bearer = {"Authorization": f"Bearer {secret}"}
        async with play.client(headers=bearer) as local:
            assert (await local.get("/api/jobs")).status_code == 200
        async with play.client(headers={}) as stranger:
            assert (await stranger.get("/api/jobs")).status_code == 401
        for address in ("192.0.2.7", "::ffff:192.0.2.7", "unix"):
            async with play.client(headers=bearer, client=(address, 1)) as far:
                for path in ("/api/jobs", "/login", "/health/live"):
                    answer = await far.get(path)
                    assert answer.status_code == 403
                    assert "EASYJOBS_SECRET" in answer.json()["detail"]


# -- sockets


def dial(where: str, path: str = SOCKET, **headers: str) -> connect:
    return connect(
        f"ws://{where}{path}", additional_headers={n.title(): v for n, v in headers.items()}, proxy=None, open_timeout=5
    )


async def refusal(dialling: connect) -> Any:
    """The answer of a server that does not accept the socket."""
    with pytest.raises(InvalidStatus) as caught:
        await dialling
    return caught.value.response


async def challenge(where: str) -> str:
    answer = await refusal(dial(where))
    assert answer.status_code == 401
    nonce = parse_challenge(answer.headers["WWW-Authenticate"])
    assert nonce is not None
    return nonce


async def closed(socket: ClientConnection) -> int | None:
    """The code with which the other side closes."""
    async with asyncio.timeout(5):
        await socket.wait_closed()
    return socket.close_code


async def test_a_socket_is_accepted_after_a_proof_which_works_once() -> None:
    play = Play()
    async with on_a_socket(play.app) as where:
        shown = authorization(SECRET, await challenge(where))
        async with dial(where, authorization=shown) as socket:
            await socket.send(HELLO)
            assert json.loads(await socket.recv())[0]["t"] == "welcome"
        replayed = await refusal(dial(where, authorization=shown))
        assert replayed.status_code == 401
        assert json.loads(replayed.body)["title"] == "Unauthorized"


async def test_wrong_proofs_leave_a_socket_closed() -> None:
    play = Play()
    async with on_a_socket(play.app) as where:
        nonce = await challenge(where)
        end, token, mac = nonce.split("-")
        longer = f"{int(end, 16) + 1_000_000:x}-{token}-{mac}"
        for shown in (
            authorization("another secret", nonce),
            authorization(SECRET, "a-nonce-of-mine"),
            authorization(SECRET, longer),
            authorization(SECRET, nonce).replace(" 1.", " 2."),
            "EasyJobs",
            f"Bearer {SECRET}x",
            SECRET,
        ):
            assert (await refusal(dial(where, authorization=shown))).status_code == 401, shown
        assert (await refusal(dial(where, f"{SOCKET}?secret=x"))).status_code == 401
        assert (await refusal(dial(where, f"{SOCKET}/other"))).status_code == 401
        async with dial(where, authorization=authorization(SECRET, nonce)):
            pass  # what was refused has not used the nonce up


async def test_a_bearer_may_be_a_client_and_no_worker() -> None:
    play = Play()
    async with on_a_socket(play.app) as where:
        async with dial(where, authorization=f"Bearer {SECRET}") as socket:
            await socket.send(HELLO)
            assert json.loads(await socket.recv())[0]["t"] == "welcome"
        async with dial(where, authorization=f"Bearer {SECRET}") as socket:
            await socket.send(HELLO.replace("client", "worker"))
            assert await closed(socket) == 4401


async def test_a_browsers_socket_must_come_from_our_own_pages() -> None:
    play = Play()
    async with on_a_socket(play.app) as where, httpx.AsyncClient(base_url=f"http://{where}") as browser:
        await browser.post("/login", data={"secret": SECRET})
        cookie = f"easyjobs_session={browser.cookies['easyjobs_session']}"
        for foreign in ({}, {"origin": "http://evil.test"}, {"origin": "null"}):
            assert (await refusal(dial(where, cookie=cookie, **foreign))).status_code == 403
        bearer = f"Bearer {SECRET}"
        assert (await refusal(dial(where, authorization=bearer, origin="http://evil.test"))).status_code == 403
        async with dial(where, cookie=cookie, origin=f"http://{where}") as socket:
            await socket.send(HELLO)
            assert json.loads(await socket.recv())[0]["t"] == "welcome"


async def test_a_socket_that_says_nothing_or_garbage_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("easyjobs.manager.manager.hub_settings", lambda _: HubSettings(hello=0.3))
    play = Play()
    async with on_a_socket(play.app) as where:
        bearer = f"Bearer {SECRET}"
        async with dial(where, authorization=bearer) as silent:
            assert await closed(silent) in (4401, 4408)
        for garbage in ("", "hello", "[]]", '[{"t":"nonsense"}]', "[" * 100_000, b"\xff\x00", '{"t":"hello"}'):
            async with dial(where, authorization=bearer) as socket:
                await socket.send(garbage)
                assert await closed(socket) == 4406, garbage
        async with dial(where, authorization=bearer) as socket:
            await socket.send(HELLO)
            await socket.recv()
            await socket.send(HELLO)
            assert await closed(socket) == 4406
        async with dial(where, authorization=bearer) as socket:
            await socket.send(b" " * (play.manager.hub.limits.frame + 1))
            assert await closed(socket) == 4413
        async with httpx.AsyncClient(base_url=f"http://{where}", headers=BEARER) as http:
            fine = await http.post("/api/queues/play/tasks/add?wait=10", json={"a": 1})
            assert fine.json()["result"] == 2, "nobody else noticed"


async def test_when_the_server_stops_its_sockets_are_told_to_come_back() -> None:
    play = Play()
    async with on_a_socket(play.app) as where:
        socket = await dial(where, authorization=f"Bearer {SECRET}")
        await socket.send(HELLO)
        await socket.recv()
    assert await closed(socket) == 1012
