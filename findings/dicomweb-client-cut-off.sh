#!/bin/sh
# An answer of DICOMweb that ends early is taken for whole: dicomweb-client gives the part of an instance as an instance,
# and pydicom reads a file that is cut off without an error.
#
# A WADO-RS answer of several parts ends with "--boundary--" (RFC 2046). Where a connection is closed before it, and the
# server told no length, dicomweb-client 0.61.2 yields what came of the last part. pydicom 3.0.2 reads it: the pixel data
# are shorter than rows and columns ask for, and nothing is raised or warned of.
#
# Seen with dicomweb-client 0.61.2, pydicom 3.0.2 (Python 3.11):
#   instances 1, pixel data 35000 of 80000 bytes, no error
#
# Exits nonzero where this has changed. Bedside watches for the last boundary (src/bedside/archive/dicomweb.py).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q dicomweb-client==0.61.2 pydicom==3.0.2 2>&1 | grep -v WARNING || true
"$folder/venv/bin/python" <<'PYTHON'
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO

from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import generate_uid

d = Dataset()
d.file_meta = FileMetaDataset()
d.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
d.SOPClassUID, d.SOPInstanceUID, d.Rows, d.Columns = "1.2.840.10008.5.1.4.1.1.2", generate_uid(), 200, 200
d.SamplesPerPixel, d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 1, 16, 16, 15, 0
d.PhotometricInterpretation, d.PixelData = "MONOCHROME2", bytes(80000)
whole = BytesIO()
d.save_as(whole, enforce_file_format=True)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", 'multipart/related; type="application/dicom"; boundary=B')
        self.end_headers()
        self.wfile.write(b"--B\r\nContent-Type: application/dicom\r\n\r\n" + whole.getvalue()[:-45000])

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = DICOMwebClient(f"http://127.0.0.1:{server.server_port}")
found = list(client.iter_series("1.2", "1.3", media_types=(("application/dicom", "*"),)))
print(f"instances {len(found)}, pixel data {len(found[0].PixelData)} of {len(d.PixelData)} bytes, no error")
assert len(found[0].PixelData) == 35000
PYTHON
