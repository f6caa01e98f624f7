from tests.support.networks import *  # noqa: F403
