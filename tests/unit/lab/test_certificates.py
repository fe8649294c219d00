"""The lab's chain is good for the verifier, and each defect is refused for its own reason."""

import pytest

from tests.unit.lab.worlds import NOW, SeededEntropy
from waton.errors import HandshakeError, HandshakeStep
from waton.lab.certificates import Authority
from waton.lab.database import Database
from waton.lab.faults import Defect
from waton.protocol.noise import verify_chain

REFUSED_AT = {
    Defect.UNKNOWN_ROOT: HandshakeStep.INTERMEDIATE_SIGNATURE,
    Defect.INTERMEDIATE_SIGNATURE: HandshakeStep.INTERMEDIATE_SIGNATURE,
    Defect.LEAF_SIGNATURE: HandshakeStep.LEAF_SIGNATURE,
    Defect.INTERMEDIATE_ISSUER: HandshakeStep.CERTIFICATE_ROOT,
    Defect.LEAF_ISSUER: HandshakeStep.LEAF_ISSUER,
    Defect.LEAF_KEY: HandshakeStep.LEAF_KEY,
    Defect.DATES: HandshakeStep.CERTIFICATE_DATES,
}


@pytest.fixture
def authority() -> Authority:
    return Authority.of(Database(None), SeededEntropy())


def test_the_sound_chain_verifies(authority: Authority) -> None:
    chain = authority.chain(NOW, SeededEntropy("chain"))
    leaf, intermediate = verify_chain(chain, server_static=authority.static.public, root=authority.root.public, now=NOW)
    assert leaf.key == authority.static.public
    assert intermediate.key == authority.intermediate.public


@pytest.mark.parametrize("defect", Defect)
def test_each_defect_is_refused_at_its_step(authority: Authority, defect: Defect) -> None:
    chain = authority.chain(NOW, SeededEntropy("chain"), defect)
    with pytest.raises(HandshakeError) as refused:
        verify_chain(chain, server_static=authority.static.public, root=authority.root.public, now=NOW)
    assert refused.value.step is REFUSED_AT[defect]


def test_the_keys_are_kept_with_the_world() -> None:
    database = Database(None)
    first = Authority.of(database, SeededEntropy("one"))
    assert Authority.of(database, SeededEntropy("two")).root.public == first.root.public
    assert Authority.of(Database(None), SeededEntropy("two")).root.public != first.root.public
