"""What holds for all tests."""

import signal

from hypothesis import settings

# How long an example takes says more of the machine than of the code.
settings.register_profile("tandem", deadline=None)
settings.load_profile("tandem")

# A shell starts what runs in the background with Ctrl-C ignored, and the children of the tests would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """The slow tests first, so that no worker is left with one of them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
