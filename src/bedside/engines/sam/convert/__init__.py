"""Networks of the SAM family as files of inference: parts, export, published checkpoints."""
