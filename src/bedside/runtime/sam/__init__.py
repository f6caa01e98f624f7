"""Networks of the SAM family in parts. Apart from the runtimes, which are all imported when one is asked for."""
