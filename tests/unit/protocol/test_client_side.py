"""What is a client's own: its greeting, and a ping where nothing else was said. The rest is in test_peer.py."""

from __future__ import annotations

from paper_manager import Conversation

from easyjobs.protocol.client_side import ClientSide
from easyjobs.protocol.messages import PROTOCOL, Ping, Submission, Submit


def test_a_client_greets_as_one() -> None:
    hello = Conversation(ClientSide("reports", "1.0")).greet()
    assert (hello.protocol, hello.role, hello.name, hello.version) == (PROTOCOL, "client", "reports", "1.0")


def test_a_child_process_greets_as_what_it_is() -> None:
    assert Conversation(ClientSide("sum", "1.0", "child")).greet().role == "child"


def test_a_client_that_says_nothing_pings_once_a_heartbeat() -> None:
    client = ClientSide()
    talk = Conversation(client)
    talk.connect()
    assert talk.wait(client.limits.heartbeat) is None
    assert talk.hear() == [Ping()]


def test_any_word_stands_in_for_a_ping() -> None:
    client = ClientSide()
    talk = Conversation(client)
    talk.connect()
    heartbeat = client.limits.heartbeat
    talk.wait(heartbeat * 0.9)
    client.submit([Submission("a", "q", "t")])
    talk.hear_only(Submit)
    talk.wait(heartbeat * 0.9)
    assert talk.hear() == []
