"""Masking: what is personal goes and is counted, what the company published stays, and masking is idempotent."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.curation.pii import KINDS, is_card, is_iban, mask, published
from ingest.records import Chunk

IBANS = [
    "DE89 3704 0044 0532 0130 00",
    "GB29NWBK60161331926819",
    "NL91 ABNA 0417 1643 00",
    "FR1420041010050500013M02606",
]
CARDS = ["4111 1111 1111 1111", "5500-0000-0000-0004", "340000000000009", "6011000000000004"]


@pytest.mark.parametrize(
    ("text", "masked", "counts"),
    [
        ("Write to anna.berg+x@corp.example.", "Write to <mail>.", {"mail": 1}),
        ("Call +31 10 555 0142 today", "Call <phone> today", {"phone": 1}),
        ("0049 (0)221 123 4567", "<phone>", {"phone": 1}),
        ("(call +31 10 555 0140)", "(call <phone>)", {"phone": 1}),
        ("020 7946 0958, (303) 555-0142 or 303-555-0142", "<phone>, <phone> or <phone>", {"phone": 3}),
        ("+1 (303) 555-0100 ext. 12", "<phone> ext. 12", {"phone": 1}),
        ("Pay DE89 3704 0044 0532 0130 00 now", "Pay <iban> now", {"iban": 1}),
        ("my card 4111 1111 1111 1111 is lost", "my card <card> is lost", {"card": 1}),
        ("4111 1111 1111 1111 12/27 123", "<card> 12/27 123", {"card": 1}),
        ("DE89 3704 0044 0532 0130 00 BIC COBADEFF", "<iban> BIC COBADEFF", {"iban": 1}),
        ("de89370400440532013000 GB29NWBK60161331926819", "<iban> <iban>", {"iban": 2}),
        ("Ask Dr. Eva Lindqvist. Lindqvist knows.", "Ask Dr. <name>. <name> knows.", {"name": 2}),
        ("Name: Jane O'Neill", "Name: <name>", {"name": 1}),
        ("Hi Anna, the VPN is down", "Hi <name>, the VPN is down", {"name": 1}),
        ("It works.\n\nKind regards,\nTom van den Berg\n", "It works.\n\nKind regards,\n<name>\n", {"name": 1}),
        ("my name is Zoë Straßer.", "my name is <name>.", {"name": 1}),
        ("jane.doe@x.example says Jane left; ask Doe", "<mail> says <name> left; ask <name>", {"mail": 1, "name": 2}),
        ("Tom's laptop. This is Tom speaking", "<name>'s laptop. This is <name> speaking", {"name": 2}),
    ],
)
def test_personal_data_is_masked_and_counted_by_kind(text: str, masked: str, counts: dict[str, int]) -> None:
    found = mask(text)
    assert (found.text, dict(found.counts)) == (masked, counts)


@pytest.mark.parametrize(
    "text",
    [
        "Call the Service Desk on ext. 4911 or extension 4000.",
        "Error 809 on port 4500, version 7.2.4, host 10.0.0.12",
        "On 01.02.2025 from 08:00-17:30, or 2025-11-21 10:00, or 06.00-08.00",
        "Order 1234567890123456, ticket INC0012345678, invoice 2025/000123456",
        "GB29NWBK60161331926810 has a wrong checksum",
        "Dear Team, thank you very much. Hello Service Desk! Hi there, hi all.",
        "I'm German. This is Friday. This is important, Will. Mark the date in March.",
        "servicedesk@ is no address, nor is @brightwater or a@b",
        "1,200 euros, 30% and 12.50",
        "Contract 202208-3090-003",
        "Write to press@ or see the Press office, TTS",
        "",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert mask(text) == mask(text).__class__(text, mask("").counts)


def test_what_the_company_published_for_everyone_stays_however_it_is_written() -> None:
    text = "Write to ServiceDesk@corp.example or call +31 10 555 0142."
    open_, closed = (Chunk("c", "d", "", "", None, 0, len(text), text, frozenset({one})) for one in ("everyone", "hr"))
    asked = (
        "I called 0031 10-5550142, then +31 (10) 555 0142, and wrote to servicedesk@corp.example and to me@home.example"
    )
    assert mask(asked, published([open_])).text.endswith(
        "+31 (10) 555 0142, and wrote to servicedesk@corp.example and to <mail>"
    )
    assert mask(asked, published([closed])).counts == {"mail": 2, "phone": 2}


def test_names_that_are_known_are_masked_where_they_are_written_as_names() -> None:
    found = mask("Will said that Grace will come, with good grace", names=["Grace Hill"])
    assert found.text == "Will said that <name> will come, with good grace"


@pytest.mark.parametrize("iban", IBANS)
def test_an_iban_is_known_by_its_checksum(iban: str) -> None:
    assert is_iban(iban)
    assert not is_iban(iban[:-1] + ("1" if iban[-1] != "1" else "2"))


@pytest.mark.parametrize("card", CARDS)
def test_a_card_is_known_by_its_checksum(card: str) -> None:
    assert is_card(card)
    assert not is_card(card[:-1] + str((int(card[-1]) + 1) % 10))


@given(st.sampled_from(["DE", "NL", "GB", "NO"]), st.text("ABCD0123456789", min_size=4, max_size=20), st.booleans())
def test_every_account_with_a_right_checksum_is_masked(country: str, account: str, grouped: bool) -> None:
    account = f"{account}04170164"
    digits = "".join(str(int(one, 36)) for one in f"{account}{country}00")
    iban = f"{country}{98 - int(digits) % 97:02}{account}"
    shown = " ".join(re.findall(".{1,4}", iban)) if grouped else iban
    assert mask(f"to {shown}, please").text == "to <iban>, please"


@given(
    st.sampled_from(["4", "51", "55", "6"]),
    st.text("0123456789", min_size=14, max_size=14),
    st.sampled_from(["", " ", "-"]),
)
def test_every_card_with_a_right_checksum_is_masked(first: str, middle: str, between: str) -> None:
    middle = middle[: 15 - len(first)]
    digits = next(f"{first}{middle}{last}" for last in "0123456789" if is_card(f"{first}{middle}{last}"))
    shown = between.join(re.findall(".{1,4}", digits))
    assert mask(f"card {shown}.").text == "card <card>."


SIGNS = st.lists(
    st.sampled_from(
        [
            *IBANS,
            *CARDS,
            "Hi",
            "Dear",
            "Name:",
            "Anna",
            "van",
            "Berg",
            ",",
            ".",
            "\n",
            "regards",
            "Dr.",
            "<mail>",
            "<name>",
            "a.b@c.example",
        ]
        + ["+31 10 555 0142", "01.02.2025", "ext. 4911", "this is", "Tom", "'s", "-", "(0)"]
    ),
    max_size=12,
)


@given(SIGNS.map(" ".join) | st.text(max_size=80))
def test_masking_is_idempotent_and_counts_what_it_puts_in(text: str) -> None:
    once = mask(text)
    twice = mask(once.text)
    assert twice.text == once.text
    assert not twice.counts
    for kind in KINDS:
        assert once.text.count(f"<{kind}>") - text.count(f"<{kind}>") == once.counts[kind]


@given(st.text(max_size=200))
def test_no_account_card_or_address_is_left(text: str) -> None:
    left = mask(text).text
    assert not [one for one in re.findall(r"[\w.]+@[\w-]+\.[a-z]{2,}\b", left, re.ASCII) if re.fullmatch(r"\w.*", one)]


def test_a_long_line_of_anything_takes_no_time() -> None:
    for text in (
        "1" * 200_000,
        "a@" * 10_000,
        "Aa " * 7_000,
        "+1 " * 7_000,
        "DE89" * 5_000,
        "a." * 10_000,
        "Hi " * 7_000,
    ):
        mask(text)
