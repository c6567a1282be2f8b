from gateway.core.counters import PartnerCounters, mark_of


def test_a_mark_is_of_one_partner_on_one_route_of_one_policy() -> None:
    marks = {mark_of(*each) for each in (("psp", "a", "x"), ("psp", "a", "y"), ("psp", "b", "x"), ("pam", "a", "x"))}
    assert len(marks) == 4
    assert all(len(mark) == 16 for mark in marks)
    assert PartnerCounters("psp", "a", "x", (), mixed=True).mark == mark_of("psp", "a", "x")
