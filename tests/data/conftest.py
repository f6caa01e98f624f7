from tests.support.threads import *  # noqa: F403
