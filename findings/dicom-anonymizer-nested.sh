#!/bin/sh
# dicom-anonymizer applies PS3.15's table to the outermost attributes alone: names and dates within sequences stay.
#
# PS3.15 E.1 holds for attributes at every depth. dicom-anonymizer 2.1.0 goes through its table and looks each attribute up in
# the data set itself; items of a sequence that the table does not name are left as they are, and so are UIDs in them, so
# that a segmentation refers to the old instances.
#
# Seen with dicom-anonymizer 2.1.0, pydicom 3.0.2 (Python 3.11):
#   outermost '', in an item 'Quixote'
#
# Exits nonzero where this has changed. Bedside takes the table alone (src/bedside/io/dicom/phi.py).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q dicom-anonymizer==2.1.0 pydicom==3.0.2 2>&1 | grep -v WARNING || true
"$folder/venv/bin/python" <<'PYTHON'
from dicomanonymizer import anonymize_dataset
from dicomanonymizer.simpledicomanonymizer import initialize_actions
from pydicom.dataset import Dataset

item, whole = Dataset(), Dataset()
item.PatientName = whole.PatientName = "Quixote"
whole.PerFrameFunctionalGroupsSequence = [item]
anonymize_dataset(whole, base_rules_gen=lambda: initialize_actions("dicomfields_2026c"))
inner = whole.PerFrameFunctionalGroupsSequence[0].PatientName
print(f"outermost '{whole.PatientName}', in an item '{inner}'")
assert whole.PatientName != "Quixote" and inner == "Quixote"
PYTHON
