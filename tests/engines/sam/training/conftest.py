from tests.support.sam_training import *  # noqa: F403
