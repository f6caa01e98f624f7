"""From images and label maps to cases of the CVPR challenges, by the official steps."""
