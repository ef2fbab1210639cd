"""Which requests name this machine."""

from __future__ import annotations

import socket

import pytest

from fastpong.board.guard import is_loopback, is_this_machine


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:2600",
        "127.9.9.9",
        "localhost",
        "LocalHost:80",
        "[::1]",
        "[::1]:2600",
    ],
)
def test_names_of_the_loopback(host: str) -> None:
    assert is_this_machine(host, "127.0.0.1")
    assert is_this_machine(host, "::1")


@pytest.mark.parametrize(
    "host",
    [
        "", "evil.example", "evil.example:2600", "127.0.0.1.evil.example", "localhost.evil.example",
        "evil.example#localhost", "192.168.0.5", "[::2]:2600", "[127.0.0.1", "0.0.0.0",
        "localhost evil.example", "user@evil.example", "2130706433", "::ffff:evil",
    ],
)  # fmt: skip
def test_other_names_are_refused(host: str) -> None:
    assert not is_this_machine(host, "127.0.0.1")


def test_elsewhere_addresses_and_its_own_name() -> None:
    own = socket.gethostname()
    for host in ("192.168.0.5:2600", "[fe80::1]", "localhost", own, f"{own}:2600"):
        assert is_this_machine(host, "0.0.0.0")
    assert is_this_machine("board.example:80", "board.example")
    assert not is_this_machine("evil.example", "0.0.0.0")
    assert not is_this_machine(own + ".evil.example", "0.0.0.0")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True),
        ("0.0.0.0", False), ("::", False), ("192.168.0.5", False), ("board.example", False),
    ],
)  # fmt: skip
def test_addresses_that_only_this_machine_reaches(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
