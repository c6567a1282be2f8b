import os
from uuid import UUID

from gateway.engine.request_id import new_request_id


def test_an_id_is_a_random_uuid() -> None:
    made = [UUID(new_request_id()) for _ in range(200)]
    assert len(set(made)) == 200
    assert all(one.version == 4 and one.variant == "specified in RFC 4122" for one in made)


def test_a_child_does_not_make_its_parents_ids() -> None:
    new_request_id()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, new_request_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 100).decode() != new_request_id()
    os.close(reading)
    os.close(writing)
