#!/bin/sh
# safetensors writes the same tensors and metadata as different bytes: the order of the metadata's keys changes from process to process.
#
# The header's tensors are sorted, so that equal files look likely; "__metadata__" is written in the order of a hash table with a random
# seed for each process. Whoever tells weights by the sha256 of their file gets another one from the same training.
#
# Seen with safetensors 0.8.0, numpy 2.4.6 (Python 3.11): 11 sums of 12 files.
#
# Exits nonzero where this has changed. Bedside compares tensors (research/chaos/commands.py).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q safetensors==0.8.0 numpy 2>&1 | grep -v WARNING || true
for run in 1 2 3 4 5 6 7 8 9 10 11 12; do
	"$folder/venv/bin/python" - <<'PYTHON'
import hashlib
import numpy
from safetensors.numpy import save

metadata = {name: name for name in ("one", "two", "three", "four")}
print(hashlib.sha256(save({"a": numpy.zeros(2, numpy.float32)}, metadata)).hexdigest())
PYTHON
done | sort -u >"$folder/sums"
sums=$(wc -l <"$folder/sums")
echo "$sums sums of 12 files"
[ "$sums" -gt 1 ]
