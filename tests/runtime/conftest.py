from tests.support.exported import *  # noqa: F403
