"""Faults strike as many connections as asked, one each, oldest first."""

from waton.lab.faults import NO_FAULT, Defect, Fault, Faults, Harm, Moment


def test_faults_are_taken_in_order_and_run_out() -> None:
    faults = Faults()
    bad_key = Fault.certificate(Defect.LEAF_KEY)
    garbage = Fault.frame(Harm.GARBAGE, Moment.SUCCESS)
    faults.next(bad_key, connections=2)
    faults.next(garbage)
    assert [faults.take() for _ in range(4)] == [bad_key, bad_key, garbage, NO_FAULT]


def test_a_frame_fault_strikes_at_its_moment_only() -> None:
    fault = Fault.frame(Harm.CLOSE, Moment.PAIR_SUCCESS)
    assert [moment for moment in (*Moment, None) if fault.strikes(moment)] == [Moment.PAIR_SUCCESS]
    assert not any(NO_FAULT.strikes(moment) for moment in (*Moment, None))
