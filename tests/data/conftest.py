from tests.support.sharded import sharded  # noqa: F401
from tests.support.threads import *  # noqa: F403
