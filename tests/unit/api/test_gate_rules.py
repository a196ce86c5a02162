"""The gate by itself: who passes with what, and how wrong guesses are slowed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hand_clock import HandClock

from easyjobs.api.gate import CLIENTS, MOST_PUNISHED, PEERS, PUBLIC, Gate
from easyjobs.errors import Forbidden, Unauthorized
from easyjobs.ids import Ids
from easyjobs.protocol.messages import Held
from easyjobs.protocol.proof import attempt_authorization, authorization, parse_challenge

SECRET = "sécret \N{SNOWMAN} with odd characters"


class Doorman:
    """A gate whose waiting is counted."""

    def __init__(self, **options: Any) -> None:
        self.waited: list[float] = []
        self.hold: asyncio.Event | None = None
        self.gate = Gate(
            SECRET, clock=HandClock(), ids=Ids(1), public=frozenset(("/open",)), sleep=self._sleep, **options
        )

    async def _sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        if self.hold is not None:
            await self.hold.wait()

    async def admit(self, path: str = "/closed", *, kind: str = "http", method: str = "GET", **headers: str) -> Any:
        scope: dict[str, Any] = {
            "type": kind,
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
        }
        if kind == "http":
            scope["method"] = method
        return await self.gate.admit(scope, path)


async def test_public_paths_are_matched_exactly() -> None:
    door = Doorman()
    assert await door.admit("/open") is PUBLIC
    for path in ("/open/", "/open/x", "/OPEN", "/opens", "", "open", "/open?x"):
        with pytest.raises(Unauthorized):
            await door.admit(path)


async def test_the_secret_passes_whatever_characters_it_has() -> None:
    door = Doorman()
    who = await door.admit(authorization=f"bearer  {SECRET} ")
    assert (who.by, who.roles) == ("api@127.0.0.1", CLIENTS)
    assert door.waited == []


async def test_a_wrong_credential_is_not_forgiven_for_a_right_cookie() -> None:
    door = Doorman()
    cookie = f"easyjobs_session={door.gate.sessions.make()}"
    assert (await door.admit(cookie=cookie)).by == "browser@127.0.0.1"
    with pytest.raises(Unauthorized):
        await door.admit(cookie=cookie, authorization="Bearer wrong")


async def test_a_proof_opens_a_socket_and_no_request() -> None:
    door = Doorman()
    nonce = parse_challenge(door.gate.challenge())
    assert nonce is not None
    shown = authorization(SECRET, nonce)
    with pytest.raises(Unauthorized):
        await door.admit(authorization=shown)
    assert (await door.admit(kind="websocket", authorization=shown)).roles == PEERS


async def test_an_old_proof_is_refused() -> None:
    door = Doorman()
    nonce = parse_challenge(door.gate.challenge())
    assert nonce is not None
    door.gate._clock.now += 61  # type: ignore[attr-defined]
    with pytest.raises(Unauthorized):
        await door.admit(kind="websocket", authorization=authorization(SECRET, nonce))


async def test_reads_with_a_cookie_need_no_origin_and_writes_do() -> None:
    door = Doorman()
    cookie = f"easyjobs_session={door.gate.sessions.make()}"
    for method in ("GET", "HEAD", "OPTIONS"):
        await door.admit(method=method, cookie=cookie, host="here:8220")
    for method in ("POST", "PUT", "PATCH", "DELETE", "ODD"):
        with pytest.raises(Forbidden):
            await door.admit(method=method, cookie=cookie, host="here:8220")
        await door.admit(method=method, cookie=cookie, host="here:8220", origin="https://HERE:8220")
    with pytest.raises(Forbidden):
        await door.admit(method="POST", cookie=cookie, origin="http://")


async def test_at_most_so_many_wrong_guesses_wait_and_nobody_else_is_held_up() -> None:
    door = Doorman()
    door.hold = asyncio.Event()

    async def guess() -> None:
        with pytest.raises(Unauthorized):
            await door.admit(authorization="Bearer guess")

    guesses = [asyncio.create_task(guess()) for _ in range(3 * MOST_PUNISHED)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(door.waited) == MOST_PUNISHED
    assert sum(not one.done() for one in guesses) == MOST_PUNISHED
    assert await door.admit(authorization=f"Bearer {SECRET}")
    door.hold.set()
    await asyncio.gather(*guesses)


@pytest.mark.parametrize(
    ("address", "passes"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("10.0.0.1", False), ("::", False), ("", False)],
)
async def test_a_local_gate_knows_its_own_machine(address: str, passes: bool) -> None:
    gate = Doorman(local_only=True).gate
    scope = {"type": "http", "method": "GET", "headers": [], "client": (address, 1)}
    if passes:
        assert await gate.admit(scope, "/open") is PUBLIC
    else:
        with pytest.raises(Forbidden):
            await gate.admit(scope, "/open")
    with pytest.raises(Forbidden):
        await gate.admit({**scope, "client": None}, "/open")


async def test_a_child_process_passes_with_the_token_of_its_attempt_and_is_nothing_else() -> None:
    mine = Held("019a0000-0000-7000-8000-00000000000a", 2, "abc")

    async def known(attempt: Held) -> bool:
        return attempt == mine

    door = Doorman(children=known)
    who = await door.admit(kind="websocket", authorization=attempt_authorization(mine))
    assert (who.roles, who.attempt) == (frozenset(("child",)), mine)
    for wrong in (Held(mine.job, 2, "abd"), Held(mine.job, 1, "abc")):
        with pytest.raises(Unauthorized):
            await door.admit(kind="websocket", authorization=attempt_authorization(wrong))
    assert len(door.waited) == 2
    with pytest.raises(Unauthorized):  # a token of one attempt opens no page
        await door.admit(authorization=attempt_authorization(mine))


async def test_a_gate_without_children_knows_no_attempt() -> None:
    with pytest.raises(Unauthorized):
        await Doorman().admit(
            kind="websocket",
            authorization=attempt_authorization(Held("019a0000-0000-7000-8000-00000000000a", 1, "abc")),
        )
