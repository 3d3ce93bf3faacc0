"""Values that are plainly made up: the same for the same original, and no way back.

Each comes from a keyed hash, from ranges that belong to nobody: numbers 555-01xx,
example.org, the documentation networks of RFC 5737 and RFC 3849, check digits that
cannot be.
"""

from __future__ import annotations

from hashlib import blake2b

_BEGINNINGS = ["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z"]
_VOWELS = ["a", "e", "i", "o", "u"]


def fake(kind: str, original: str, key: bytes) -> str:
    """A made-up value.

    Args:
        kind: the type of personal data.
        original: what it stands in for; case and separators do not matter.
        key: a secret of at most 64 bytes.
    """
    told = "".join(c for c in original.casefold() if c.isalnum()) or original
    number = int.from_bytes(blake2b(f"{kind}:{told}".encode(), key=key, digest_size=8).digest())
    tail = number % 10_000
    match kind:
        case "email":
            return f"{_word(number)}{tail % 100}@example.org"
        case "phone":
            lead = "+1 202" if original.startswith("+") else "202"
            return f"{lead} 555 01{tail % 100:02}".replace(" ", "-" if "-" in original else " ")
        case "address":
            return f"{tail % 200 + 1} Example Street"
        case "ip" if ":" in original:
            return f"2001:db8::{number % 0xFFFF:x}:{tail % 255 + 1:x}"
        case "ip":
            return f"192.0.2.{number % 254 + 1}"
        case "card":
            return f"0000 0000 {number // 10_000 % 10_000:04} {tail:04}"
        case "iban":
            return f"XX00 0000 0000 {number // 10_000 % 10_000:04} {tail:04}"
        case "id":
            return f"000-00-{tail:04}"
        case "token":
            return f"example-token-{number % 0xFFFFFF:06x}"
        case "password":
            return f"example-{_word(number)}{tail % 100}"
        case "location":
            return f"0.{tail % 1000:03}1, -0.{number // 10_000 % 1000:03}1"
        case "invite":
            return f"https://example.org/invite/{_word(number)}"
        case _:
            return f"[{kind.replace('-', ' ')}]"


def _word(number: int) -> str:
    """Three syllables."""
    word = ""
    for _ in range(3):
        number, consonant = divmod(number, len(_BEGINNINGS))
        number, vowel = divmod(number, len(_VOWELS))
        word += _BEGINNINGS[consonant] + _VOWELS[vowel]
    return word
