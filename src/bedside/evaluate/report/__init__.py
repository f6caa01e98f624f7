"""An evaluation as one HTML page that needs no other file, and a folder of pictures; needs the extra ``[evaluate]``."""
