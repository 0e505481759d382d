"""Property tests have no deadline: how long an example takes says more of the machine than of the code."""

from hypothesis import settings

settings.register_profile("tandem", deadline=None)
settings.load_profile("tandem")
