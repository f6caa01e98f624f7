#!/bin/sh
# What the CVPR 2025 challenge runs in the container. The seconds stay out of the folder that is scored.
set -eu
exec bedside challenge2025 /workspace/inputs /workspace/outputs --device cpu --seconds /tmp/running_time.csv "$@"
