"""Archives of hospitals (PACS): one contract, DICOMweb and DIMSE behind it, fetching, storing and receiving."""
