from gateway.core.publication import AuditSettings, Witness


def test_a_witness_signs_by_the_name_of_its_key() -> None:
    assert Witness("https://witness.example/log", "witness.example/w1+12345678+BAAA").name == "witness.example/w1"


def test_without_settings_nothing_leaves_the_machine() -> None:
    settings = AuditSettings()
    assert (settings.copies, settings.witnesses, settings.durable) == ((), (), False)
