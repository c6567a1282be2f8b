"""Currencies and amounts as a policy has them: exact, in whole minor units."""

import re
from collections.abc import Mapping

from gateway.policy.problem import quoted
from gateway.policy.values import Unfit

MAX_DIGITS = 8
"""Decimals of a currency: those of Bitcoin."""

MAX_SUM = 9_000_000_000_000_000
"""Minor units: what a double still counts exactly, with room for one amount more."""

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9]{2,7}\Z")
_SUM = re.compile(r"(?P<whole>[0-9][0-9_]{0,17})(?:\.(?P<part>[0-9]{1,8}))? (?P<code>\S+)\Z")

_OTHER_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_TWO_DIGITS = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP "
    "CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR "
    "JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN "
    "NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP "
    "SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD YER ZAR ZMW ZWG"
)
ISO_DIGITS: Mapping[str, int] = {
    **dict.fromkeys(_TWO_DIGITS.split(), 2),
    **{code: digits for digits, codes in _OTHER_DIGITS.items() for code in codes.split()},
}
"""Decimals of the currencies of ISO 4217."""


def code(text: str) -> str:
    """Read a currency's code."""
    if not _CODE.match(text):
        raise Unfit(f"{quoted(text)} is no currency", "expected a code such as EUR")
    return text


def amount(text: str, own: Mapping[str, int]) -> tuple[str, int]:
    """Read `5000.00 EUR`: the currency, and its minor units. `own` are decimals that the policy states itself."""
    match = _SUM.match(text)
    if match is None:
        raise Unfit(f"{quoted(text)} is no amount", "expected one such as 5000.00 EUR")
    currency = code(match["code"])
    digits = own.get(currency, ISO_DIGITS.get(currency))
    if digits is None:
        raise Unfit(f"{quoted(currency)} is no currency of ISO 4217", f"state its decimals: digits: {{{currency}: 8}}")
    part = match["part"] or ""
    if len(part) > digits:
        raise Unfit(f"{quoted(text)} has more decimals than {currency}, which has {digits}")
    units = int(match["whole"].replace("_", "") + part.ljust(digits, "0"))
    if not 0 < units <= MAX_SUM:
        raise Unfit(f"{quoted(text)} is no limit", "expected more than zero, and less than can be counted exactly")
    return currency, units
