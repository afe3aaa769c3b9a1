from __future__ import annotations

import copy
import errno
import os
import pickle

import pytest

from neighio import LinkAddress, errors

ERRORS = [
    errors.AdminError(errno.EEXIST),
    errors.AdminError(errno.ENOENT, "Neighbor entry not found"),
    errors.AdminError(errno.EINVAL, "Invalid link address"),
    errors.DeviceGone("eth0 was removed"),
    errors.DuplicateAddress("198.51.100.7", "eth0", LinkAddress("02:00:00:00:00:07")),
    errors.InternalError("row 7 is on two lists"),
    errors.InvalidAddress("ip: 'x' is not an IP address"),
    errors.MalformedFrame("arp_hln"),
    errors.NotPermitted("CAP_NET_RAW is missing"),
    errors.PacketDropped("the queue overflowed"),
    errors.SubscriberOverflow("fell behind"),
    errors.TableFull(),
    errors.Unreachable(),
    errors.Unreachable("198.51.100.7 did not answer on eth0"),
]


def name(error: Exception) -> str:
    return f"{type(error).__name__}-{error}"


def test_every_public_error_is_tried_here() -> None:
    tried = {base.__name__ for error in ERRORS for base in type(error).__mro__}

    assert set(errors.__all__) <= tried


@pytest.mark.parametrize("error", ERRORS, ids=name)
def test_every_error_is_a_neighio_error_with_a_message(error: Exception) -> None:
    assert isinstance(error, errors.NeighioError)
    assert str(error)
    assert "None" not in str(error)


@pytest.mark.parametrize("error", ERRORS, ids=name)
@pytest.mark.parametrize("twin", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_survives_copying_and_pickling(error: Exception, twin: object) -> None:
    assert callable(twin)
    other = twin(error)

    assert type(other) is type(error)
    assert other.args == error.args
    assert str(other) == str(error)
    assert vars(other) == vars(error)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (errors.Unreachable(), errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH)),
        (errors.Unreachable("nobody there"), errno.EHOSTUNREACH, "nobody there"),
        (errors.TableFull(), errno.ENOBUFS, "neighbour table overflow"),
        (errors.NotPermitted("CAP_NET_RAW"), errno.EPERM, "CAP_NET_RAW"),
        (errors.AdminError(errno.EINVAL), errno.EINVAL, os.strerror(errno.EINVAL)),
        (errors.AdminError(errno.EEXIST), errno.EEXIST, os.strerror(errno.EEXIST)),
        (errors.AdminError(errno.ENOENT, "No such entry"), errno.ENOENT, "No such entry"),
        (errors.AdminError(code=errno.EINVAL, text="Bad"), errno.EINVAL, "Bad"),
    ],
)
def test_an_error_of_the_system_has_its_errno_and_its_text(error: OSError, code: int, text: str) -> None:
    assert (error.errno, error.strerror) == (code, text)


@pytest.mark.parametrize(
    ("code", "exists", "absent"),
    [(errno.EEXIST, True, False), (errno.ENOENT, False, True), (errno.EPERM, False, False)],
)
def test_an_administrative_error_is_also_the_builtin_one_for_exists_and_absent(
    code: int, exists: bool, absent: bool
) -> None:
    error = errors.AdminError(code)

    assert isinstance(error, errors.AdminError)
    assert isinstance(error, FileExistsError) is exists
    assert isinstance(error, FileNotFoundError) is absent


def test_builtin_handlers_catch_what_they_stand_for() -> None:
    assert issubclass(errors.InvalidAddress, ValueError)
    assert issubclass(errors.NotPermitted, PermissionError)
    assert issubclass(errors.Unreachable, OSError)
    assert issubclass(errors.TableFull, OSError)


def test_a_malformed_frame_names_its_counter() -> None:
    assert errors.MalformedFrame("arp_pln").reason == "arp_pln"
