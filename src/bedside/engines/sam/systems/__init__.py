"""What is particular to each system of the SAM family: how it sees an image, what it is asked, how it is followed."""
