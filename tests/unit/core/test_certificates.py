import pytest

from gateway.core.certificates import CertificateMatch
from tests.unit.core.test_policy import CERTIFICATE, EVERYTHING


class TestCertificateMatch:
    @pytest.mark.parametrize("name", EVERYTHING)
    def test_each_value_alone_fits(self, name: str) -> None:
        assert CertificateMatch(**{name: EVERYTHING[name]}).fits(CERTIFICATE)

    def test_all_values_together_fit(self) -> None:
        assert CertificateMatch(**EVERYTHING).fits(CERTIFICATE)

    @pytest.mark.parametrize("name", EVERYTHING)
    def test_one_value_that_differs_does_not_fit(self, name: str) -> None:
        assert not CertificateMatch(**EVERYTHING | {name: "another"}).fits(CERTIFICATE)

    @pytest.mark.parametrize("value", ["acme.example", "*.acme.example", "casino.acme.example.", "asino.acme.example"])
    def test_names_are_compared_whole(self, value: str) -> None:
        assert not CertificateMatch(san_dns=value).fits(CERTIFICATE)

    def test_a_match_without_values_fits_nothing(self) -> None:
        assert not CertificateMatch().fits(CERTIFICATE)
