from tests.support.sharded import sharded  # noqa: F401
from tests.support.training import *  # noqa: F403
