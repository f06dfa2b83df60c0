"""Addresses: one spelling for each host."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protokeep.core.addresses import both_spellings, is_loopback, network_of, plain_address


@pytest.mark.parametrize(
    ("text", "address", "network"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("::FFFF:c000:201", "192.0.2.1", "192.0.2.1"),
        ("2001:DB8::1", "2001:db8::1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::1%eth0", "fe80::/64"),
        ("", "", ""),
        ("unix\x1b[31m socket", "unix[31msocket", "unix[31msocket"),
        ("x" * 5000, "x" * 64, "x" * 64),
    ],
)
def test_an_ipv4_address_is_ipv4_however_a_socket_spells_it(text: str, address: str, network: str) -> None:
    """
    A dual-stack socket's spelling is the address itself, so that its clients do not share one limit.
    """
    assert (plain_address(text), network_of(text)) == (address, network)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1", "localhost"])
def test_loopback_is_loopback_in_every_spelling(host: str) -> None:
    """
    Only this machine reaches these.
    """
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["::", "::ffff:0.0.0.0", "192.0.2.1", "::ffff:192.0.2.1", "example.com", ""])
def test_other_addresses_are_not_loopback(host: str) -> None:
    """
    Others may reach these.
    """
    assert not is_loopback(host)


def test_a_trusted_proxy_is_trusted_in_both_spellings() -> None:
    """
    A dual-stack socket spells an IPv4 proxy as IPv6, and an operator may write either.
    """
    assert both_spellings(["10.1.2.3/8", "::1"]) == ["10.0.0.0/8", "::ffff:a00:0/104", "::1/128"]
    assert both_spellings(["::ffff:10.0.0.1"]) == ["10.0.0.1/32", "::ffff:a00:1/128"]


@given(st.text(max_size=80) | st.ip_addresses().map(str))
def test_no_text_for_an_address_breaks_anything(text: str) -> None:
    """
    What a proxy writes for a client is somebody else's text: it becomes short and printable.
    """
    for plain in (plain_address(text), network_of(text)):
        assert len(plain) <= 64
        assert plain.isprintable()
    assert plain_address(plain_address(text)) == plain_address(text)
    assert is_loopback(text) in (True, False)
