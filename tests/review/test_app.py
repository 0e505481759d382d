"""The App's parts that need no browser."""

import socket

import pytest

from tandem.errors import ReviewError
from tandem.review import app


def test_a_port_that_is_taken_is_an_error_that_says_so():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(ReviewError, match=rf"the App cannot be at 127.0.0.1:{port} \(.*\); take another --port"),
            app.launch_app(None, None, address="127.0.0.1", port=port),
        ):
            pass
